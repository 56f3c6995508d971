//! Imports that are killed again and again come to what one undisturbed run comes to.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::server::Place;

const ROWS: u64 = 3_000;
const KILLS: u64 = 5;

/// Sets the database up, which the first start of the service does.
fn serve_once(place: &Place) {
    let mut server = place.serve();
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
}

/// A database without users, and a file of them in which each hundredth row is refused.
fn place() -> Place {
    let place = Place::new(&[]);
    serve_once(&place);
    let row = |n: u64| {
        let email = if n.is_multiple_of(100) {
            "x".to_owned()
        } else {
            format!("user{n}@example.com")
        };
        format!(
            "{}\n",
            json!({ "id": format!("old|{n}"), "email": email, "name": "N" })
        )
    };
    let rows: String = (1..=ROWS).map(row).collect();
    std::fs::write(place.path("users.jsonl"), rows).unwrap();
    place
}

async fn database(place: &Place) -> SqliteConnection {
    let file = place.path("data/countersign.db");
    assert!(Path::new(&file).exists());
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    options.connect().await.unwrap()
}

async fn cursor(db: &mut SqliteConnection) -> Option<(String, i64, String)> {
    sqlx::query_as("SELECT id, cursor, state FROM import_batches")
        .fetch_optional(db)
        .await
        .unwrap()
}

/// Everything but ids and times that differ from run to run.
async fn content(place: &Place) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT 'user ' || id || ' ' || email || ' ' || name || ' ' || role || ' ' || version FROM users
         UNION ALL SELECT 'foreign ' || source || ' ' || foreign_id || ' ' || user_id FROM foreign_ids
         UNION ALL SELECT 'row ' || number || ' ' || line || ' ' || verdict || ' ' || reason || ' ' || COALESCE(user_id, '') FROM import_rows
         UNION ALL SELECT 'batch ' || state || ' ' || cursor || ' ' || created || ' ' || refused || ' ' || file_hash FROM import_batches
         UNION ALL SELECT 'event ' || kind || ' ' || COALESCE(subject, '') FROM audit_events WHERE kind <> 'process.started'
         ORDER BY 1",
    )
    .fetch_all(&mut database(place).await)
    .await
    .unwrap()
}

const IMPORT: [&str; 6] = [
    "users",
    "import",
    "users.jsonl",
    "--format",
    "jsonl",
    "--allow-refused",
];

#[tokio::test]
async fn an_import_that_is_killed_and_resumed_is_as_one_run() {
    let undisturbed = place();
    let done = undisturbed.run(&IMPORT, "");
    assert!(done.status.success(), "{done:?}");

    let killed = place();
    let mut db = database(&killed).await;
    let mut random = ChaCha20Rng::seed_from_u64(9);
    let mut more: Vec<String> = Vec::new();
    for kill in 1..=KILLS {
        let mut command = killed.command();
        command.args(IMPORT).args(&more);
        command.stderr(Stdio::null()).stdout(Stdio::null());
        let mut import = command.spawn().unwrap();
        // The process is somewhere in its next page when the kill arrives.
        let passed = i64::try_from((kill - 1) * ROWS / (KILLS + 1)).unwrap();
        let begun = Instant::now();
        while cursor(&mut db).await.is_none_or(|(_, at, _)| at < passed) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "nothing is imported"
            );
            assert!(import.try_wait().unwrap().is_none(), "the import has ended");
        }
        for _ in 0..random.next_u32() % 20 {
            cursor(&mut db).await;
        }
        import.kill().unwrap();
        import.wait().unwrap();
        let (id, at, state) = cursor(&mut db).await.unwrap();
        assert!(at % 500 == 0, "whole pages: {at}");
        if state == "done" {
            break;
        }
        more = vec!["--resume".into(), id];
    }
    let (id, _, state) = cursor(&mut db).await.unwrap();
    if state == "running" {
        let resume = [&IMPORT[..], &["--resume", &id]].concat();
        let done = killed.run(&resume, "");
        assert!(done.status.success(), "{done:?}");
    }
    let content_of_killed = content(&killed).await;
    assert_eq!(content_of_killed.len(), content(&undisturbed).await.len());
    assert_eq!(content_of_killed, content(&undisturbed).await);
}

#[test]
fn an_import_says_what_it_did_and_exits_with_1_where_a_row_is_refused() {
    let place = Place::new(&[]);
    serve_once(&place);
    let import = ["users", "import", "-", "--format", "jsonl"];
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rows = "{\"id\":\"1\",\"email\":\"a@example.com\",\"role\":\"boss\"}\n{\"email\":\"x\"}\n";
    let refused = place.run(&import, rows);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("line 2: invalid_email") && said.contains("1 of 2 rows are refused"),
        "{said}"
    );
    assert!(
        place
            .items(&["users", "list"], "")
            .as_array()
            .unwrap()
            .is_empty()
    );

    let trial = [
        &import[..],
        &["--dry-run", "--report", "report.jsonl", "--output", "json"],
    ]
    .concat();
    let planned = place.run(&trial, rows);
    assert_eq!(planned.status.code(), Some(1));
    let report = std::fs::read_to_string(place.path("report.jsonl")).unwrap();
    let report: Vec<serde_json::Value> = report
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(report[0]["verdict"], "create");
    assert_eq!(
        (&report[0]["line"], &report[1]["line"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(report[1]["reason"], "invalid_email");
    // The report is not overwritten.
    assert_eq!(place.run(&trial, rows).status.code(), Some(2));

    let admins = [
        &import[..],
        &["--allow-refused", "--role-map", "boss=admin"],
    ]
    .concat();
    let asked = place.run(&admins, rows);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked.stderr));
    assert!(text(&asked.stderr).contains("become admins here"));
    let unknown = [&import[..], &["--role-map", "boss=king"]].concat();
    assert_eq!(place.run(&unknown, rows).status.code(), Some(1));
    let done = place.json(&[&admins[..], &["--yes"]].concat(), rows);
    assert_eq!((&done["created"], &done["refused"]), (&json!(1), &json!(1)));
    assert_eq!(place.json(&["users", "show", "1"], "")["role"], "admin");

    let again = place.json(&admins, rows);
    assert_eq!(
        (&again["unchanged"], &again["written"]),
        (&json!(1), &json!(false))
    );
    let id = done["id"].as_str().unwrap();
    let listed = place.items(&["users", "imports"], "");
    assert_eq!(
        (listed.as_array().unwrap().len(), &listed[0]["id"]),
        (1, &done["id"])
    );
    let shown = place.json(&["users", "imports", id], "");
    assert_eq!(shown["rows"][0]["verdict"], "refuse");
    let back = ["users", "rollback", id];
    assert_eq!(place.run(&back, "").status.code(), Some(2), "it asks first");
    let planned = place.json(&[&back[..], &["--dry-run"]].concat(), "");
    assert_eq!(
        (&planned["deleted"], &planned["written"]),
        (&json!(1), &json!(false))
    );
    let back = place.json(&[&back[..], &["--yes"]].concat(), "");
    assert_eq!(
        (&back["deleted"], &back["written"]),
        (&json!(1), &json!(true))
    );
    assert!(
        place
            .items(&["users", "list"], "")
            .as_array()
            .unwrap()
            .is_empty()
    );
}
