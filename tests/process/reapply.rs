//! `audit reapply` on a database that went back: what it does again, what it leaves, and which
//! exports it refuses.

use std::process::Output;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::server::Place;

/// A folder whose database goes back to the moment at which this was made.
struct Lost {
    place: Place,
}

impl Lost {
    fn with_users(names: &[&str]) -> Self {
        let lost = Self {
            place: Place::new(&[]),
        };
        // Only a start creates a database.
        drop(lost.place.serve());
        for name in names {
            lost.done(
                &["users", "create", &format!("{name}@example.com")],
                "a good long password\n",
            );
        }
        // Without its write-ahead log the file is the whole database.
        for name in ["data/countersign.db-wal", "data/countersign.db-shm"] {
            drop(std::fs::remove_file(lost.place.path(name)));
        }
        std::fs::copy(
            lost.place.path("data/countersign.db"),
            lost.place.path("backup.db"),
        )
        .unwrap();
        lost
    }

    fn done(&self, arguments: &[&str], stdin: &str) -> Output {
        let output = self.place.run(arguments, stdin);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    /// Exports the trail, and puts the database of the beginning back.
    fn goes_back(&self) {
        std::fs::write(
            self.place.path("export.jsonl"),
            self.done(&["audit", "export"], "").stdout,
        )
        .unwrap();
        for name in ["data/countersign.db-wal", "data/countersign.db-shm"] {
            drop(std::fs::remove_file(self.place.path(name)));
        }
        std::fs::copy(
            self.place.path("backup.db"),
            self.place.path("data/countersign.db"),
        )
        .unwrap();
    }

    fn reapplied(&self) -> String {
        String::from_utf8(
            self.done(&["audit", "reapply", "export.jsonl", "--yes"], "")
                .stdout,
        )
        .unwrap()
    }

    async fn database(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.place.path("data/countersign.db"))
            .connect()
            .await
            .unwrap()
    }

    /// A column of a user's row, as text.
    async fn of(&self, name: &str, column: &str) -> Option<String> {
        let sql =
            format!("SELECT CAST({column} AS TEXT) FROM users WHERE email = '{name}@example.com'");
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut self.database().await)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_lost_ban_that_lasts_longer_replaces_a_shorter_one_and_never_shortens_one() {
    let lost = Lost::with_users(&["ana", "bob"]);
    lost.done(&["users", "ban", "ana@example.com", "--yes"], "");
    lost.done(
        &["users", "ban", "bob@example.com", "--for", "1h", "--yes"],
        "",
    );
    lost.goes_back();
    lost.done(
        &["users", "ban", "ana@example.com", "--for", "1h", "--yes"],
        "",
    );
    lost.done(&["users", "ban", "bob@example.com", "--yes"], "");
    let says = lost.reapplied();
    assert_eq!(
        lost.of("ana", "ban_expires_at").await,
        None,
        "ana is banned without end\n{says}"
    );
    assert_eq!(
        lost.of("bob", "ban_expires_at").await,
        None,
        "bob's ban is not shortened\n{says}"
    );
}

#[tokio::test]
async fn what_an_operator_decided_after_the_database_went_back_stands() {
    let lost = Lost::with_users(&["ana", "bob", "carl"]);
    lost.done(&["users", "set-role", "ana@example.com", "admin"], "");
    lost.done(&["users", "ban", "bob@example.com", "--yes"], "");
    lost.done(&["users", "disable", "carl@example.com", "--yes"], "");
    lost.done(&["limits", "block", "198.51.100.0/24", "--for", "1d"], "");
    lost.goes_back();
    lost.done(&["users", "set-role", "ana@example.com", "user"], "");
    for decided in [
        &["users", "ban", "bob@example.com", "--for", "1h", "--yes"][..],
        &["users", "unban", "bob@example.com"],
        &["users", "disable", "carl@example.com", "--yes"],
        &["users", "enable", "carl@example.com"],
        &["limits", "block", "198.51.100.0/24", "--for", "1h"],
        &["limits", "unblock", "198.51.100.0/24"],
    ] {
        lost.done(decided, "");
    }
    let says = lost.reapplied();
    assert_eq!(
        lost.of("ana", "role").await.as_deref(),
        Some("user"),
        "{says}"
    );
    assert_eq!(
        lost.of("bob", "banned").await.as_deref(),
        Some("0"),
        "{says}"
    );
    assert_eq!(lost.of("carl", "disabled_at").await, None, "{says}");
    assert!(
        !String::from_utf8(lost.done(&["limits", "list"], "").stdout)
            .unwrap()
            .contains("198.51.100.0"),
        "{says}"
    );
    assert_eq!(says.matches("decided anew at").count(), 4, "{says}");
}

#[tokio::test]
async fn a_second_run_does_not_do_what_the_first_found_already_done() {
    let lost = Lost::with_users(&["ana"]);
    lost.done(&["users", "ban", "ana@example.com", "--yes"], "");
    lost.goes_back();
    lost.done(&["users", "ban", "ana@example.com", "--yes"], "");
    let first = lost.reapplied();
    assert!(
        first.contains("user.banned") && first.contains("already"),
        "{first}"
    );
    lost.done(&["users", "unban", "ana@example.com"], "");
    let second = lost.reapplied();
    assert_eq!(
        lost.of("ana", "banned").await.as_deref(),
        Some("0"),
        "{second}"
    );
    assert!(!second.contains("user.banned"), "{second}");
}

#[test]
fn a_lost_block_of_a_network_is_made_again_until_its_end() {
    let lost = Lost::with_users(&["ana"]);
    lost.done(
        &[
            "limits",
            "block",
            "198.51.100.0/24",
            "--for",
            "2h",
            "--reason",
            "flood",
        ],
        "",
    );
    lost.done(&["limits", "block", "2001:db8::/32", "--for", "2h"], "");
    lost.done(&["limits", "unblock", "2001:db8::/32"], "");
    let blocks = || -> Vec<Value> {
        let listed = lost.place.items(&["limits", "list"], "");
        listed
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["rule"] == "block")
            .map(|row| serde_json::json!([row["whom"], row["until"], row["reason"]]))
            .collect()
    };
    let before = blocks();
    lost.goes_back();
    assert_eq!(blocks(), Vec::<Value>::new());
    let says = lost.reapplied();
    let after = blocks();
    assert_eq!(
        (after.len(), &after[0][0], &after[0][2]),
        (1, &before[0][0], &before[0][2]),
        "{says}"
    );
    let second = |block: &Value| block[1].as_str().unwrap()[..19].to_owned();
    assert_eq!(second(&after[0]), second(&before[0]), "{says}");
    assert!(says.contains("network.blocked"), "{says}");
}

