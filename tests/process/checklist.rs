//! The start-up checklist: `serve`, `doctor` and `config check` say the same, once.

use std::process::Output;

use serde_json::Value;

use crate::server::{Place, Server};

/// An item of the list: subject, verdict and finding.
type Item = (String, String, String);

fn item(object: &Value) -> Item {
    let text = |name: &str| object[name].as_str().unwrap().to_owned();
    (text("subject"), text("verdict"), text("finding"))
}

/// The items of the log, as JSON has them.
fn logged(server: &Server) -> Vec<Item> {
    let log = server.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["message"] == "start-up check")
        .map(|line| item(&line))
        .collect()
}

/// The items that `config check` prints.
fn checked(output: &Output) -> Vec<Item> {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter_map(|line| {
        let (mark, rest) = line.split_once(' ')?;
        let verdict = match mark {
            "✓" => "good",
            "!" => "warning",
            "✗" => "bad",
            _ => return None,
        };
        let (subject, finding) = rest.split_once("  ")?;
        Some((
            subject.to_owned(),
            verdict.to_owned(),
            finding.trim_start().to_owned(),
        ))
    });
    lines.collect()
}

/// Without what only a process with an open database knows.
fn of_settings(items: &[Item]) -> Vec<Item> {
    let id = regex_of_id();
    let items = items.iter().filter(|(subject, _, _)| subject != "clock");
    let mut items: Vec<Item> = items.cloned().collect();
    for (_, _, finding) in &mut items {
        *finding = id.replace(finding, "").into_owned();
        *finding = finding.split("; new and empty").next().unwrap().to_owned();
    }
    items
}

fn regex_of_id() -> regex::Regex {
    regex::Regex::new(", id [A-Za-z0-9_-]{16}").unwrap()
}

#[test]
fn serve_doctor_and_config_check_say_the_same_items_once() {
    for settings in [
        &[][..],
        &[
            "server.public_url=https://auth.example.com",
            "server.trusted_origins=http://localhost:5173",
            "passwords.blocklist=false",
            "sessions.refresh_grace=5s",
            "keys.dir=data",
        ],
    ] {
        let place = Place::new(settings);
        let check = place.run(&["config", "check"], "");
        let checked = checked(&check);
        assert!(!place.path("data").exists(), "it creates nothing");
        let server = place.serve();
        let logged = logged(&server);
        let doctor = place.json(&["doctor"], "");
        let doctors: Vec<Item> = doctor["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(item)
            .collect();
        let subjects: Vec<&str> = logged
            .iter()
            .map(|(subject, _, _)| subject.as_str())
            .collect();
        for subject in [
            "sign-in pages",
            "JWKS",
            "discovery",
            "storage",
            "master key",
            "audience",
            "trusted origins",
            "trusted proxies",
            "mail",
            "passwords",
            "clock",
        ] {
            let count = |items: &[Item]| items.iter().filter(|(s, _, _)| s == subject).count();
            assert_eq!((count(&logged), count(&doctors)), (1, 1), "{subject}");
        }
        assert_eq!(of_settings(&logged), checked, "{settings:?}");
        let first = &doctors[..logged.len()];
        assert_eq!(of_settings(first), checked, "{settings:?}");
        // Both know the key.
        let key = |items: &[Item]| items[4].2.clone();
        assert!(regex_of_id().is_match(&key(&logged)), "{subjects:?}");
        assert_eq!(key(&logged), key(first));
        // A warning of the list is one line, at the level of warnings.
        let log = server.log();
        let warnings = checked
            .iter()
            .filter(|(_, verdict, _)| verdict == "warning");
        for (subject, _, finding) in warnings.clone().filter(|(s, _, _)| s != "master key") {
            let told: Vec<&str> = log.lines().filter(|line| line.contains(finding)).collect();
            assert!(
                told.len() == 1 && told[0].contains("\"WARN\""),
                "{subject}: {told:?}"
            );
        }
        assert_eq!(warnings.count(), if settings.is_empty() { 0 } else { 6 });
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert_eq!(said.matches("common passwords are").count(), 1, "{said}");
    }
}

#[test]
fn for_people_the_first_lines_of_serve_are_aligned_and_name_the_urls() {
    let place = Place::new(&[
        "log.format=human",
        "server.public_url=https://auth.example.com/id",
    ]);
    let server = place.serve();
    let log = server.log();
    assert!(
        !log.contains('\u{1b}'),
        "no colours outside a terminal: {log}"
    );
    for (level, line) in [
        ("INFO", "sign-in pages    https://auth.example.com/id/auth"),
        (
            "INFO",
            "JWKS             https://auth.example.com/id/api/auth/jwks",
        ),
        (
            "INFO",
            "discovery        https://auth.example.com/id/.well-known/openid-configuration",
        ),
        ("INFO", "master key       /"),
        (
            "INFO",
            "audience         verifiers must expect iss https://auth.example.com/id",
        ),
        ("WARN", "trusted proxies  none, but"),
        ("WARN", "mail             off (mail.transport is auto"),
        ("INFO", "clock            "),
    ] {
        let found = log.lines().find(|one| one.contains(line));
        assert!(
            found.is_some_and(|one| one.contains(&format!("{level} {line}"))),
            "{line:?} in {log}"
        );
    }
    let empty = "new and empty: if you expected users here, this is the wrong directory";
    assert!(log.contains(empty), "{log}");
    drop(server);
    // A second start finds the database of the first.
    drop(place.serve());
    assert_eq!(place.serve().log().matches(empty).count(), 1);
}

#[test]
fn config_show_tells_what_auto_became_and_why() {
    let place = Place::new(&["server.public_url=https://auth.example.com"]);
    let shown = place.run(&["config", "show", "--output", "wide"], "");
    let table = String::from_utf8(shown.stdout).unwrap();
    for text in [
        "auto → off (the public URL is not http on loopback)",
        "auto → true (the public URL is not loopback)",
        "auto → 2500 (it is a quarter of server.max_connections)",
        "auto → revoke in cookies, supersede in bodies (",
        "auto → json, or human on a terminal (",
    ] {
        assert!(table.contains(text), "{text} in {table}");
    }
    // No `auto` is left without an explanation.
    let unexplained = table
        .lines()
        .filter(|line| line.contains(" auto ") && !line.contains("auto →"));
    assert_eq!(unexplained.count(), 0, "{table}");
    let rows = place.json(&["config", "show"], "");
    let row = |key: &str| {
        let rows = rows["items"].as_array().unwrap();
        rows.iter()
            .find(|row| row["setting"] == key)
            .unwrap()
            .clone()
    };
    let mail = row("mail.transport");
    assert_eq!(
        (&mail["value"], &mail["source"]),
        (&"auto".into(), &"default".into())
    );
    assert_eq!(mail["became"]["value"], "off");
    let audience = row("tokens.audience");
    assert_eq!(audience["value"], "");
    assert_eq!(audience["became"]["value"], "https://auth.example.com");
    assert_eq!(audience["became"]["reason"], "it is the issuer");
    assert!(row("server.listen")["became"].is_null());
    // A value that was written is in force as it is.
    let place = Place::new(&["passwords.blocklist=true", "tokens.audience=api"]);
    let rows = place.json(&["config", "show"], "");
    for key in ["passwords.blocklist", "tokens.audience"] {
        let rows = rows["items"].as_array().unwrap();
        let row = rows.iter().find(|row| row["setting"] == key).unwrap();
        assert!(row["became"].is_null(), "{row}");
    }
}
