//! The schema: both databases alike, upgrades refused when they cannot be.

use crate::support::TestApp;

#[test]
fn both_databases_have_the_same_files_tables_columns_and_constraints() {
    let names = |dir: &str| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let (sqlite, postgres) = (names("migrations/sqlite"), names("migrations/postgres"));
    assert_eq!(sqlite, postgres);
    // How rows are laid out is each database's own.
    let strip = |text: String| text.replace(" WITH (fillfactor = 80)", "").replace(" WITHOUT ROWID", "");
    for name in sqlite {
        let read = |dir: &str| strip(std::fs::read_to_string(format!("migrations/{dir}/{name}")).unwrap());
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
    let error = countersign::store::Db::open(&app.place.url, &countersign::store::Options::default()).await.err().unwrap();
    assert!(error.to_string().contains("9999"), "{error}");
}

#[tokio::test]
async fn constraints_hold_what_the_code_promises() {
    let app = TestApp::start().await;
    app.user("ana").await;
    let refused = [
        "UPDATE signing_keys SET state = 'active'",
        "UPDATE signing_keys SET private_jwe = NULL",
        "UPDATE sessions SET generation = 0",
        "UPDATE sessions SET user_id = 'nobody'",
        "INSERT INTO key_ring (id, version, verifier_cache) VALUES (2, 0, 0)",
        "UPDATE users SET banned = 2",
    ];
    for sql in refused {
        assert!(app.db_execute(sql).await.is_err(), "{sql}");
    }
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn the_files_are_nobody_else_s_business() {
        use std::os::unix::fs::PermissionsExt;
        let app = TestApp::start().await;
        for name in ["test.db", "test.db-wal", "test.db-shm", "keys/master.key"] {
            let mode = std::fs::metadata(app.path(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
    }
}