#[tokio::test]
async fn an_export_with_a_line_that_is_forged_or_edited_is_refused_as_a_whole() {
    let lost = Lost::with_users(&["ana", "bob"]);
    lost.done(&["users", "set-role", "bob@example.com", "user"], "");
    lost.done(&["users", "ban", "bob@example.com", "--yes"], "");
    lost.goes_back();
    let export = std::fs::read_to_string(lost.place.path("export.jsonl")).unwrap();
    let lines: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_role = lines
        .iter()
        .find(|line| line["kind"] == "user.role_changed")
        .unwrap();
    let ana = lines
        .iter()
        .find(|line| line["kind"] == "user.created")
        .unwrap()["subject"]
        .clone();
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut line = of_role.clone();
        change(&mut line);
        line.to_string()
    };
    let appended = |line: String| format!("{export}{line}\n");
    let edited =
        |change: &dyn Fn(&mut Value)| export.replace(&of_role.to_string(), &forged(change));
    assert!(export.contains(&of_role.to_string()));
    let own_chain = |line: &mut Value| {
        line["sequence"] = 1.into();
        line["writer"] = "01900000-0000-7000-8000-000000000001".into();
        line["id"] = "01900000-0000-7000-8000-000000000002".into();
        line["subject"] = ana.clone();
        line["detail"]["role"] = "admin".into();
    };
    for (what, text) in [
        (
            "a link that is none",
            appended(forged(&|line| {
                own_chain(line);
                line["link"] = "x".into();
            })),
        ),
        ("a link of another event", appended(forged(&own_chain))),
        (
            "no link",
            appended(forged(&|line| {
                own_chain(line);
                line.as_object_mut().unwrap().remove("link");
            })),
        ),
        (
            "another role",
            edited(&|line| line["detail"]["role"] = "admin".into()),
        ),
        (
            "another user",
            edited(&|line| line["subject"] = ana.clone()),
        ),
        (
            "a second event at one place",
            appended(forged(&|line| line["subject"] = ana.clone())),
        ),
    ] {
        std::fs::write(lost.place.path("forged.jsonl"), text).unwrap();
        for dry in [&["--dry-run"][..], &["--yes"]] {
            let refused = lost
                .place
                .run(&[&["audit", "reapply", "forged.jsonl"], dry].concat(), "");
            assert_eq!(refused.status.code(), Some(1), "{what}: {refused:?}");
        }
        assert_eq!(
            lost.of("ana", "role").await.as_deref(),
            Some("user"),
            "{what}"
        );
        assert_eq!(
            lost.of("bob", "role").await.as_deref(),
            Some("user"),
            "{what}"
        );
        assert_eq!(
            lost.of("bob", "banned").await.as_deref(),
            Some("0"),
            "{what}: nothing of the file is done"
        );
    }
    // A line behind a gap cannot be checked, and is left to the operator; the same line twice is
    // one.
    let behind_a_gap = forged(&|line| {
        own_chain(line);
        line["sequence"] = 9.into();
    });
    std::fs::write(
        lost.place.path("export.jsonl"),
        format!("{export}{export}{behind_a_gap}\n"),
    )
    .unwrap();
    let says = lost.reapplied();
    assert!(says.contains("cannot be checked"), "{says}");
    assert_eq!(
        lost.of("ana", "role").await.as_deref(),
        Some("user"),
        "{says}"
    );
    assert_eq!(
        lost.of("bob", "banned").await.as_deref(),
        Some("1"),
        "{says}"
    );
}
