//! What is left of a deleted user in the files of a SQLite database.

use countersign::flows::account::administer_users;
use countersign::flows::ops::prune;
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::Requester;

use crate::support::{TestApp, on_postgres};

/// How often the text occurs in the database file and in its write-ahead log.
fn occurrences(app: &TestApp, text: &str) -> (usize, usize) {
    let count = |name: &str| {
        let bytes = std::fs::read(app.path(name)).unwrap_or_default();
        bytes
            .windows(text.len())
            .filter(|window| *window == text.as_bytes())
            .count()
    };
    (count("test.db"), count("test.db-wal"))
}

/// Postgres keeps dead rows until autovacuum removes them; this is about SQLite's files.
#[tokio::test]
async fn the_email_address_and_the_hash_of_a_deleted_user_leave_the_files() {
    if on_postgres() {
        return;
    }
    let app = TestApp::start().await;
    for n in 0..20 {
        app.user(&format!("other{n}")).await;
    }
    app.user("ana.leaves.no.trace").await.sign_in().await;
    let id = app
        .db_text("SELECT id FROM users WHERE email LIKE 'ana.leaves%'")
        .await
        .unwrap()
        .parse()
        .unwrap();
    let hash = app
        .db_text("SELECT password_hash FROM accounts WHERE user_id = (SELECT id FROM users WHERE email LIKE 'ana.leaves%')")
        .await
        .unwrap();
    assert!(app.app.db.empty_log().await.unwrap());
    for text in ["ana.leaves.no.trace", &hash] {
        let (file, log) = occurrences(&app, text);
        assert!(file > 0 && log == 0, "{file} {log}");
    }
    administer_users::remove(
        &app.app,
        Permitted::as_operator(),
        id,
        &Requester::default(),
    )
    .await
    .unwrap();
    assert!(occurrences(&app, &hash) != (0, 0), "not yet");
    // What the schedule does each hour.
    prune::prune(&app.app).await.unwrap();
    for text in ["ana.leaves.no.trace", &hash] {
        assert_eq!(occurrences(&app, text), (0, 0), "{text}");
    }
}
