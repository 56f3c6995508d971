//! Settings on their way in and out: secrets that are no arguments, what is printed of them, what
//! is warned about.

use std::os::unix::ffi::OsStrExt;
use std::process::Output;

use crate::server::{Place, post, write_key};
use serde_json::json;

const SECRET: &str = "whsec_Z2VoZWltZ2VoZWltZ2VoZWltZ2VoZWlt";

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_secret_in_the_arguments_of_a_command_is_refused_and_the_environment_and_files_take_it() {
    let place = Place::new(&[]);
    let secrets = [
        ("webhooks.secret", SECRET),
        ("webhooks.previous_secret", SECRET),
        ("mail.smtp_url", "smtps://user:geheim@mail.example.com"),
        ("database.url", "postgres://u:geheim@127.0.0.1:1/x"),
        (
            "database.direct_url",
            "postgres://u@127.0.0.1:1/x?password=geheim",
        ),
        ("webhooks.url", "https://u:geheim@hooks.example/"),
        (
            "traces.otlp_url",
            "https://u:geheim@collector.example/v1/traces",
        ),
    ];
    for (key, value) in secrets {
        for command in [&["serve"][..], &["config", "show"], &["users", "list"]] {
            let set = format!("{key}={value}");
            let refused = place.run(&[&["--set", &set], command].concat(), "");
            let said = stderr(&refused);
            let variable = format!("COUNTERSIGN_{}", key.to_uppercase().replace('.', "__"));
            assert!(
                refused.status.code() == Some(78)
                    && said.contains(&variable)
                    && said.contains(&format!("{key}_file")),
                "{key} {command:?}: {said}"
            );
            assert!(!said.contains("geheim") && !said.contains(SECRET), "{said}");
        }
    }
    let copied = place.run(
        &[
            "database",
            "copy",
            "--from",
            "sqlite://x.db",
            "--to",
            "postgres://u:geheim@127.0.0.1:1/x",
        ],
        "",
    );
    assert!(
        copied.status.code() == Some(2)
            && stderr(&copied).contains("PGPASSFILE")
            && !stderr(&copied).contains("geheim"),
        "{copied:?}"
    );
    // The same by a file of its own, in each of the ways that name one.
    write_key(
        &place.path("smtp"),
        "smtps://user:geheim@mail.example.com\n",
    );
    let path = place.path("smtp").display().to_string();
    let shown = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("smtps://user:***@mail.example.com") && !text.contains("geheim"),
            "{text}"
        );
    };
    shown(place.run(
        &[
            "--set",
            &format!("mail.smtp_url_file={path}"),
            "config",
            "show",
            "--output",
            "wide",
        ],
        "",
    ));
    shown(
        place
            .command()
            .args(["config", "show", "--output", "wide"])
            .env("COUNTERSIGN_MAIL__SMTP_URL_FILE", &path)
            .output()
            .unwrap(),
    );
    shown(
        place
            .command()
            .args(["config", "show", "--output", "wide"])
            .env(
                "COUNTERSIGN_MAIL__SMTP_URL",
                "smtps://user:geheim@mail.example.com",
            )
            .output()
            .unwrap(),
    );
    std::fs::write(
        place.path("countersign.toml"),
        format!("[mail]\nsmtp_url_file = {path:?}\n"),
    )
    .unwrap();
    shown(place.run(&["config", "show", "--output", "wide"], ""));
    // Which of two was meant is not for us to say.
    let both = place
        .command()
        .args(["config", "show", "--output", "wide"])
        .env("COUNTERSIGN_MAIL__SMTP_URL", "x")
        .env("COUNTERSIGN_MAIL__SMTP_URL_FILE", &path)
        .output()
        .unwrap();
    assert!(
        both.status.code() == Some(78) && stderr(&both).contains("both set"),
        "{both:?}"
    );
    let missing = place.run(
        &[
            "--set",
            "mail.smtp_url_file=/nowhere",
            "config",
            "show",
            "--output",
            "wide",
        ],
        "",
    );
    assert!(
        missing.status.code() == Some(78) && stderr(&missing).contains("there is no file /nowhere"),
        "{missing:?}"
    );
}

