//! The command line beside a running server: what it prints, what it refuses, how it exits.

use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::server::{Place, refresh, sign_in, sign_up, write_key};

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn bad_settings_are_told_all_at_once_with_78() {
    let place = Place::new(&[
        "sessions.idel_ttl=3d",
        "tokens.access_ttl=2d",
        "server.listen=nowhere",
    ]);
    for command in [&["config", "check"][..], &["serve"], &["users", "list"]] {
        let output = place.run(command, "");
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        for expected in [
            "did you mean sessions.idle_ttl?",
            "tokens.access_ttl",
            "\"nowhere\" is not an address",
            "3 problem(s)",
        ] {
            assert!(
                stderr(&output).contains(expected),
                "{expected} not in {}",
                stderr(&output)
            );
        }
    }
    assert!(!place.path("data").exists(), "nothing was started");
}

#[test]
fn good_settings_show_where_they_came_from() {
    let place = Place::new(&["tokens.access_ttl=10m"]);
    std::fs::write(
        place.path("countersign.toml"),
        "[sessions]\nidle_ttl = \"7d\"\n[roles]\nadmin = [\"a:b\"]\n",
    )
    .unwrap();
    let shown = place.items(&["config", "show"], "");
    let find = |key: &str| {
        shown
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e["setting"] == key)
            .cloned()
            .unwrap()
    };
    assert_eq!(
        find("sessions.idle_ttl"),
        json!({ "setting": "sessions.idle_ttl", "value": "7d", "source": "file", "became": null })
    );
    assert_eq!(find("tokens.access_ttl")["source"], "flag");
    assert_eq!(find("roles.admin")["value"], "a:b");
    let check = place.run(&["config", "check"], "");
    assert!(
        check.status.success() && stderr(&check).contains("Rules that were applied"),
        "{}",
        stderr(&check)
    );
}

#[test]
fn config_check_says_what_to_register_at_each_provider() {
    let place = Place::new(&[
        "upstream.acme.kind=oidc",
        "upstream.acme.issuer=https://id.acme.example",
        "upstream.acme.client_id=countersign",
        "upstream.gitlab.client_id=countersign",
    ]);
    let check = place.run(&["config", "check"], "");
    let told = stderr(&check);
    assert!(check.status.success(), "{told}");
    for path in ["callback/acme", "callback/gitlab", "upstream/acme/logout"] {
        assert!(
            told.contains(&format!("/api/auth/{path}")),
            "{path}: {told}"
        );
    }
    assert!(!told.contains("upstream/gitlab/logout"), "{told}");
}

#[test]
fn usage_errors_are_2_and_help_has_examples() {
    let place = Place::new(&[]);
    drop(place.serve());
    for command in [
        &["nonsense"][..],
        &["keys", "revoke"],
        &["sessions", "revoke"],
        &["users", "create", "no-address"],
        &["--set", "x", "serve"],
    ] {
        assert_eq!(
            place.run(command, "a good long password\n").status.code(),
            Some(2),
            "{command:?}"
        );
    }
    let help = place.run(&["--help"], "");
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            place.run(&["completions", shell], "").stdout.len() > 1_000,
            "{shell}"
        );
    }
}

