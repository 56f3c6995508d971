//! `audit verify` against a copy kept elsewhere: what a log or an export shows that the chains
//! alone do not.

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::server::Place;

async fn open(place: &Place) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(place.path("data/countersign.db"))
        .connect()
        .await
        .unwrap()
}

fn ends(place: &Place) -> Vec<Value> {
    let log = std::fs::read_to_string(place.path("log.jsonl")).unwrap();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["message"] == "audit chain end")
        .collect()
}

#[tokio::test]
async fn a_deleted_chain_of_the_command_line_shows_against_the_servers_log() {
    let place = Place::new(&[]);
    let mut server = place.serve();
    assert!(
        place
            .run(
                &["users", "create", "ana@example.com"],
                "a good long password\n"
            )
            .status
            .success()
    );
    assert!(
        place
            .run(&["users", "set-role", "ana@example.com", "admin"], "")
            .status
            .success()
    );
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    let against = || place.run(&["audit", "verify", "--against", "log.jsonl"], "");
    assert!(against().status.success());
    let mut database = open(&place).await;
    let writer: String =
        sqlx::query_scalar("SELECT writer FROM audit_events WHERE kind = 'user.role_changed'")
            .fetch_one(&mut database)
            .await
            .unwrap();
    for table in ["audit_events", "audit_chains"] {
        sqlx::query(AssertSqlSafe(format!(
            "DELETE FROM {table} WHERE writer = $1"
        )))
        .bind(&writer)
        .execute(&mut database)
        .await
        .unwrap();
    }
    let found = against();
    let says = String::from_utf8_lossy(&found.stderr);
    assert!(
        found.status.code() == Some(1)
            && says.contains("in the copy but not in the database")
            && says.contains(&writer),
        "{says}"
    );
}

#[tokio::test]
async fn a_young_event_that_is_marked_as_deleted_for_its_age_is_missed_and_an_old_one_is_not_said_to_be_there()
 {
    let place = Place::new(&["audit.retention=30d"]);
    let mut server = place.serve();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    // The same chain as one that a process began long ago, of which everything is marked as old.
    let mut database = open(&place).await;
    let end = ends(&place).pop().unwrap();
    let (young, old) = (
        end["writer"].as_str().unwrap().to_owned(),
        "01900000-0000-7000-8000-000000000001".to_owned(),
    );
    let log = std::fs::read_to_string(place.path("log.jsonl"))
        .unwrap()
        .replace(&young, &old);
    let mark = "UPDATE audit_chains SET writer = $2, pruned_sequence = sequence, pruned_link = link WHERE writer = $1";
    sqlx::query(mark)
        .bind(&young)
        .bind(&old)
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::query("DELETE FROM audit_events WHERE writer = $1")
        .bind(&young)
        .execute(&mut database)
        .await
        .unwrap();
    let marked: i64 =
        sqlx::query_scalar("SELECT pruned_sequence FROM audit_chains WHERE writer = $1")
            .bind(&old)
            .fetch_one(&mut database)
            .await
            .unwrap();
    // Another chain, so that there is something to verify.
    assert!(
        place
            .run(
                &["users", "create", "ana@example.com"],
                "a good long password\n"
            )
            .status
            .success()
    );
    let alone = place.run(&["audit", "verify"], "");
    let says = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(
        alone.status.success()
            && says.contains(&format!(
                "{marked} more are marked as deleted because of their age"
            )),
        "{says}"
    );
    // By its own time where the line has one, else by the time at which it was logged; without
    // either it is missed.
    let today = log
        .lines()
        .filter(|line| line.contains("audit chain end"))
        .collect::<Vec<_>>()
        .join("\n");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut line: Value = serde_json::from_str(today.lines().last().unwrap()).unwrap();
        change(&mut line);
        line.to_string()
    };
    let without_at = |line: &mut Value| drop(line.as_object_mut().unwrap().remove("at"));
    for (what, text) in [
        ("the log", today.clone()),
        ("an older program's log", with(&without_at)),
        (
            "no time",
            with(&|line| {
                without_at(line);
                without_at(line);
                line.as_object_mut().unwrap().remove("timestamp");
            }),
        ),
    ] {
        std::fs::write(place.path("copy.jsonl"), text).unwrap();
        let found = place.run(&["audit", "verify", "--against", "copy.jsonl"], "");
        let says = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(
            found.status.code() == Some(1) && says.contains("in the copy but not in the database"),
            "{what}: {says}"
        );
    }
    // One that is as old as that is excused, and counted apart.
    let aged = with(&|line| {
        line["at"] = "2025-01-01T00:00:00.000Z".into();
        line["timestamp"] = "2025-01-01T00:00:00.000Z".into();
    });
    std::fs::write(place.path("copy.jsonl"), aged).unwrap();
    let excused = place.run(&["audit", "verify", "--against", "copy.jsonl"], "");
    let says = String::from_utf8_lossy(&excused.stderr).into_owned();
    assert!(
        excused.status.success()
            && says.contains("0 exist unchanged; 1 may have been deleted because of their age"),
        "{says}"
    );
}