#[test]
fn every_url_is_masked_by_one_rule() {
    let place = Place::new(&[]);
    let shown = place
        .command()
        .args(["config", "show", "--output", "json"])
        .envs([
            (
                "COUNTERSIGN_DATABASE__URL",
                "postgres://u:geheim@h.example/db?sslmode=verify-full",
            ),
            (
                "COUNTERSIGN_DATABASE__DIRECT_URL",
                "postgres://u:geheim@d.example/db?sslmode=verify-full",
            ),
            ("COUNTERSIGN_MAIL__SMTP_URL", "smtps://u:geheim@m.example"),
            (
                "COUNTERSIGN_WEBHOOKS__URL",
                "https://u:geheim@w.example/geheim",
            ),
            ("COUNTERSIGN_WEBHOOKS__SECRET", SECRET),
            ("COUNTERSIGN_WEBHOOKS__EVENTS", "keys.*"),
            (
                "COUNTERSIGN_TRACES__OTLP_URL",
                "https://u:geheim@t.example/v1/geheim",
            ),
        ])
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let text = String::from_utf8(shown.stdout).unwrap();
    for masked in [
        "postgres://u:***@h.example/db",
        "postgres://u:***@d.example/db",
        "smtps://u:***@m.example",
        "https://w.example/***",
        "https://t.example/***",
    ] {
        assert!(text.contains(masked), "{masked} not in {text}");
    }
    assert!(
        !text.contains("geheim") && !text.contains("%E2%80%A6") && !text.contains(SECRET),
        "{text}"
    );
}

#[test]
fn a_setting_that_is_like_no_other_is_refused_without_a_guess() {
    let place = Place::new(&[]);
    for (wrong, meant) in [
        ("nope.x=1", None),
        ("server.port=1", None),
        ("idle_ttl=3d", Some("sessions.idle_ttl")),
        ("tokens.tpy=JWT", Some("tokens.typ")),
    ] {
        let said = stderr(&place.run(&["--set", wrong, "config", "check"], ""));
        match meant {
            None => assert!(
                said.contains("there is no such setting") && !said.contains("did you mean"),
                "{wrong}: {said}"
            ),
            Some(meant) => assert!(
                said.contains(&format!("did you mean {meant}?")),
                "{wrong}: {said}"
            ),
        }
    }
}

#[test]
fn a_remote_postgres_without_sslmode_is_warned_about() {
    let place = Place::new(&[]);
    let warned = |url: &str, more: &[(&str, &str)]| {
        let said = place
            .command()
            .args(["config", "check"])
            .env("COUNTERSIGN_DATABASE__URL", url)
            .envs(more.iter().copied())
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        stderr(&said).contains("add sslmode=verify-full")
    };
    for url in [
        "postgres://u@db.example/x",
        "postgres://u@10.0.0.7/x",
        "postgresql://u@db/x?sslmode=prefer",
        "postgres://u@db/x?sslmode=disable",
        "postgres:///x?host=db.example",
    ] {
        assert!(warned(url, &[]), "{url}");
    }
    let near = [
        "postgres://u@localhost/x",
        "postgres://u@127.0.0.1:5433/x",
        "postgres://u@[::1]/x",
        "postgres:///x?host=/run/postgresql",
        "postgres://u@%2Frun%2Fpostgresql/x",
    ];
    let safe = [
        "postgres://u@db/x?sslmode=verify-full",
        "postgres://u@db/x?sslmode=verify-ca",
        "postgres://u@db/x?sslmode=require",
    ];
    for url in near.into_iter().chain(safe) {
        assert!(!warned(url, &[]), "{url}");
    }
    assert!(!warned(
        "postgres://u@db.example/x",
        &[("PGSSLMODE", "verify-full")]
    ));
    let direct = [
        (
            "COUNTERSIGN_DATABASE__DIRECT_URL",
            "postgres://u@db.example/x",
        ),
        ("COUNTERSIGN_DATABASE__PREPARED_STATEMENTS", "false"),
    ];
    assert!(
        warned("postgres://u@127.0.0.1:6432/x", &direct),
        "a URL that bypasses the pooler"
    );
}

