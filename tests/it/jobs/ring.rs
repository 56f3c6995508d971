//! A database that went back: the ring that it has is adopted, and what was revoked stays revoked.

use countersign::flows::key::change_keys::{KeyChange, change};
use countersign::flows::key::load_keys::confirm;
use countersign::flows::permit::Permitted;
use countersign::model::key::plan::KeyOperation;
use jsonwebtoken::decode_header;

use crate::support::{TestApp, User, minutes};

fn order(wish: KeyOperation) -> KeyChange {
    KeyChange::new(wish, Default::default())
}

impl TestApp {
    async fn db_snapshot(&self) {
        for table in ["signing_keys", "key_ring"] {
            self.db_execute(&format!(
                "CREATE TABLE old_{table} AS SELECT * FROM {table}"
            ))
            .await
            .unwrap();
        }
    }

    /// What a failover that lost the last changes does.
    async fn db_go_back(&self) {
        self.db_execute("DELETE FROM signing_keys").await.unwrap();
        self.db_execute("INSERT INTO signing_keys SELECT * FROM old_signing_keys")
            .await
            .unwrap();
        self.db_execute(
            "UPDATE key_ring SET version = (SELECT version FROM old_key_ring), identity = (SELECT identity FROM old_key_ring), rotate_after = NULL",
        )
        .await
        .unwrap();
    }

    async fn db_active(&self) -> String {
        self.db_text("SELECT kid FROM signing_keys WHERE state = 'active'")
            .await
            .unwrap()
    }
}

async fn signed_by(ana: &User, app: &TestApp) -> String {
    let ana = User {
        app: app.clone(),
        ..ana.clone()
    };
    decode_header(ana.sign_in().await.access)
        .unwrap()
        .kid
        .unwrap()
}

#[tokio::test]
async fn a_failover_that_lost_a_revocation_revokes_the_key_again_and_every_replica_goes_on() {
    let app = TestApp::start().await;
    // Each draws random numbers of its own.
    let others = [app.replica(&[]).await.unwrap(), app.replica_with(&[]).await];
    let ana = app.user("ana").await;
    for which in ["active", "standby"] {
        app.db_snapshot().await;
        let leaked = app.db_text(if which == "active" {
            "SELECT kid FROM signing_keys WHERE state = 'active'"
        } else {
            "SELECT kid FROM signing_keys WHERE state = 'standby'"
        });
        let leaked = leaked.await.unwrap();
        change(
            &app.app,
            Permitted::as_operator(),
            order(KeyOperation::Revoke(leaked.clone())).with_reason("leaked"),
        )
        .await
        .unwrap();
        confirm(&others[0].app).await.unwrap();
        app.db_go_back().await;
        // One that never heard of the revocation signs before the others have looked; the next look
        // of any that has ends that.
        confirm(&others[0].app).await.unwrap();
        for process in [&others[1], &app, &others[0]] {
            let kid = signed_by(&ana, process).await;
            assert_eq!(kid, app.db_active().await, "{which}");
            assert_ne!(kid, leaked, "{which}");
            assert!(
                !process
                    .get("/api/auth/jwks")
                    .await
                    .ok()
                    .text
                    .contains(&leaked),
                "{which}"
            );
            let stored = app
                .app
                .db
                .read(|conn| Box::pin(countersign::store::key::signing_keys::id(conn)))
                .await
                .unwrap();
            assert_eq!(process.app.ring().unwrap().id, stored, "{which}");
            assert!(process.get("/health/ready").await.status.is_success());
        }
        let again = app
            .db_texts("SELECT reason FROM signing_keys WHERE state = 'revoked'")
            .await;
        assert!(
            again.contains(
                &"revoked before the database was restored to an earlier state".to_owned()
            ),
            "{again:?}"
        );
        for table in ["signing_keys", "key_ring"] {
            app.db_execute(&format!("DROP TABLE old_{table}"))
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_failover_that_lost_a_rotation_is_adopted_and_nothing_is_signed_by_a_key_that_the_database_lacks()
 {
    let app = TestApp::start().await;
    let other = app.replica(&[]).await.unwrap();
    let ana = app.user("ana").await;
    app.after(minutes(70));
    app.db_snapshot().await;
    let first = app.active_kid();
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::Rotate { force: false }),
    )
    .await
    .unwrap();
    confirm(&other.app).await.unwrap();
    assert_ne!(other.active_kid(), first);
    app.db_go_back().await;
    // By the answer of a statement alone, before any poll.
    assert_eq!(signed_by(&ana, &other).await, first);
    confirm(&app.app).await.unwrap();
    assert_eq!(app.active_kid(), first);
    assert!(app.get("/health/ready").await.status.is_success());
}

#[tokio::test]
async fn two_rings_of_one_version_are_two() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    app.after(minutes(70));
    app.db_snapshot().await;
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::Rotate { force: false }),
    )
    .await
    .unwrap();
    app.db_go_back().await;
    let promoted = app.replica(&[]).await.unwrap();
    let standby = app
        .db_text("SELECT kid FROM signing_keys WHERE state = 'standby'")
        .await
        .unwrap();
    change(
        &promoted.app,
        Permitted::as_operator(),
        order(KeyOperation::Revoke(standby.clone())),
    )
    .await
    .unwrap();
    let (here, there) = (app.app.ring().unwrap().id, promoted.app.ring().unwrap().id);
    assert!(
        here.version == there.version && here != there,
        "{here} {there}"
    );
    assert_eq!(
        app.active_kid(),
        standby,
        "what this process signed with until now was revoked elsewhere"
    );
    assert_eq!(signed_by(&ana, &app).await, app.db_active().await);
    assert_eq!(app.app.ring().unwrap().id, there);
}