#[test]
fn a_weak_or_exposed_master_key_is_refused() {
    let place = Place::new(&[]);
    drop(place.serve());
    for (key, reason) in [
        ("changeme", "43 characters"),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "placeholder"),
    ] {
        let output = place
            .command()
            .args(["keys", "list"])
            .env("COUNTERSIGN_MASTER_KEY", key)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78));
        assert!(
            stderr(&output).contains(reason) && !stderr(&output).contains(key),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn migrate_says_what_it_would_do_first() {
    let place = Place::new(&[]);
    let dry = place.run(&["migrate", "--dry-run"], "");
    assert_eq!(
        String::from_utf8_lossy(&dry.stdout),
        "0001 initial\n0002 impersonation\n0003 mail\n0004 rate limits\n0005 audit chains\n0006 webhooks\n0007 unproven\n0008 field faults\n0009 required passwords\n0010 languages\n0011 retry tickets\n0012 algorithms\n0013 factors\n0014 email codes\n0015 session bounds\n0016 passkeys\n0017 upstream\n0018 imports\n"
    );
    assert!(!place.path("data/countersign.db").exists());
    assert!(place.run(&["migrate"], "").status.success());
    assert!(stderr(&place.run(&["migrate"], "")).contains("is current"));
}

#[tokio::test]
async fn the_audit_trail_is_read_written_out_and_proven() {
    let place = Place::new(&[]);
    let mut server = place.serve();
    let http = reqwest::Client::new();
    assert!(
        place
            .run(
                &["users", "create", "ana@example.com"],
                "a good long password\n"
            )
            .status
            .success()
    );
    sign_in(&http, &server, "ana").await;
    let lines = |args: &[&str]| -> Vec<serde_json::Value> {
        let out = place.run(args, "");
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let all = lines(&["audit", "export"]);
    let kinds: Vec<&str> = all.iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert!(
        [
            "process.started",
            "keys.rotated",
            "user.created",
            "session.created"
        ]
        .iter()
        .all(|kind| kinds.contains(kind)),
        "{kinds:?}"
    );
    let started = all.iter().find(|e| e["kind"] == "process.started").unwrap();
    assert_eq!(
        started["detail"]["settings"]["passwords.argon2_memory_kib"], "64",
        "what is not as by default"
    );
    let made = all.iter().find(|e| e["kind"] == "user.created").unwrap();
    assert!(made["actor"].as_str().unwrap().starts_with("cli:"));
    let about = place.json(
        &[
            "audit",
            "list",
            "--user",
            "ana@example.com",
            "--kind",
            "session.",
            "--since",
            "1h",
        ],
        "",
    );
    assert_eq!(
        (about["total"].as_u64(), about["items"][0]["kind"].as_str()),
        (Some(1), Some("session.created"))
    );
    assert!(
        String::from_utf8(place.run(&["audit", "list"], "").stdout)
            .unwrap()
            .contains("user.created")
    );
    let proven = place.run(&["audit", "verify"], "");
    assert!(
        proven.status.success() && stderr(&proven).contains("each event fits the one before it"),
        "{proven:?}"
    );
    // At its end the server writes where its chains end into the log.
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    let mut database = SqliteConnectOptions::new()
        .filename(place.path("data/countersign.db"))
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE kept_events AS SELECT * FROM audit_events; CREATE TABLE kept_chains AS SELECT * FROM audit_chains")
        .execute(&mut database)
        .await
        .unwrap();
    let export = place.run(&["audit", "export"], "").stdout;
    std::fs::write(place.path("export.jsonl"), export).unwrap();
    let against = |copy: &str| place.run(&["audit", "verify", "--against", copy], "");
    for copy in ["export.jsonl", "log.jsonl"] {
        let same = against(copy);
        assert!(
            same.status.success() && stderr(&same).contains("exist unchanged"),
            "{copy}: {same:?}"
        );
    }
    // What the chains alone cannot show: the last event with the note of the end, a whole chain,
    // everything, a front that is marked as old.
    let longest = "(SELECT writer FROM kept_chains ORDER BY sequence DESC LIMIT 1)";
    let cut = format!(
        "DELETE FROM audit_events WHERE writer = {longest} AND sequence = (SELECT sequence FROM audit_chains WHERE writer = {longest});
         UPDATE audit_chains SET sequence = sequence - 1, link = (SELECT link FROM audit_events e WHERE e.writer = {longest} ORDER BY sequence DESC LIMIT 1) WHERE writer = {longest}"
    );
    let chain = format!(
        "DELETE FROM audit_events WHERE writer = {longest}; DELETE FROM audit_chains WHERE writer = {longest}"
    );
    let front = format!(
        "UPDATE audit_chains SET pruned_sequence = 1, pruned_link = (SELECT link FROM kept_events k WHERE k.writer = {longest} AND k.sequence = 1) WHERE writer = {longest};
         DELETE FROM audit_events WHERE writer = {longest} AND sequence = 1"
    );
    let nothing = "DELETE FROM audit_events; DELETE FROM audit_chains".to_owned();
    for (damage, copies, alone) in [
        (&cut, &["export.jsonl", "log.jsonl"][..], Some(0)),
        (&chain, &["export.jsonl", "log.jsonl"], Some(0)),
        (&front, &["export.jsonl"], Some(1)),
        (&nothing, &["export.jsonl", "log.jsonl"], Some(1)),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(damage.clone()))
            .execute(&mut database)
            .await
            .unwrap();
        let found = place.run(&["audit", "verify"], "");
        assert_eq!(found.status.code(), alone, "{damage}: {found:?}");
        assert!(!stderr(&found).contains("nothing is missing"), "{found:?}");
        for copy in copies {
            let found = against(copy);
            assert!(
                found.status.code() == Some(1)
                    && stderr(&found).contains("in the copy but not in the database"),
                "{damage}, {copy}: {found:?}"
            );
        }
        let back = "DELETE FROM audit_events; DELETE FROM audit_chains; INSERT INTO audit_events SELECT * FROM kept_events; INSERT INTO audit_chains SELECT * FROM kept_chains";
        sqlx::raw_sql(back).execute(&mut database).await.unwrap();
    }
    assert_eq!(against("nowhere.jsonl").status.code(), Some(2));
    sqlx::query("DELETE FROM audit_events WHERE kind = 'user.created'")
        .execute(&mut database)
        .await
        .unwrap();
    let spoilt = place.run(&["audit", "verify"], "");
    assert!(
        spoilt.status.code() == Some(1) && stderr(&spoilt).contains("missing"),
        "{spoilt:?}"
    );
}

/// What a promotion of an asynchronous standby loses: the database is as it was, and an export of
/// the trail is not.
#[tokio::test]
async fn what_a_database_that_went_back_has_lost_is_done_again_from_an_export_once() {
    let place = Place::new(&[]);
    let mut server = place.serve();
    let http = reqwest::Client::new();
    let mut tokens = Vec::new();
    for name in ["ana", "bob", "carl", "dora", "emil"] {
        tokens.push(
            sign_up(&http, &server, name).await["refreshToken"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let file = place.path("data/countersign.db");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    std::fs::copy(&file, place.path("backup.db")).unwrap();
    let kids = || place.items(&["keys", "list"], "");
    let active = kids()
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["state"] == "active")
        .unwrap()["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let done = |arguments: &[&str], stdin: &str| {
        let output = place.run(arguments, stdin);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        output
    };
    let session = place.items(&["sessions", "list", "--user", "ana@example.com"], "")[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    done(&["sessions", "revoke", &session], "");
    done(
        &[
            "users",
            "ban",
            "bob@example.com",
            "--reason",
            "spam",
            "--yes",
        ],
        "",
    );
    done(&["users", "delete", "carl@example.com", "--yes"], "");
    done(
        &["users", "set-password", "dora@example.com"],
        "another good password\n",
    );
    done(
        &["users", "create", "fred@example.com"],
        "a good long password\n",
    );
    done(
        &["keys", "revoke", &active, "--reason", "leaked", "--yes"],
        "",
    );
    std::fs::write(
        place.path("export.jsonl"),
        done(&["audit", "export"], "").stdout,
    )
    .unwrap();
    // The database goes back.
    for name in ["data/countersign.db-wal", "data/countersign.db-shm"] {
        drop(std::fs::remove_file(place.path(name)));
    }
    std::fs::copy(place.path("backup.db"), &file).unwrap();
    let dry = done(&["audit", "reapply", "export.jsonl", "--dry-run"], "");
    assert!(
        stderr(&dry).contains("Nothing was written"),
        "{}",
        stderr(&dry)
    );
    assert_eq!(
        place
            .items(&["sessions", "list", "--user", "ana@example.com"], "")
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        place
            .run(&["audit", "reapply", "export.jsonl"], "")
            .status
            .code(),
        Some(2),
        "without a terminal --yes must say it"
    );
    let first = done(&["audit", "reapply", "export.jsonl", "--yes"], "");
    let says = String::from_utf8(first.stdout).unwrap();
    for expected in [
        "user.banned",
        "user.deleted",
        "keys.revoked",
        "password.changed",
        "users set-password",
        "user.created",
        "the account is gone",
    ] {
        assert!(says.contains(expected), "{expected} is not in\n{says}");
    }
    assert_eq!(
        place
            .run(&["users", "show", "carl@example.com"], "")
            .status
            .code(),
        Some(1)
    );
    assert!(
        !kids()
            .as_array()
            .unwrap()
            .iter()
            .any(|k| k["kid"] == active.as_str() && k["state"] != "revoked"),
        "{says}"
    );
    let server = place.serve();
    // The connections of before are closed.
    let http = reqwest::Client::new();
    let mut statuses = Vec::new();
    for token in &tokens {
        statuses.push(refresh(&http, &server, token).await.unwrap().0);
    }
    assert_eq!(
        statuses,
        [401, 401, 401, 401, 200],
        "signed out, banned, deleted, password changed, none of it"
    );
    // Once more, after an operator has decided otherwise: what was done is not done again.
    done(&["users", "unban", "bob@example.com"], "");
    let again = done(&["audit", "reapply", "export.jsonl", "--yes"], "");
    let says = String::from_utf8(again.stdout).unwrap();
    assert!(
        !says.contains(" done:") && !says.contains(" partly:"),
        "{says}"
    );
    // It fails while bob is banned.
    sign_in(&http, &server, "bob").await;
    std::fs::write(place.path("nonsense.jsonl"), "{}\n").unwrap();
    assert_eq!(
        place
            .run(&["audit", "reapply", "nonsense.jsonl", "--yes"], "")
            .status
            .code(),
        Some(1)
    );
}

#[tokio::test]
async fn users_are_made_shown_and_shut_out() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    let create = &[
        "users",
        "create",
        "Ana@Example.com",
        "--name",
        "Ana",
        "--email-verified",
        "--role",
        "user,admin",
    ];
    assert!(
        place
            .run(
                &[&create[..], &["--dry-run"]].concat(),
                "a good long password\n"
            )
            .status
            .success()
    );
    let made = place.json(create, "a good long password\n");
    assert_eq!(
        (
            made["email"].as_str(),
            made["role"].as_str(),
            made["emailVerified"].as_bool()
        ),
        (Some("ana@example.com"), Some("user,admin"), Some(true))
    );
    assert_eq!(
        place.run(create, "a good long password\n").status.code(),
        Some(1),
        "taken"
    );
    assert_eq!(
        place
            .run(&["users", "create", "b@example.com"], "short\n")
            .status
            .code(),
        Some(1)
    );
    assert_eq!(
        place
            .run(&["users", "create", "b@example.com"], "")
            .status
            .code(),
        Some(2),
        "no password"
    );
    let tokens = sign_in(&http, &server, "ana").await;
    assert_eq!(
        place
            .items(&["users", "list"], "")
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        place.json(&["users", "show", "ana@example.com"], "")["id"],
        made["id"]
    );
    assert_eq!(
        place
            .run(&["users", "show", "unknown@example.com"], "")
            .status
            .code(),
        Some(1)
    );
    let token = tokens["refreshToken"].as_str().unwrap();
    assert!(
        place
            .run(&["users", "disable", "ana@example.com", "--dry-run"], "")
            .status
            .success()
    );
    assert_eq!(refresh(&http, &server, token).await.unwrap().0, 200);
    assert_eq!(
        place
            .run(&["users", "disable", "ana@example.com"], "")
            .status
            .code(),
        Some(2),
        "without a terminal --yes must say it"
    );
    for last in [
        &["users", "disable", "ana@example.com", "--yes"][..],
        &["users", "set-role", "ana@example.com", "user"],
        &["users", "delete", "ana@example.com", "--yes"],
    ] {
        let refused = place.run(last, "");
        assert!(
            refused.status.code() == Some(1)
                && stderr(&refused).contains("At least one admin must remain"),
            "{last:?}: {refused:?}"
        );
    }
    assert!(
        place
            .run(
                &["users", "create", "root@example.com", "--role", "admin"],
                "a good long password\n"
            )
            .status
            .success()
    );
    assert!(
        place
            .run(&["users", "set-role", "ana@example.com", "king"], "")
            .status
            .code()
            == Some(1)
    );
    assert!(
        place
            .run(&["users", "set-role", "ana@example.com", "user"], "")
            .status
            .success()
    );
    for dry in ["--dry-run", "--yes"] {
        let refused = place.run(&["users", "ban", "ana@example.com", "--for", "0s", dry], "");
        assert!(
            refused.status.code() == Some(2) && stderr(&refused).contains("longer than zero"),
            "a ban that is over at once: {refused:?}"
        );
    }
    assert!(
        place
            .run(
                &[
                    "users",
                    "ban",
                    "ana@example.com",
                    "--for",
                    "1h",
                    "--dry-run"
                ],
                ""
            )
            .status
            .success()
    );
    assert_eq!(refresh(&http, &server, token).await.unwrap().0, 200);
    assert!(
        place
            .run(
                &["users", "disable", made["id"].as_str().unwrap(), "--yes"],
                ""
            )
            .status
            .success()
    );
    assert_eq!(
        refresh(&http, &server, token).await.unwrap().1["code"],
        "REFRESH_TOKEN_REVOKED"
    );
    assert!(
        place
            .run(&["users", "enable", "ana@example.com"], "")
            .status
            .success()
    );
    assert!(
        place
            .run(
                &["users", "set-password", "ana@example.com"],
                "another good password\n"
            )
            .status
            .success()
    );
    let old = crate::server::post(
        &http,
        &server.url("/api/auth/sign-in/email"),
        &crate::server::form("ana"),
    )
    .await
    .unwrap();
    assert_eq!(old.1["code"], "INVALID_EMAIL_OR_PASSWORD");
    assert!(
        stderr(&place.run(
            &[
                "users",
                "ban",
                "ana@example.com",
                "--for",
                "1h",
                "--reason",
                "spam",
                "--yes"
            ],
            ""
        ))
        .contains("is banned until")
    );
    assert_eq!(
        place.json(&["users", "show", "ana@example.com"], "")["state"],
        "banned"
    );
    assert!(
        place
            .run(&["users", "unban", "ana@example.com"], "")
            .status
            .success()
    );
    assert!(
        place
            .run(&["users", "delete", "ana@example.com", "--yes"], "")
            .status
            .success()
    );
    assert_eq!(
        place
            .run(&["users", "show", "ana@example.com"], "")
            .status
            .code(),
        Some(1)
    );
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    sign_up(&http, &server, "ana").await;
    let (one, two) = (
        sign_in(&http, &server, "ana").await,
        sign_in(&http, &server, "ana").await,
    );
    let listed = place.items(&["sessions", "list", "--user", "ana@example.com"], "");
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let newest = listed[0]["id"].as_str().unwrap();
    assert!(
        place
            .run(&["sessions", "revoke", newest], "")
            .status
            .success()
    );
    assert_eq!(
        place.run(&["sessions", "revoke", newest], "").status.code(),
        Some(1),
        "already over"
    );
    assert_eq!(
        refresh(&http, &server, two["refreshToken"].as_str().unwrap())
            .await
            .unwrap()
            .0,
        401
    );
    assert_eq!(
        refresh(&http, &server, one["refreshToken"].as_str().unwrap())
            .await
            .unwrap()
            .0,
        200
    );
    let since = |time: &'static str, more: &[&'static str]| {
        let command = [
            "sessions",
            "revoke",
            "--user",
            "ana@example.com",
            "--since",
            time,
        ];
        place.run(&[&command[..], more].concat(), "")
    };
    assert!(
        stderr(&since("1h", &["--dry-run"]))
            .contains("2 session(s) of ana@example.com that began since")
    );
    assert!(
        stderr(&since("2999-01-01", &[]))
            .contains("0 session(s) that began since 2999-01-01T00:00:00.000Z ended")
    );
    assert_eq!(since("soon", &[]).status.code(), Some(2));
    assert!(
        stderr(&place.run(&["sessions", "revoke", "--all", "--yes"], ""))
            .contains("2 session(s) ended")
    );
    assert_eq!(
        place.items(&["sessions", "list", "--user", "ana@example.com"], ""),
        json!([])
    );
}

#[tokio::test]
async fn keys_are_rotated_beside_the_running_server() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    let before = place.items(&["keys", "list"], "");
    let kid = |list: &serde_json::Value, state: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|k| k["state"] == state)
            .unwrap()["kid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let early = place.run(&["keys", "rotate"], "");
    assert_eq!(early.status.code(), Some(1));
    assert!(stderr(&early).contains("--force"), "{}", stderr(&early));
    let plan = place.json(&["keys", "rotate", "--force", "--dry-run"], "");
    assert_eq!(
        (
            plan["written"].as_bool(),
            plan["steps"].as_array().unwrap().len()
        ),
        (Some(false), 3)
    );
    assert_eq!(place.items(&["keys", "list"], ""), before);
    place.json(&["keys", "rotate", "--force"], "");
    let after = place.items(&["keys", "list"], "");
    assert_eq!(
        (kid(&after, "retired"), kid(&after, "active")),
        (kid(&before, "active"), kid(&before, "standby"))
    );
    // The server hears of it by the next statement's answer.
    let token = sign_up(&http, &server, "ana").await;
    let refreshed = refresh(&http, &server, token["refreshToken"].as_str().unwrap())
        .await
        .unwrap()
        .1;
    let verified = place.json(
        &["keys", "verify", refreshed["accessToken"].as_str().unwrap()],
        "",
    );
    assert_eq!(
        (verified["valid"].as_bool(), verified["kid"].as_str()),
        (Some(true), Some(kid(&after, "active").as_str()))
    );
    let exported: serde_json::Value =
        serde_json::from_slice(&place.run(&["keys", "export", "--public"], "").stdout).unwrap();
    let at_jwks: serde_json::Value = http
        .get(server.url("/api/auth/jwks"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(exported, at_jwks);
    assert_eq!(
        String::from_utf8_lossy(
            &place
                .run(&["keys", "export", "--public", "--format", "pem"], "")
                .stdout
        )
        .matches("BEGIN PUBLIC KEY")
        .count(),
        3
    );
    assert_eq!(place.run(&["keys", "export"], "").status.code(), Some(2));
    let revoked = kid(&after, "active");
    assert_eq!(
        place
            .run(&["keys", "revoke", &revoked, "--reason", "leaked"], "")
            .status
            .code(),
        Some(2),
        "--yes"
    );
    place.json(
        &["keys", "revoke", &revoked, "--reason", "leaked", "--yes"],
        "",
    );
    let verified = place.run(
        &["keys", "verify", refreshed["accessToken"].as_str().unwrap()],
        "",
    );
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("is revoked"));
    // A kid may begin with a hyphen: it is unknown, not a misspelt option.
    for unknown in ["nonsense", "-eRA23C4an5H930QcPhtOZxZS6FoI94QSc_02JAMgx4"] {
        assert_eq!(
            place
                .run(&["keys", "revoke", unknown, "--reason", "x", "--yes"], "")
                .status
                .code(),
            Some(1),
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn keys_are_imported_and_sealed_anew() {
    let place = Place::new(&[]);
    drop(place.serve());
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    // A key may keep the kid that it had elsewhere, as long as it can stand in a header.
    for (other, status) in [("another", 0), ("-another", 0), ("a b", 1), ("", 1)] {
        let arguments = ["keys", "import", "-", "--dry-run", "--kid", other];
        let imported = place.run(&arguments, jwk);
        assert_eq!(imported.status.code(), Some(status), "{other:?}");
    }
    let dry = place.json(&["keys", "import", "-", "--dry-run"], jwk);
    assert_eq!(
        (dry["kid"].as_str(), dry["written"].as_bool()),
        (Some(kid), Some(false))
    );
    place.json(
        &["keys", "import", "-", "--as", "retired", "--kid", kid],
        jwk,
    );
    let listed = place.items(&["keys", "list"], "");
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|k| k["kid"] == kid && k["state"] == "retired" && k["leavesJwksAt"].is_string())
    );
    assert_eq!(
        place
            .run(&["keys", "import", "-"], "nonsense")
            .status
            .code(),
        Some(1)
    );

    write_key(
        &place.path("new.key"),
        "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY",
    );
    let dry = place.json(
        &[
            "keys",
            "rewrap",
            "--new-master-key-file",
            "new.key",
            "--dry-run",
        ],
        "",
    );
    assert_eq!(
        (dry["keys"].as_u64(), dry["written"].as_bool()),
        (Some(3), Some(false))
    );
    place.json(&["keys", "rewrap", "--new-master-key-file", "new.key"], "");
    let old = place.run(&["keys", "list"], "");
    assert_eq!(old.status.code(), Some(78));
    assert!(
        stderr(&old).contains("which is not loaded"),
        "{}",
        stderr(&old)
    );
    std::fs::rename(place.path("new.key"), place.path("keys/master.key")).unwrap();
    assert_eq!(place.items(&["keys", "list"], ""), listed);
}

#[test]
fn no_password_is_ever_an_argument() {
    let place = Place::new(&["passwords.blocklist=true"]);
    drop(place.serve());
    let help = place.run(&["users", "create", "--help"], "");
    let text = String::from_utf8_lossy(&help.stdout).to_lowercase();
    assert!(!text.contains("--password"), "{text}");
    // And an operator may choose no worse one than a user.
    let refused = place.run(&["users", "create", "ana@example.com"], "password123\n");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(1)
            && said.contains("too easy to guess")
            && !said.contains("password123"),
        "{refused:?}"
    );
}

#[test]
fn doctor_finds_nothing_wrong_and_then_says_what_is() {
    let place = Place::new(&[]);
    let unborn = place.run(&["doctor"], "");
    assert_eq!(unborn.status.code(), Some(78), "{unborn:?}");
    assert!(!place.path("data").exists(), "it writes nothing");
    assert!(place.run(&["migrate"], "").status.success());
    let unserved = place.run(&["doctor", "--output", "wide"], "");
    assert!(
        unserved.status.code() == Some(1)
            && String::from_utf8_lossy(&unserved.stdout).contains("nothing was ever served"),
        "{unserved:?}"
    );
    assert!(!place.path("keys/master.key").exists(), "it makes no key");
    drop(place.serve());
    let found = place.json(&["doctor"], "");
    let verdicts: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["verdict"].as_str().unwrap())
        .collect();
    assert!(
        verdicts.len() >= 4 && verdicts.iter().all(|v| *v == "good"),
        "{found}"
    );
    assert!(
        found["tables"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["name"] == "sessions" && t["indexBytes"].as_i64().unwrap() > 0)
    );
    std::fs::rename(place.path("keys/master.key"), place.path("elsewhere")).unwrap();
    let bad = place.run(&["doctor", "--output", "json"], "");
    let text = String::from_utf8_lossy(&bad.stdout);
    assert!(
        bad.status.code() == Some(1) && text.contains("no master key at "),
        "{text}"
    );
    assert!(!place.path("keys/master.key").exists(), "it makes no key");
}

#[test]
fn a_database_is_copied_once_and_only_into_an_empty_one() {
    let place = Place::new(&[]);
    drop(place.serve());
    let from = format!("sqlite://{}", place.path("data/countersign.db").display());
    let to = format!("sqlite://{}", place.path("moved.db").display());
    let copy = ["database", "copy", "--from", &from, "--to", &to];
    let typo = format!("sqlite://{}", place.path("typo.db").display());
    assert_eq!(
        place
            .run(&["database", "copy", "--from", &typo, "--to", &to], "")
            .status
            .code(),
        Some(78)
    );
    assert!(
        !place.path("typo.db").exists() && !place.path("moved.db").exists(),
        "a mistyped source makes no file"
    );
    let dry = place.items(&[&copy[..], &["--dry-run"]].concat(), "");
    let told = stderr(&place.run(&[&copy[..], &["--dry-run"]].concat(), ""));
    assert!(
        told.contains("The target does not exist and can be created. Nothing was written."),
        "{told}"
    );
    assert!(!place.path("moved.db").exists(), "a dry run writes nothing");
    assert_eq!(place.items(&copy, ""), dry);
    // What is in use is refused before the service has to stop, too.
    for more in [&[][..], &["--dry-run"]] {
        let again = place.run(&[&copy[..], more].concat(), "");
        assert_eq!(again.status.code(), Some(78), "{again:?}");
    }
    let again = place.run(&copy, "");
    assert!(
        !again.status.success()
            && String::from_utf8_lossy(&again.stderr).contains("already in use"),
        "{again:?}"
    );
}

#[tokio::test]
async fn the_queue_of_mails_is_listed_with_masked_recipients_and_flushed() {
    // The mail server is down.
    let place = Place::new(&[
        "mail.transport=smtp",
        "mail.smtp_url=smtp://127.0.0.1:1",
        "mail.from=auth@example.com",
    ]);
    let server = place.serve();
    let http = reqwest::Client::new();
    sign_up(&http, &server, "ana").await;
    let asked = http
        .post(server.url("/api/auth/request-password-reset"))
        .json(&json!({ "email": "ana@example.com" }))
        .send();
    assert_eq!(asked.await.unwrap().status(), 200);
    drop(server);
    let listed = place.items(&["mail", "list"], "");
    let text = listed.to_string();
    assert!(
        text.contains("reset_password") && !text.contains("ana@example.com"),
        "{text}"
    );
    let whole = place.items(&["mail", "list", "--show-recipients"], "");
    assert!(whole.to_string().contains("ana@example.com"), "{whole}");
    let dry = place.run(&["mail", "flush", "--dry-run"], "");
    assert!(
        stderr(&dry).contains("would be due now. Nothing was written."),
        "{}",
        stderr(&dry)
    );
    let flushed = place.json(&["mail", "flush"], "");
    assert!(flushed["waiting"].as_i64().unwrap() >= 1, "{flushed}");
}

#[test]
fn files_that_are_open_to_others_are_warned_about_and_an_operator_without_a_name_is_a_number() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(&[]);
    drop(place.serve());
    assert!(!stderr(&place.run(&["doctor"], "")).contains("opened by other users"));
    let open = |name: &str, mode: u32| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.path(name), mode).unwrap();
    };
    open("keys", 0o755);
    open("data/countersign.db", 0o644);
    let found = place.json(&["doctor"], "").to_string();
    for warning in [
        "keys can be opened by other users (mode 0755): run `chmod 700",
        "countersign.db can be opened by other users (mode 0644): run `chmod 600",
    ] {
        assert!(found.contains(warning), "{found}");
    }
    let server = place.serve();
    assert_eq!(
        server.log().matches("can be opened by other users").count(),
        2
    );
    drop(server);
    let mut command = place.command();
    command
        .env_remove("USER")
        .args(["limits", "block", "198.51.100.0/24", "--for", "2h"]);
    assert!(command.output().unwrap().status.success());
    let events = place.run(
        &["audit", "list", "--kind", "network.", "--output", "json"],
        "",
    );
    let text = String::from_utf8_lossy(&events.stdout).into_owned();
    let actor = format!("cli:uid {}", nix::unistd::getuid());
    assert!(text.contains(&actor), "{text}");
}
