//! What commands print: tables that fit the terminal, and JSON of one shape.

use std::process::Output;

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use unicode_width::UnicodeWidthStr;

use crate::server::{Place, Server, post, sign_up};

/// A user id as an import brings it: 64 characters.
const LONG_ID: &str = "auth0|0123456789abcdef0123456789abcdef0123456789abcdef0123456789";
/// An email address of 64 characters.
const LONG_EMAIL: &str = "maximiliane.von-und-zu-hohenstein.123456789@mail.abcdefg.example";
const NAME: &str =
    "Ana 👩‍👩‍👧 Ωμέγα 東京タワー, who has a name that is longer than a line of a terminal";

/// Every command that prints a table.
const TABLES: [&[&str]; 19] = [
    &["users", "list"],
    &["users", "list", "--all"],
    &["users", "show", LONG_EMAIL],
    &["users", "links", LONG_EMAIL],
    &["users", "imports"],
    &["upstream", "list"],
    &["sessions", "list", "--user", LONG_EMAIL],
    &["audit", "list"],
    &["audit", "list", "--all"],
    &["limits", "list"],
    &["keys", "list", "--all"],
    &["keys", "processes"],
    &["keys", "rotate", "--force", "--dry-run"],
    &["config", "show"],
    &["config", "check"],
    &["clock", "show"],
    &["doctor"],
    &["doctor", "--verifiers"],
    &["keys", "verify", "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl"],
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command as in a terminal of this width, whose output goes into a pipe.
fn run_at(place: &Place, width: &str, arguments: &[&str]) -> Output {
    let mut command = place.command();
    command.env("COLUMNS", width).args(arguments);
    command.output().unwrap()
}

/// A served place with a user whose id, name and email address are long, two sessions from an IPv6
/// address, a block and a count.
async fn furnished() -> (Place, Server) {
    let ports = crate::server::reserve_ports(1);
    let place = Place::new(&[
        "server.trusted_proxies=127.0.0.1",
        &format!("server.ops_listen=127.0.0.1:{ports}"),
        "rate_limits.enabled=true",
        "upstream.acme.kind=oidc",
        "upstream.acme.issuer=https://id.example.com/realms/a-realm-whose-name-is-longer-than-a-column",
        "upstream.acme.client_id=countersign",
    ]);
    let server = place.serve();
    for arguments in [
        &["users", "create", LONG_EMAIL, "--name", NAME][..],
        &["users", "create", "ben@example.com", "--name", "Ben"],
        &[
            "limits",
            "block",
            "2001:db8:1234:5678:9abc:def0:1234:5678/128",
            "--for",
            "2h",
            "--reason",
            "a flood of guesses from this network, reported by the operator of the night",
        ],
    ] {
        let made = place.run(arguments, "a good long password\n");
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    let database = SqliteConnectOptions::new()
        .filename(place.path("data/countersign.db"))
        .foreign_keys(false);
    let mut database = database.connect().await.unwrap();
    let id: String = sqlx::query_scalar("SELECT id FROM users WHERE email = $1")
        .bind(LONG_EMAIL)
        .fetch_one(&mut database)
        .await
        .unwrap();
    for sql in [
        "UPDATE users SET id = $1 WHERE id = $2",
        "UPDATE accounts SET user_id = $1 WHERE user_id = $2",
    ] {
        let changed = sqlx::query(sql).bind(LONG_ID).bind(&id);
        changed.execute(&mut database).await.unwrap();
    }
    connect(&mut database, LONG_ID).await;
    let http = reqwest::Client::new();
    for password in [
        "a good long password",
        "a good long password",
        "a wrong password",
    ] {
        let form = json!({ "email": LONG_EMAIL, "password": password, "tokenDelivery": "body" });
        let answer = http
            .post(server.url("/api/auth/sign-in/email"))
            .header("x-forwarded-for", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36")
            .json(&form)
            .send()
            .await
            .unwrap();
        let expected = if password == "a wrong password" {
            401
        } else {
            200
        };
        assert_eq!(answer.status(), expected);
    }
    (place, server)
}

/// The id of the account of another provider that [`connect`] connects.
const LINK: &str = "01a22fc9-36e5-7577-8412-3bd259b1ec68";

/// Connects an account of another provider to a user.
async fn connect(database: &mut SqliteConnection, user: &str) {
    let insert = "INSERT INTO accounts (id, user_id, provider_id, account_id, created_at, updated_at, issuer, email, scopes)
                  VALUES ($1, $2, 'acme', 'a-subject-that-is-longer-than-a-column-0123456789', 1, 1, 'https://id.example.com', $3, 'openid')";
    let insert = sqlx::query(insert).bind(LINK).bind(user).bind(LONG_EMAIL);
    insert.execute(database).await.unwrap();
}

#[tokio::test]
async fn connected_accounts_are_listed_and_disconnected() {
    let place = Place::new(&["mail.transport=log"]);
    let _server = place.serve();
    let ana = "ana@example.com";
    let made = place.json(&["users", "create", ana], "a good long password\n");
    let database = SqliteConnectOptions::new().filename(place.path("data/countersign.db"));
    let mut database = database.connect().await.unwrap();
    connect(&mut database, made["id"].as_str().unwrap()).await;
    let links = || place.json(&["users", "links", ana], "")["links"].clone();
    let before = links();
    assert_eq!(
        (
            &before[0]["id"],
            &before[0]["provider"],
            &before[0]["email"]
        ),
        (&json!(LINK), &json!("acme"), &json!(LONG_EMAIL))
    );
    let unlink = |more: &[&str]| place.run(&[&["users", "unlink", ana, LINK], more].concat(), "");
    assert!(unlink(&["--dry-run"]).status.success());
    assert_eq!(links(), before);
    assert!(unlink(&["--yes"]).status.success());
    assert_eq!(links(), json!([]));
    let again = unlink(&["--yes"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("Account not found"));
}

#[tokio::test]
async fn no_table_is_wider_than_the_terminal() {
    let (place, _server) = furnished().await;
    for arguments in TABLES {
        for width in ["80", "60", "120"] {
            let output = run_at(&place, width, arguments);
            let printed = text(&output.stdout);
            let most: usize = width.parse().unwrap();
            assert!(
                !printed.is_empty(),
                "{arguments:?}: {}",
                text(&output.stderr)
            );
            for line in printed.lines() {
                assert!(line.width() <= most, "{arguments:?} at {width}: {line}");
            }
        }
        // A pipe of a program that says nothing about its width.
        let usual = text(&place.run(arguments, "").stdout);
        assert!(
            usual.lines().all(|line| line.width() <= 80),
            "{arguments:?}"
        );
    }
    // What does not fit is there in other forms.
    let narrow = text(&run_at(&place, "80", &["users", "list"]).stdout);
    assert!(
        narrow.contains("auth0|01…6789") && !narrow.contains(LONG_ID),
        "{narrow}"
    );
    let wide = text(&run_at(&place, "80", &["users", "list", "--output", "wide"]).stdout);
    let whole = [LONG_ID, LONG_EMAIL, NAME];
    assert!(
        wide.lines()
            .any(|line| whole.iter().all(|part| line.contains(part))),
        "{wide}"
    );
    let listed = place.items(&["users", "list"], "");
    assert_eq!(
        (&listed[0]["id"], &listed[0]["name"]),
        (&json!(LONG_ID), &json!(NAME))
    );
}

#[tokio::test]
async fn a_list_says_how_much_of_it_is_printed_and_how_to_get_the_rest() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    for name in ["ana", "ben", "carl", "dora", "emil"] {
        sign_up(&http, &server, name).await;
    }
    for _ in 0..2 {
        crate::server::sign_in(&http, &server, "ana").await;
    }
    for network in ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"] {
        let done = place.run(&["limits", "block", network, "--for", "2h"], "");
        assert!(done.status.success());
    }
    let sessions = ["sessions", "list", "--user", "ana@example.com"];
    for (list, total, key) in [
        (&["users", "list"][..], 5, "id"),
        (&sessions, 3, "id"),
        (&["limits", "list"], 3, "whom"),
        (&["audit", "list", "--kind", "session.created"], 7, "id"),
    ] {
        let last_line = |more: &[&str]| {
            let output = place.run(&[list, more].concat(), "");
            assert!(output.status.success(), "{}", text(&output.stderr));
            text(&output.stderr).lines().last().unwrap().to_owned()
        };
        let whole = last_line(&[]);
        assert!(
            whole.starts_with(&format!("{total} of {total} ")),
            "{whole}"
        );
        assert!(!whole.contains("--"), "{whole}");
        let part = last_line(&["--limit", "2"]);
        assert!(part.starts_with(&format!("2 of {total} ")), "{part}");
        assert!(part.contains("; --all or --page "), "{part}");

        let all = place.json(&[list, &["--all"]].concat(), "");
        assert_eq!((&all["total"], &all["next"]), (&json!(total), &json!(null)));
        let ids = |page: &Value| -> Vec<String> {
            let items = page["items"].as_array().unwrap();
            items
                .iter()
                .map(|item| item[key].as_str().unwrap().to_owned())
                .collect()
        };
        // Page by page the whole list, and nothing twice.
        let (mut seen, mut next) = (Vec::new(), Value::Null);
        loop {
            let page = match &next {
                Value::Null => vec![],
                Value::String(place) => vec!["--page".to_owned(), place.clone()],
                number => vec!["--page".to_owned(), number.to_string()],
            };
            let page: Vec<&str> = page.iter().map(String::as_str).collect();
            let found = place.json(&[list, &["--limit", "2"], &page].concat(), "");
            assert_eq!(found["total"], total, "{list:?}");
            seen.extend(ids(&found));
            next = found["next"].clone();
            if next.is_null() {
                break;
            }
        }
        assert_eq!(seen, ids(&all), "{list:?}");
    }
    for wrong in [
        &["users", "list", "--page", "0"][..],
        &["users", "list", "--limit", "0"],
        &["users", "list", "--all", "--page", "2"],
        &["audit", "list", "--page", "2"],
        &[
            "sessions",
            "list",
            "--user",
            "ana@example.com",
            "--page",
            "2",
        ],
    ] {
        assert_eq!(place.run(wrong, "").status.code(), Some(2), "{wrong:?}");
    }
    // Revoked keys are told of.
    let kids = place.items(&["keys", "list"], "");
    let kid = kids
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["state"] == "active")
        .unwrap();
    let revoke = [
        "keys",
        "revoke",
        kid["kid"].as_str().unwrap(),
        "--reason",
        "leaked",
        "--yes",
    ];
    assert!(place.run(&revoke, "").status.success());
    let listed = place.run(&["keys", "list"], "");
    let said = text(&listed.stderr);
    assert!(
        said.lines().last().unwrap().ends_with(" keys; --all"),
        "{said}"
    );
    let shown = place.json(&["keys", "list"], "");
    let all = place.json(&["keys", "list", "--all"], "");
    assert!(shown["items"].as_array().unwrap().len() < all["items"].as_array().unwrap().len());
    assert_eq!(shown["total"], all["items"].as_array().unwrap().len());
}

#[tokio::test]
async fn whatever_lists_something_prints_an_object_with_items_total_and_next() {
    let (place, _server) = furnished().await;
    let source = format!("sqlite://{}", place.path("data/countersign.db").display());
    let target = format!("sqlite://{}", place.path("other.db").display());
    for list in [
        &["users", "list"][..],
        &["sessions", "list", "--user", LONG_EMAIL],
        &["audit", "list"],
        &["limits", "list"],
        &["keys", "list"],
        &["keys", "processes"],
        &["config", "show"],
        &["doctor", "--verifiers"],
        &["migrate"],
        &[
            "database",
            "copy",
            "--from",
            &source,
            "--to",
            &target,
            "--dry-run",
        ],
    ] {
        let found = place.json(list, "");
        assert!(found["items"].is_array(), "{list:?}: {found}");
        assert!(found["total"].is_u64(), "{list:?}: {found}");
        assert!(
            found.get("next").is_some_and(Value::is_null),
            "{list:?}: {found}"
        );
        let shown = found["items"].as_array().unwrap().len();
        assert_eq!(found["total"], shown, "{list:?}: {found}");
    }
    for (object, member) in [
        (&["users", "show", LONG_EMAIL][..], "email"),
        (&["users", "factors", LONG_EMAIL], "twoFactorEnabled"),
        (&["config", "check"], "valid"),
        (&["clock", "show"], "confirmed"),
        (&["doctor"], "findings"),
        (&["audit", "verify"], "faults"),
    ] {
        let output = place.run(&[object, &["--output", "json"]].concat(), "");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(found.get(member).is_some(), "{object:?}: {found}");
    }
    let bad = [
        "--set",
        "tokens.access_ttl=2d",
        "config",
        "check",
        "--output",
        "json",
    ];
    let bad = place.run(&bad, "");
    let found: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(
        (
            bad.status.code(),
            &found["valid"],
            &found["problems"][0]["setting"]
        ),
        (Some(78), &json!(false), &json!("tokens.access_ttl"))
    );
}

#[tokio::test]
async fn a_user_is_shown_with_the_last_sign_in_sessions_and_ban() {
    let place = Place::new(&["mail.transport=log"]);
    let server = place.serve();
    let german = [("accept-language".parse().unwrap(), "de".parse().unwrap())];
    let http = reqwest::Client::builder()
        .default_headers(german.into_iter().collect())
        .build()
        .unwrap();
    let made = place.run(
        &["users", "create", "ana@example.com"],
        "a good long password\n",
    );
    assert!(made.status.success());
    let show = || place.json(&["users", "show", "ana@example.com"], "");
    let before = show();
    assert_eq!(
        (&before["lastSignIn"], &before["sessions"]),
        (&json!(null), &json!(0))
    );
    for _ in 0..2 {
        crate::server::sign_in(&http, &server, "ana").await;
    }
    let session = place.items(&["sessions", "list", "--user", "ana@example.com"], "")[0].clone();
    let there = show();
    // The password was checked a moment before the session began.
    let time = |of: &serde_json::Value, member: &str| of[member].as_str().unwrap().to_owned();
    assert_eq!(
        (&before["language"], &there["language"]),
        (&json!(null), &json!("de"))
    );
    let last = time(&there, "lastSignIn");
    assert!(
        time(&there, "createdAt") < last && last <= time(&session, "createdAt"),
        "{there} {session}"
    );
    assert_eq!(there["sessions"], 2);
    let ban = [
        "users",
        "ban",
        "ana@example.com",
        "--for",
        "7d",
        "--reason",
        "spam",
        "--yes",
    ];
    assert!(place.run(&ban, "").status.success());
    let banned = show();
    assert_eq!(banned["lastSignIn"], there["lastSignIn"]);
    assert_eq!(
        (&banned["sessions"], &banned["banReason"], &banned["state"]),
        (&json!(0), &json!("spam"), &json!("banned"))
    );
    assert!(
        banned["banExpires"]
            .as_str()
            .is_some_and(|end| end.ends_with('Z'))
    );
    let table = text(&place.run(&["users", "show", "ana@example.com"], "").stdout);
    assert!(
        table.contains("lastSignIn") && table.contains("spam"),
        "{table}"
    );
    // An invitation without a page of the application leads to ours.
    let invited = place.json(&["users", "invite", "eva@example.com"], "");
    assert_eq!(
        (&invited["written"], &invited["redirectTo"]),
        (&json!(true), &json!(null))
    );
    let elsewhere = [
        "users",
        "invite",
        "fay@example.com",
        "--redirect-to",
        "https://evil.example/",
    ];
    assert_eq!(place.run(&elsewhere, "").status.code(), Some(2));
}

#[tokio::test]
async fn whatever_changes_something_prints_an_object_that_says_what_and_where() {
    let place = Place::new(&["mail.transport=log"]);
    let server = place.serve();
    let http = reqwest::Client::new();
    sign_up(&http, &server, "ana").await;
    let database = place.path("data/countersign.db").display().to_string();
    let export = place.run(&["audit", "export"], "").stdout;
    std::fs::write(place.path("export.jsonl"), export).unwrap();
    let password = "a good long password\n";
    let ben = "ben@example.com";
    for (command, typed, dry_run, member, expected) in [
        (
            &["users", "create", ben][..],
            password,
            true,
            "email",
            json!(ben),
        ),
        (
            &["users", "invite", "eva@example.com", "--redirect-to", "/x"],
            "",
            true,
            "email",
            json!("eva@example.com"),
        ),
        (
            &["users", "update", ben, "--name", "Ben"],
            "",
            true,
            "name",
            json!("Ben"),
        ),
        (
            &["users", "set-password", ben],
            password,
            true,
            "email",
            json!(ben),
        ),
        (
            &["users", "set-role", ben, "user"],
            "",
            true,
            "role",
            json!("user"),
        ),
        (
            &["users", "set-metadata", ben, r#"{"a":1}"#],
            "",
            true,
            "metadata",
            json!({ "a": 1 }),
        ),
        (
            &["users", "reset-factors", ben, "--yes"],
            "",
            true,
            "twoFactorEnabled",
            json!(false),
        ),
        (
            &["users", "ban", ben, "--reason", "spam", "--yes"],
            "",
            true,
            "banReason",
            json!("spam"),
        ),
        (&["users", "unban", ben], "", true, "state", json!("active")),
        (
            &["users", "disable", "ana@example.com", "--yes"],
            "",
            true,
            "state",
            json!("disabled"),
        ),
        (
            &["users", "enable", "ana@example.com"],
            "",
            true,
            "state",
            json!("active"),
        ),
        (
            &["users", "delete", "ana@example.com", "--yes"],
            "",
            true,
            "state",
            json!("deleted"),
        ),
        (
            &["sessions", "revoke", "--all", "--yes"],
            "",
            true,
            "ended",
            json!(0),
        ),
        (
            &["limits", "block", "198.51.100.0/24", "--for", "2h"],
            "",
            false,
            "network",
            json!("198.51.100.0/24"),
        ),
        (
            &["limits", "unblock", "198.51.100.0/24"],
            "",
            false,
            "network",
            json!("198.51.100.0/24"),
        ),
        (
            &["limits", "clear", "--all", "--yes"],
            "",
            false,
            "cleared",
            json!(0),
        ),
        (
            &["audit", "reapply", "export.jsonl", "--yes"],
            "",
            true,
            "done",
            json!(0),
        ),
        (
            &["keys", "rotate", "--force", "--yes"],
            "",
            true,
            "next",
            Value::Null,
        ),
    ] {
        if dry_run {
            let planned = place.json(&[command, &["--dry-run"]].concat(), typed);
            assert_eq!(planned["written"], false, "{command:?}: {planned}");
            assert_eq!(planned["database"], *database, "{command:?}: {planned}");
        }
        let done = place.json(command, typed);
        assert_eq!(done["written"], true, "{command:?}: {done}");
        assert_eq!(done["database"], *database, "{command:?}: {done}");
        assert_eq!(done[member], expected, "{command:?}: {done}");
    }
    let confirmed = place.json(&["clock", "confirm", "--yes"], "");
    assert!(
        confirmed["confirmed"].is_string() && confirmed["written"] == true,
        "{confirmed}"
    );
    let url = server.url("/api/auth/sign-in/email");
    let answer = post(&http, &url, &crate::server::form("ana")).await;
    assert_eq!(
        answer.unwrap().0,
        401,
        "ana was deleted, not only printed so"
    );
}
