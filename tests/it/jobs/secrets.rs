//! Authenticator secrets when the master key changes: each is sealed again, whatever interrupts it, and
//! one that cannot be opened lets no sign-in pass.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use countersign::flows::key::reseal_secrets::reseal_due;
use countersign::flows::key::rewrap::{Options, Resealed, rewrap};
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::Requester;
use serde_json::json;

use crate::support::{TestApp, seconds};

/// A file with a new master key.
fn new_key(app: &TestApp) -> PathBuf {
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

async fn rewrapped(app: &TestApp, file: &Path) -> Resealed {
    rewrap(
        &app.app,
        Permitted::as_operator(),
        file,
        Options::default(),
        &Requester::default(),
    )
    .await
    .unwrap()
    .secrets
    .unwrap()
}

async fn sealed_under(app: &TestApp) -> Vec<String> {
    app.db_texts("SELECT DISTINCT master_key FROM totp ORDER BY master_key")
        .await
}

#[tokio::test]
async fn a_rewrap_seals_every_authenticator_secret_again_and_codes_stay_good() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (own, other) = (ana.enrols().await, bob.enrols().await);
    let before = app
        .db_texts("SELECT secret_jwe FROM totp ORDER BY user_id")
        .await;
    let file = new_key(&app);
    let done = rewrapped(&app, &file).await;
    assert_eq!(done, Resealed { done: 2, left: 0 });
    let after = app
        .db_texts("SELECT secret_jwe FROM totp ORDER BY user_id")
        .await;
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before != after)
    );
    assert_eq!(sealed_under(&app).await.len(), 1);
    // A process that has the new key alone opens them.
    let alone = app
        .replica(&[("COUNTERSIGN_MASTER_KEY_FILE", file.display().to_string())])
        .await
        .unwrap();
    for (user, phone) in [(&ana, &own), (&bob, &other)] {
        let user = crate::support::User {
            app: alone.clone(),
            ..user.clone()
        };
        let challenge = user.begins().await;
        user.tries(&challenge, &phone.code(&app, 0)).await.ok();
    }
}

#[tokio::test]
async fn a_rewrap_that_stopped_half_way_is_finished_by_any_process_with_both_keys() {
    let app = TestApp::start().await;
    let mut phones = Vec::new();
    for n in 0..5 {
        let user = app.user(&format!("user{n}")).await;
        phones.push((user.enrols().await, user));
    }
    let before: Vec<(String, String, String)> =
        sqlx::query_as("SELECT user_id, secret_jwe, master_key FROM totp ORDER BY user_id")
            .fetch_all(&mut app.db().await)
            .await
            .unwrap();
    let file = new_key(&app);
    rewrapped(&app, &file).await;
    // As a process that was killed after the second of them has left it.
    for (user, jwe, key) in &before[2..] {
        let sql = format!(
            "UPDATE totp SET secret_jwe = '{jwe}', master_key = '{key}' WHERE user_id = '{user}'"
        );
        app.db_execute(&sql).await.unwrap();
    }
    assert_eq!(sealed_under(&app).await.len(), 2);
    // Without the former key those are no good, and no way around.
    let alone = app
        .replica(&[("COUNTERSIGN_MASTER_KEY_FILE", file.display().to_string())])
        .await
        .unwrap();
    reseal_due(&alone.app).await.unwrap();
    assert_eq!(sealed_under(&app).await.len(), 2);
    let refused = async |at: &TestApp| {
        let mut refused = 0;
        for (phone, user) in &phones {
            let user = crate::support::User {
                app: at.clone(),
                ..user.clone()
            };
            let challenge = user.begins().await;
            let answer = user.tries(&challenge, &phone.code(&app, 0)).await;
            if answer.status == 503 {
                refused += 1;
                // The try was not used up, and a recovery code needs no key.
                assert_eq!(
                    app.db_number("SELECT COALESCE(MAX(tries), 0) FROM login_challenges")
                        .await,
                    0
                );
                user.tries_recovery(&challenge, &phone.codes[0]).await.ok();
            } else {
                answer.ok();
            }
        }
        refused
    };
    assert_eq!(refused(&alone).await, 3);
    // A process with both seals the rest, and then the former key may go.
    let both = app
        .replica(&[
            ("COUNTERSIGN_MASTER_KEY_FILE", file.display().to_string()),
            (
                "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE",
                app.path("keys/master.key").display().to_string(),
            ),
        ])
        .await
        .unwrap();
    reseal_due(&both.app).await.unwrap();
    assert_eq!(sealed_under(&app).await.len(), 1);
    app.after(seconds(60));
    assert_eq!(refused(&alone).await, 0);
}

#[tokio::test]
async fn a_secret_of_another_user_or_a_damaged_one_opens_no_session() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (own, other) = (ana.enrols().await, bob.enrols().await);
    let challenge = ana.begins().await;
    ana.tries(&challenge, &own.code(&app, 0)).await.ok();
    app.after(seconds(30));
    // The thief of a database puts a secret that is known into another row.
    app.db_execute(
        "UPDATE totp SET secret_jwe = (SELECT MAX(secret_jwe) FROM totp), last_step = 0",
    )
    .await
    .unwrap();
    let mut refused = 0;
    for (user, phone) in [(&ana, &other), (&bob, &own), (&ana, &own), (&bob, &other)] {
        let challenge = user.begins().await;
        let answer = user.tries(&challenge, &phone.code(&app, 0)).await;
        refused += usize::from(answer.status == 503);
        let crossed = user.email.starts_with("ana") != std::ptr::eq(phone, &raw const own);
        assert!(!crossed || answer.status != 200, "{}", answer.text);
    }
    assert_eq!(refused, 2, "one row holds the secret of the other");
    let body = json!({ "email": ana.email, "password": ana.password });
    let answer = app.post("/api/auth/sign-in/email", &body).await.ok();
    assert_eq!(answer.body["twoFactorRedirect"], true);
}
