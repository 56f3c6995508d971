//! The schema: both databases alike, upgrades refused when they cannot be.

use crate::support::{TestApp, on_postgres};
use countersign::flows::permit::Permitted;

#[test]
fn both_databases_have_the_same_files_tables_columns_and_constraints() {
    let names = |dir: &str| {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let (sqlite, postgres) = (names("migrations/sqlite"), names("migrations/postgres"));
    assert_eq!(sqlite, postgres);
    // How rows are laid out is each database's own.
    let strip = |text: String| {
        text.replace(" WITH (fillfactor = 80)", "")
            .replace(" WITHOUT ROWID", "")
    };
    for name in sqlite {
        let read =
            |dir: &str| strip(std::fs::read_to_string(format!("migrations/{dir}/{name}")).unwrap());
        assert_eq!(read("sqlite"), read("postgres"), "{name}");
    }
}

#[tokio::test]
async fn a_schema_newer_than_the_program_is_refused() {
    let app = TestApp::start().await;
    app.db_execute("INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1")
        .await
        .unwrap();
    let refused = app.replica(&[]).await.err().unwrap().to_string();
    assert!(refused.contains("use a newer countersign"), "{refused}");
    let error = countersign::store::Db::open(
        &app.place.url.parse().unwrap(),
        &countersign::store::Options::default(),
    )
    .await
    .err()
    .unwrap();
    assert!(error.to_string().contains("9999"), "{error}");
}

#[tokio::test]
async fn constraints_hold_what_the_code_promises() {
    let app = TestApp::start().await;
    app.user("ana").await;
    // Each with the same statement and a value that is allowed.
    for (accepted, refused) in [
        (
            "UPDATE signing_keys SET state = state",
            "UPDATE signing_keys SET state = 'active'",
        ),
        (
            "UPDATE signing_keys SET private_jwe = private_jwe",
            "UPDATE signing_keys SET private_jwe = NULL",
        ),
        (
            "UPDATE sessions SET generation = 1",
            "UPDATE sessions SET generation = 0",
        ),
        (
            "UPDATE sessions SET user_id = user_id",
            "UPDATE sessions SET user_id = 'unknown'",
        ),
        (
            "UPDATE key_ring SET id = 1",
            "INSERT INTO key_ring (id, version, verifier_cache) VALUES (2, 0, 0)",
        ),
        ("UPDATE users SET banned = 1", "UPDATE users SET banned = 2"),
    ] {
        app.db_execute(accepted).await.unwrap();
        assert!(app.db_execute(refused).await.is_err(), "{refused}");
    }
}

/// The version before serves on while a newer one has migrated beside it: every path, before and
/// after, on statements long prepared.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_program_serves_beside_a_schema_that_grew_by_one_migration() {
    use serde_json::json;
    let app = TestApp::with(&[("rate_limits.enabled", "false")]).await;
    let ana = app.user("ana").await;
    let whole_day = async |refresh: String| {
        let (tokens, browser) = (ana.sign_in().await, ana.browser().await);
        app.get_as("/api/auth/session", &tokens.access).await.ok();
        app.get_as("/api/auth/list-sessions", &tokens.session)
            .await
            .ok();
        browser.get("/api/auth/get-session").await.ok();
        browser.get("/api/auth/token").await.ok();
        browser.refresh().await.ok();
        app.post_as("/api/auth/sign-out", &tokens.session, &json!({}))
            .await
            .ok();
        countersign::flows::account::manage_users::find(
            &app.app,
            Permitted::as_operator(),
            &ana.email,
        )
        .await
        .unwrap();
        countersign::flows::key::load_keys::reload(&app.app)
            .await
            .unwrap();
        app.get("/health/ready").await.ok();
        app.after(crate::support::minutes(10));
        app.rotate(&refresh).await
    };
    let mut held = whole_day(ana.sign_in().await.refresh).await;
    held = whole_day(held).await;
    // What decision 0006 allows a migration to do.
    let grown = [
        "ALTER TABLE users ADD COLUMN nickname TEXT",
        "ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE accounts ADD COLUMN hint TEXT",
        "ALTER TABLE signing_keys ADD COLUMN note TEXT",
        "ALTER TABLE key_ring ADD COLUMN note TEXT",
        "ALTER TABLE audit_events ADD COLUMN place TEXT",
        "CREATE INDEX users_nickname ON users (nickname)",
        "INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1",
    ];
    for sql in grown {
        app.db_execute(sql).await.unwrap();
        held = whole_day(held).await;
    }
    app.db_execute("INSERT INTO _sqlx_migrations SELECT 10000, 'later still', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1")
        .await
        .unwrap();
    let far = app.get("/health/ready").await;
    assert_eq!(
        (far.status.as_u16(), far.body["checks"]["schema"].clone()),
        (503, json!(false)),
        "two migrations away"
    );
    assert!(far.body["reasons"][0].as_str().unwrap().contains("schema"));
}

