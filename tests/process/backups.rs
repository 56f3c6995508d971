//! `database backup` and `database check`: a copy that is made while the server is serving, and
//! what a check says of copies that cannot be restored from.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::server::{Place, sign_up, write_key};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The verdicts of a check that failed, by subject.
fn bad_findings(place: &Place, file: &str) -> Vec<String> {
    let output = place.run(&["database", "check", file, "--output", "json"], "");
    assert_eq!(output.status.code(), Some(1), "{file}: {}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["usable"], json!(false));
    let findings = told["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["verdict"] == "bad")
        .map(|finding| finding["finding"].as_str().unwrap().to_owned())
        .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_is_made_beside_a_running_server_and_can_be_restored() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    sign_up(&http, &server, "ana").await;
    std::fs::create_dir(place.path("backups")).unwrap();
    let made = place.json(&["database", "backup", "backups/one.db"], "");
    let key = made["masterKey"].as_str().unwrap();
    assert!(!key.is_empty() && made["users"] == json!(1), "{made}");
    let file = place.path("backups/one.db");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(names_in(&place.path("backups")), ["one.db"]);
    // Nothing is overwritten.
    let before = std::fs::read(&file).unwrap();
    let again = place.run(&["database", "backup", "backups/one.db"], "");
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
    assert!(stderr(&again).contains("exists already"));
    assert!(std::fs::read(&file).unwrap() == before);
    // What is written afterwards is not in it.
    sign_up(&http, &server, "ben").await;
    let checked = place.json(&["database", "check", "backups/one.db"], "");
    assert_eq!(
        (&checked["usable"], &checked["masterKey"]),
        (&json!(true), &json!(key))
    );
    assert_eq!(names_in(&place.path("backups")), ["one.db"]);
    // On another machine, with the key.
    let restored = Place::new(&[]);
    std::fs::create_dir(restored.path("data")).unwrap();
    std::fs::create_dir(restored.path("keys")).unwrap();
    std::fs::copy(&file, restored.path("data/countersign.db")).unwrap();
    std::fs::copy(
        place.path("keys/master.key"),
        restored.path("keys/master.key"),
    )
    .unwrap();
    let listed = restored.run(&["users", "list"], "");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        text.contains("ana@example.com") && !text.contains("ben@example.com"),
        "{text}{}",
        stderr(&listed)
    );
    let server = restored.serve();
    sign_up(&http, &server, "eva").await;
}

#[tokio::test]
async fn a_check_finds_what_keeps_a_backup_from_being_restored() {
    let place = Place::new(&[]);
    let server = place.serve();
    sign_up(&reqwest::Client::new(), &server, "ana").await;
    let made = place.run(&["database", "backup", "one.db"], "");
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(stderr(&made).contains("It needs the master key "));
    assert!(
        place
            .run(&["database", "check", "one.db"], "")
            .status
            .success()
    );
    let found = bad_findings(&place, "data/countersign.db");
    assert!(found[0].contains("this is a database in use"), "{found:?}");
    drop(server);
    let found = bad_findings(&place, "nothing.db");
    assert!(found[0].contains("No such file"), "{found:?}");
    let found = bad_findings(&place, "keys");
    assert!(found[0].contains("is not a file"), "{found:?}");
    std::fs::write(place.path("text.db"), "no database".repeat(1000)).unwrap();
    let found = bad_findings(&place, "text.db");
    assert!(found[0].contains("not a database"), "{found:?}");
    let whole = std::fs::read(place.path("one.db")).unwrap();
    std::fs::write(place.path("cut.db"), &whole[..whole.len() / 2]).unwrap();
    assert!(!bad_findings(&place, "cut.db").is_empty());
    // The right file, with the key of another installation, and without a key.
    let other = Place::new(&[]);
    std::fs::copy(place.path("one.db"), other.path("one.db")).unwrap();
    let found = bad_findings(&other, "one.db");
    assert!(found[0].contains("none is configured here"), "{found:?}");
    assert_eq!(names_in(other.dir.path()), ["one.db"], "no key was made");
    std::fs::create_dir(other.path("keys")).unwrap();
    write_key(
        &other.path("keys/master.key"),
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    );
    let found = bad_findings(&other, "one.db");
    assert!(found[0].contains("restore that key"), "{found:?}");
}

/// No twin: the accepted request is in the tests above; here is no SQLite database at all.
#[test]
fn a_backup_of_postgres_is_left_to_pg_dump() {
    let place = Place::new(&["database.url=postgres://countersign@127.0.0.1:1/countersign"]);
    let refused = place.run(&["database", "backup", "one.db"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("pg_dump"), "{}", stderr(&refused));
    assert_eq!(names_in(place.dir.path()), [""; 0]);
}