#[tokio::test]
async fn on_loopback_a_frequent_password_is_taken_with_one_line_and_elsewhere_it_is_refused() {
    let place = Place::new(&[]);
    let http = reqwest::Client::new();
    let form = json!({ "name": "Ana", "email": "ana@example.com", "password": "password123" });
    let server = place.serve();
    let (status, body) = post(&http, &server.url("/api/auth/sign-up/email"), &form)
        .await
        .unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        server
            .log()
            .lines()
            .filter(|line| line.contains("passwords.blocklist"))
            .count(),
        1,
        "{}",
        server.log()
    );
    assert!(
        stderr(&place.run(&["config", "check"], ""))
            .contains("accepted (passwords.blocklist is auto, and the public URL is loopback)")
    );
    drop(server);
    let public = Place::new(&["server.public_url=https://auth.example.com"]);
    assert!(stderr(&public.run(&["config", "check"], "")).contains("common passwords are refused"));
    let server = public.serve();
    let (status, body) = post(&http, &server.url("/api/auth/sign-up/email"), &form)
        .await
        .unwrap();
    assert_eq!(
        (status, body["code"].as_str()),
        (400, Some("PASSWORD_TOO_COMMON")),
        "{body}"
    );
    assert!(server.log().contains("common passwords are refused"));
    drop(server);
    // The operator's word counts in both places.
    assert!(
        stderr(&place.run(
            &["--set", "passwords.blocklist=true", "config", "check"],
            ""
        ))
        .contains("common passwords are refused (passwords.blocklist)")
    );
    assert!(
        stderr(&public.run(
            &["--set", "passwords.blocklist=false", "config", "check"],
            ""
        ))
        .contains("common passwords are accepted (passwords.blocklist); set")
    );
}

#[test]
fn a_text_that_reaches_a_header_a_mail_or_a_url_is_refused_by_name_before_anything_starts() {
    let place = Place::new(&[]);
    for (key, value) in [
        ("sessions.cookie_prefix", "__Host-app"),
        ("sessions.cookie_prefix", "a;b"),
        ("sessions.cookie_domain", "evil; Path=/x"),
        ("mail.from", "Notes <a@b.example>\r\nBcc: c@d.example"),
        ("mail.from", "a@b.example, c@d.example"),
        ("mail.app_name", "Notes\nBcc: c@d.example"),
        ("tokens.issuer", "https://a\"b.example"),
        ("tokens.audience", "two words"),
        ("pages.home", "/auth\r\nset-cookie: a=b"),
        ("pages.accent", "#fff;}"),
        ("server.public_url", "https://a;b.example"),
        ("server.trusted_origins", "https://a.example;script-src"),
        ("webhooks.url", "https://a;b.example/"),
        ("keys.dir", " keys"),
        ("log.level", "info "),
    ] {
        for command in [&["serve"][..], &["config", "check"], &["doctor"]] {
            let variable = format!("COUNTERSIGN_{}", key.to_uppercase().replace('.', "__"));
            let refused = place
                .command()
                .args(command)
                .env(&variable, value)
                .output()
                .unwrap();
            let said = stderr(&refused);
            assert_eq!(refused.status.code(), Some(78), "{key} {command:?}: {said}");
            let line = said
                .lines()
                .find(|line| line.contains(key))
                .unwrap_or_else(|| panic!("{key} {command:?}: {said}"));
            assert!(
                ["example: ", "such as", "write "]
                    .iter()
                    .any(|word| line.contains(word)),
                "{line}"
            );
        }
    }
    // A variable that is no text is not left out.
    let odd = std::ffi::OsStr::from_bytes(b"app\xff");
    let refused = place
        .command()
        .args(["config", "check"])
        .env("COUNTERSIGN_SESSIONS__COOKIE_PREFIX", odd)
        .output()
        .unwrap();
    assert!(
        refused.status.code() == Some(78)
            && stderr(&refused).contains("COUNTERSIGN_SESSIONS__COOKIE_PREFIX: is not valid UTF-8"),
        "{refused:?}"
    );
}