#[tokio::test]
async fn a_copied_database_serves_the_same_sessions_and_nothing_is_copied_over_another_s() {
    use countersign::flows::ops::copy_database::{copy, survey};
    let (app, other) = (TestApp::start().await, TestApp::start().await);
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    let held = app.rotate(&tokens.refresh).await;
    // More rows than a statement holds.
    app.db_execute(
        "INSERT INTO rate_limits (key, level, free_at, expires_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2130)
         SELECT 'copied:' || i, i, 0, 0 FROM n",
    )
    .await
    .unwrap();
    assert!(
        copy(&app.app.db, &other.app.db, |_, _| ()).await.is_err(),
        "the target is in use"
    );
    let empty = other.empty_database().await;
    assert!(survey(&empty, None).await.is_err(), "nothing to copy");
    let mut pages = 0;
    let copied = copy(&app.app.db, &empty, |_, _| pages += 1).await.unwrap();
    assert_eq!(copied, survey(&app.app.db, None).await.unwrap());
    assert!(copied.rows.contains(&("rate_limits", 2130)), "{copied:?}");
    assert!(pages >= 6, "{pages}");
    assert!(
        copy(&app.app.db, &empty, |_, _| ()).await.is_err(),
        "once is enough"
    );
    empty.close().await;
    // With the same master key the other side goes on where this one stopped.
    let moved = app.at_copy_of(&other).await;
    moved.after(crate::support::minutes(10));
    moved.rotate(&held).await;
    moved
        .get_as("/api/auth/session", &tokens.session)
        .await
        .ok();
    assert_eq!(
        moved.app.ring().unwrap().jwks.body,
        app.app.ring().unwrap().jwks.body
    );
}

/// What `database copy --dry-run` says of a target, while the source is served from.
#[tokio::test]
async fn the_target_of_a_copy_is_examined_and_nothing_is_written() {
    use countersign::flows::ops::copy_database::{copy, examine};
    use countersign::store::Options;
    let (app, other) = (TestApp::start().await, TestApp::start().await);
    let look = async |url: &str| examine(&url.parse().unwrap(), &Options::default()).await;
    if !on_postgres() {
        let missing = look(&other.second_url()).await.unwrap();
        assert!(!missing.exists && missing.missing_migrations > 0);
        assert!(!other.path("second.db").exists());
        let below = format!("sqlite://{}", other.path("test.db").join("x.db").display());
        let refused = look(&below).await.unwrap_err().to_string();
        assert!(refused.contains("is not a folder"), "{refused}");
        std::fs::write(
            other.path("text.db"),
            "this is no database, but it is long enough",
        )
        .unwrap();
        let text = format!("sqlite://{}", other.path("text.db").display());
        assert!(look(&text).await.is_err());
        std::fs::write(other.path("empty.db"), "").unwrap();
        let empty = format!("sqlite://{}", other.path("empty.db").display());
        let found = look(&empty).await.unwrap();
        assert!(found.exists && found.missing_migrations > 0);
        assert_eq!(look(&empty).await.unwrap(), found, "nothing was written");
    }
    let refused = look(&other.place.url).await.unwrap_err().to_string();
    assert!(refused.contains("already in use"), "{refused}");
    let empty = other.empty_database().await;
    let found = look(&other.second_url()).await.unwrap();
    assert_eq!(
        (
            found.exists,
            found.missing_migrations,
            found.ring_version,
            found.users
        ),
        (true, 0, 0, 0)
    );
    assert_eq!(look(&other.second_url()).await.unwrap(), found);
    app.user("ana").await;
    copy(&app.app.db, &empty, |_, _| ()).await.unwrap();
    empty.close().await;
    assert!(look(&other.second_url()).await.is_err(), "it is in use now");
}

/// A source that is still written to is detected, and the copy is begun again from what lies
/// there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_is_written_to_meanwhile_is_not_taken_for_a_whole_copy() {
    use countersign::flows::ops::copy_database::copy;
    let (app, other) = (TestApp::start().await, TestApp::start().await);
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    let empty = other.empty_database().await;
    let mut written = false;
    // A row that was copied already changes; then one comes that was not there when its table was
    // read.
    for change in [
        "UPDATE users SET version = version + 1",
        "INSERT INTO accounts (id, user_id, provider_id, account_id, created_at, updated_at) SELECT 'late', id, 'late', id, 0, 0 FROM users",
    ] {
        let refused = copy(&app.app.db, &empty, |table, _| {
            if table == "audit_events" && !std::mem::replace(&mut written, true) {
                tokio::task::block_in_place(|| {
                    tokio::runtime::Handle::current().block_on(app.db_execute(change))
                })
                .unwrap();
            }
        })
        .await;
        let reason = refused.unwrap_err().to_string();
        assert!(
            written && reason.contains("changed while it was copied"),
            "{reason}"
        );
        written = false;
    }
    app.db_execute("DELETE FROM accounts WHERE id = 'late'")
        .await
        .unwrap();
    app.db_execute("UPDATE users SET version = version - 1")
        .await
        .unwrap();
    copy(&app.app.db, &empty, |_, _| ()).await.unwrap();
    empty.close().await;
    let moved = app.at_copy_of(&other).await;
    moved.rotate(&tokens.refresh).await;
}

/// The copy's list of columns is the schema.
#[tokio::test]
async fn every_column_is_copied() {
    use countersign::store::engine::copy::{RING, TABLES};
    let app = TestApp::start().await;
    let mut listed: Vec<String> = TABLES
        .iter()
        .chain([&RING])
        .flat_map(|t| {
            t.columns()
                .map(|c| format!("{}.{c}", t.name))
                .collect::<Vec<_>>()
        })
        .collect();
    listed.sort();
    assert_eq!(app.db_columns().await, listed);
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn the_files_are_readable_by_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let app = TestApp::start().await;
        for name in ["test.db", "test.db-wal", "test.db-shm", "keys/master.key"] {
            let mode = std::fs::metadata(app.path(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
    }
}
