//! Hostile texts for every setting: each is refused by the setting's name, with what is wrong and
//! an example, or works in full. None works in part.

use countersign::config::{Config, Problem, Sources};
use countersign::mail::Transport;
use serde_json::json;

use crate::support::{Browser, TestApp};

const SECRET: &str = "whsec_Z2VoZWltZ2VoZWltZ2VoZWltZ2VoZWlt";
const FORMER_SECRET: &str = "whsec_Z2VoZWltZ2VoZWltZ2VoZWltZ2VoZWltZ2Vo";

/// Settings of names of one's own, which the defaults do not show.
const OWN: [(&str, &str); 22] = [
    ("roles.support", "user:list"),
    ("tokens.claims.department", "user.metadata.department"),
    ("upstream.acme.kind", "oidc"),
    ("upstream.acme.enabled", "true"),
    ("upstream.acme.name", "Acme"),
    ("upstream.acme.issuer", "https://id.acme.example"),
    ("upstream.acme.client_id", "countersign"),
    ("upstream.acme.client_secret", "geheim-1"),
    ("upstream.acme.client_ids", "ios-app"),
    ("upstream.acme.scopes", "openid"),
    ("upstream.acme.domains", "acme.example"),
    ("upstream.acme.email", "authoritative"),
    ("upstream.acme.sign_up", "requested"),
    ("upstream.acme.response_mode", "query"),
    ("upstream.acme.trust_mfa", "false"),
    ("upstream.acme.keep_tokens", "true"),
    ("upstream.acme.allow_private", "false"),
    ("upstream.google.hd", "corp.example"),
    ("upstream.microsoft.tenant", "common"),
    ("upstream.github.organizations", "acme"),
    ("upstream.github.base_url", "https://git.corp.example"),
    ("upstream.gitlab.base_url", "https://lab.corp.example"),
];

/// A good value where the default is empty, or holds less than it could.
const GOOD: [(&str, &str); 26] = [
    ("server.public_url", "http://localhost:4000/id"),
    ("server.trusted_origins", "https://app.example.com"),
    ("server.trusted_proxies", "10.0.0.0/8"),
    ("database.direct_url", "postgres://user@localhost/database"),
    ("tokens.issuer", "https://auth.example.com/id"),
    ("tokens.audience", "https://api.example.com"),
    ("tokens.client_id", "web"),
    ("sessions.cookie_domain", "example.com"),
    ("two_factor.issuer", "Example Notes"),
    ("passkeys.rp_id", "example.com"),
    ("passkeys.origins", "https://app.example.com"),
    ("passwords.breached_file", "breached.txt"),
    ("passwords.pepper", "a pepper"),
    ("sign_up.allowed_domains", "example.com"),
    ("sign_up.blocked_domains", "*.example.com"),
    ("mail.smtp_url", "smtps://user:password@mail.example.com"),
    ("mail.helo", "mail.example.com"),
    ("mail.templates_dir", "templates/mail"),
    ("pages.name", "Example Notes"),
    ("pages.logo", "templates/pages/icon.svg"),
    ("pages.languages_dir", "templates/words"),
    ("webhooks.url", "https://hooks.example.com/countersign"),
    ("webhooks.secret", SECRET),
    ("webhooks.previous_secret", FORMER_SECRET),
    ("webhooks.events", "refresh_token.reused"),
    ("traces.otlp_url", "https://traces.example.com/v1/traces"),
];

/// What a setting needs beside it.
fn beside(key: &str) -> Vec<(&'static str, &'static str)> {
    match key {
        "database.direct_url" => vec![("database.url", "postgres://user@localhost/database")],
        "sessions.cookie_domain" => vec![("server.public_url", "https://auth.example.com")],
        key if key.starts_with("webhooks.") => vec![
            ("webhooks.url", "https://hooks.example.com/"),
            ("webhooks.secret", SECRET),
            ("webhooks.events", "*"),
        ],
        key if key.starts_with("upstream.acme.") => vec![
            ("upstream.acme.kind", "oidc"),
            ("upstream.acme.issuer", "https://id.acme.example"),
            ("upstream.acme.client_id", "countersign"),
        ],
        key if key.starts_with("upstream.google.") => vec![
            ("upstream.google.client_id", "countersign"),
            ("upstream.google.client_secret", "geheim-1"),
        ],
        key if key.starts_with("upstream.microsoft.") => vec![
            ("upstream.microsoft.client_id", "countersign"),
            ("upstream.microsoft.client_secret", "geheim-1"),
        ],
        key if key.starts_with("upstream.github.") => vec![
            ("upstream.github.client_id", "countersign"),
            ("upstream.github.client_secret", "geheim-1"),
        ],
        key if key.starts_with("upstream.gitlab.") => {
            vec![("upstream.gitlab.client_id", "countersign")]
        }
        _ => Vec::new(),
    }
}

fn load(key: &str, value: &str) -> Result<Config, Vec<Problem>> {
    let own = (key.to_owned(), value.to_owned());
    let flags = beside(key)
        .into_iter()
        .filter(|(name, _)| *name != key)
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .chain([own])
        .collect();
    Config::load(&Sources {
        flags,
        ..Sources::default()
    })
}

/// Every setting that there is, with a good value.
fn all() -> Vec<(String, String)> {
    let defaults = Config::load(&Sources::default())
        .unwrap()
        .effective
        .into_iter()
        .map(|one| (one.key, one.value));
    let good = |key: &str| {
        GOOD.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| (*value).to_owned())
    };
    let all: Vec<_> = defaults
        .map(|(key, value)| (good(&key).unwrap_or(value), key))
        .map(|(value, key)| (key, value))
        .collect();
    all.into_iter()
        .chain(OWN.map(|(k, v)| (k.to_owned(), v.to_owned())))
        .collect()
}

#[track_caller]
fn assert_told(key: &str, value: &str, problems: &[Problem]) {
    let what = format!(
        "{key} = {:?}: {problems:?}",
        value.chars().take(60).collect::<String>()
    );
    let own: Vec<&Problem> = problems
        .iter()
        .filter(|problem| problem.key == key)
        .collect();
    assert!(!own.is_empty(), "{what}");
    for problem in own {
        assert!(
            problem.message.len() > 10 && !problem.message.chars().any(char::is_control),
            "{what}"
        );
        let says_how = ["example: ", "such as", "write "]
            .iter()
            .any(|word| problem.message.contains(word));
        assert!(
            says_how,
            "{key}: neither an example nor what to write: {}",
            problem.message
        );
        assert!(
            problem.message.len() < 600,
            "{key}: a message of {} bytes",
            problem.message.len()
        );
    }
}

/// Texts around a good value that no setting takes.
fn never(good: &str) -> Vec<String> {
    let around = [
        "\n",
        "\r\n",
        "\r\nset-cookie: a=b",
        "\0",
        "\u{1}",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{200b}",
        "\u{feff}",
        "\u{fffd}",
        " ",
        "\t",
        "\u{a0}",
    ];
    let mut texts: Vec<String> = around
        .iter()
        .flat_map(|odd| [format!("{good}{odd}"), format!("{odd}{good}")])
        .collect();
    let middle = good
        .char_indices()
        .nth(good.chars().count() / 2)
        .map_or(0, |(at, _)| at);
    texts.extend(
        ["\r\n", "\0", "\u{202e}"]
            .map(|odd| format!("{}{odd}{}", &good[..middle], &good[middle..])),
    );
    texts.extend([
        format!("{good}{}", "x".repeat(10_240)),
        "x".repeat(10_240),
        "\u{fc}".repeat(5_000),
    ]);
    texts
}

#[test]
fn no_setting_takes_a_text_that_ends_a_line_cannot_be_seen_or_is_endless() {
    let mut tried = 0;
    for (key, good) in all() {
        if let Err(problems) = load(&key, &good) {
            panic!("{key} = {good:?} is meant to be good: {problems:?}");
        }
        for text in never(&good) {
            tried += 1;
            match load(&key, &text) {
                Err(problems) => assert_told(&key, &text, &problems),
                Ok(_) => panic!(
                    "{key} takes {:?}",
                    text.chars().take(60).collect::<String>()
                ),
            }
        }
    }
    println!("{tried} hostile texts refused");
    assert!(tried > 3_000);
}

/// Which of `;`, `,`, quotes, letters of other scripts and nothing at all a setting takes, because
/// they mean nothing where it goes: file names, names for people in mails and pages (both are
/// escaped), claims of tokens (JSON), paths of URLs. A setting that is not named takes none of
/// them.
const TAKES: [(&str, &str); 37] = [
    ("server.trusted_origins", "eu"),
    ("server.trusted_proxies", "e"),
    ("database.url", ";,\"'u"),
    ("database.direct_url", ";,\"'ue"),
    ("keys.dir", ";,\"'u"),
    ("tokens.issuer", ";,'"),
    ("tokens.audience", ";,'e"),
    ("tokens.client_id", ";,\"'e"),
    ("sessions.cookie_domain", "e"),
    ("two_factor.issuer", ";,\"'ue"),
    ("two_factor.page", ";,\"'u"),
    ("passkeys.rp_id", "e"),
    ("passkeys.origins", "eu"),
    ("passwords.breached_file", ";,\"'ue"),
    ("passwords.pepper", ";,\"'ue"),
    ("sign_up.allowed_domains", "e"),
    ("sign_up.blocked_domains", "e"),
    ("mail.smtp_url", "e"),
    ("mail.helo", "e"),
    ("mail.dir", ";,\"'u"),
    ("mail.app_name", ";,\"'u"),
    ("mail.templates_dir", ";,\"'ue"),
    ("pages.name", ";,\"'ue"),
    ("pages.home", ";,\"'u"),
    ("pages.logo", "e"),
    ("pages.languages_dir", "e"),
    ("webhooks.url", ";,'e"),
    ("webhooks.previous_secret", "e"),
    ("traces.otlp_url", ";,'e"),
    ("tokens.claims.department", ";,\"'u"),
    ("upstream.acme.name", ";,\"'u"),
    ("upstream.acme.client_secret", ";,\"'ue"),
    ("upstream.acme.client_ids", ",e"),
    ("upstream.acme.scopes", ",e"),
    ("upstream.acme.domains", "e"),
    ("upstream.google.hd", "e"),
    ("upstream.github.organizations", ",e"),
];

#[test]
fn what_means_something_in_a_header_a_list_or_a_policy_is_taken_only_where_it_means_nothing() {
    let mut wrong = Vec::new();
    for (key, good) in all() {
        let takes = TAKES
            .iter()
            .find(|(name, _)| *name == key)
            .map_or("", |(_, takes)| takes);
        let takes = if key == "roles.support" {
            ";,'e"
        } else {
            takes
        };
        for (kind, text) in [
            (';', format!("{good};x")),
            (',', format!("{good},x")),
            ('"', format!("{good}\"x")),
            ('\'', format!("{good}'x")),
            ('u', format!("{good}\u{fc}")),
            ('e', String::new()),
        ] {
            match load(&key, &text) {
                Err(problems) => {
                    assert_told(&key, &text, &problems);
                    if takes.contains(kind) {
                        wrong.push(format!("{key} is meant to take {text:?}: {problems:?}"));
                    }
                }
                Ok(_) if takes.contains(kind) => {}
                Ok(_) => wrong.push(format!("{key} takes {text:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (key, bad) in [
        ("sessions.cookie_prefix", "__Host-app"),
        ("sessions.cookie_prefix", "__secure-app"),
        ("sessions.cookie_prefix", "a=b"),
        ("mail.from", "a@b.example, c@d.example"),
        ("mail.from", "A <a@b.example>\r\nBcc: c@d.example"),
        ("mail.from", "not an address"),
        ("server.public_url", "https://a;b.example"),
        ("server.public_url", "https://:secret@a.example"),
        ("server.public_url", "https://a.example/x;y"),
        ("server.trusted_origins", "https://a;script-src.example"),
        ("server.trusted_origins", "https://a.example/"),
        ("server.base_path", "/api\"auth"),
        ("tokens.issuer", "https://a\"b.example"),
        ("tokens.issuer", "https://a.example?x"),
        ("tokens.issuer", "https://a.example/a b"),
        ("tokens.audience", "two words"),
        ("webhooks.url", "https://a;b.example"),
        ("traces.otlp_url", "https://a\"b.example"),
        ("mail.smtp_url", "smtps://user:password@a;b.example"),
        ("mail.smtp_url", "not a url"),
        ("pages.home", "https://evil.example/"),
        ("pages.accent", "#fff;}"),
        ("log.level", "info,co untersign==debug"),
        (
            "database.direct_url",
            "postgres://u@localhost/x?options[search_path]=a%20-c%20role=postgres",
        ),
        ("roles.support", "two words"),
        ("tokens.claims.department", "user.email"),
    ] {
        match load(key, bad) {
            Err(problems) => assert_told(key, bad, &problems),
            Ok(_) => panic!("{key} takes {bad:?}"),
        }
    }
}

#[test]
fn names_of_the_operator_s_own_settings_are_held_to_a_form_too() {
    for (name, value) in OWN {
        assert!(load(name, value).is_ok(), "{name}");
    }
    for name in [
        "roles.a,b",
        "roles.a;b",
        "roles.a\"b",
        "roles.a\r\nb",
        "roles. a",
        "roles.",
        "tokens.claims.a b",
        "tokens.claims.a\"b",
        "tokens.claims.\u{fc}",
        "tokens.claims.a\nb",
    ] {
        let value = if name.starts_with("roles") {
            "user:list"
        } else {
            "user.metadata.x"
        };
        assert_told(name, value, &load(name, value).unwrap_err());
    }
    let printed = load("a\nb", "x").unwrap_err()[0].to_string();
    assert!(!printed.contains('\n'), "{printed:?}");
}

#[test]
fn the_environment_and_the_file_are_held_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("countersign.toml");
    for (key, good, value) in [
        ("mail.app_name", "a b", "a\nb"),
        ("sessions.cookie_prefix", "a-b", "a;b"),
        ("tokens.audience", "a.b", "a\u{0}b"),
        ("mail.from", "x@example.com", "x"),
        ("keys.dir", "secret", " secret"),
    ] {
        let variable = format!("COUNTERSIGN_{}", key.to_uppercase().replace('.', "__"));
        let (section, name) = key.split_once('.').unwrap();
        std::fs::write(&file, format!("[{section}]\n{name} = {}\n", json!(good))).unwrap();
        let accepted = [
            Sources {
                environment: vec![(variable.clone(), good.to_owned())],
                ..Sources::default()
            },
            Sources {
                file: Some(file.clone()),
                ..Sources::default()
            },
        ];
        for sources in accepted {
            assert!(Config::load(&sources).is_ok(), "{key}");
        }
        let environment = vec![(variable, value.to_owned())];
        assert_told(
            key,
            value,
            &Config::load(&Sources {
                environment,
                ..Sources::default()
            })
            .unwrap_err(),
        );
        for written in [json!(value), json!(["https://good.example", value])] {
            std::fs::write(&file, format!("[{section}]\n{name} = {written}\n")).unwrap();
            assert_told(
                key,
                value,
                &Config::load(&Sources {
                    file: Some(file.clone()),
                    ..Sources::default()
                })
                .unwrap_err(),
            );
        }
    }
}

#[test]
fn every_sender_that_is_taken_can_write_a_mail() {
    for from in [
        "Countersign <countersign@localhost>",
        "a@b.example",
        "<a@b.example>",
        "M\u{fc}ller <x+y@b.example>",
        "\"Example, Inc.; @ (x)\" <a@b.example>",
        "O'Hara <o'hara@b.example>",
    ] {
        let config = load("mail.from", from).unwrap();
        let sender = Transport::sender(&config.mail.from).unwrap_or_else(|e| panic!("{from}: {e}"));
        assert_eq!(
            sender.email.to_string(),
            format!("{}@{}", config.mail.from.local, config.mail.from.domain)
        );
    }
}

#[tokio::test]
async fn what_is_taken_works_in_headers_pages_and_tokens() {
    let home = "/dash/\u{fc};x,\"y\"";
    let app = TestApp::with(&[
        ("mail.app_name", "M\u{fc}ller & \"S\u{f6}hne\"; <b>, Ltd"),
        ("pages.home", home),
        ("tokens.audience", "api;x"),
        ("tokens.client_id", "we'b;\"x"),
        ("server.trusted_origins", "https://*.example.com"),
        ("roles.support", "a;b"),
    ])
    .await;
    let ana = app.user("ana").await;
    let claims = app
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" }),
        )
        .await
        .ok()
        .claims("accessToken");
    assert_eq!(
        (claims["aud"].as_str(), claims["client_id"].as_str()),
        (Some("api;x"), Some("we'b;\"x"))
    );
    // Where a place of other letters is led to, the header is there, and says the place.
    let browser = Browser::new(&app);
    let shown = browser.get("/auth/sign-in").await.ok();
    assert!(
        shown
            .text
            .contains("M\u{fc}ller &#38; &#34;S\u{f6}hne&#34;; &#60;b&#62;, Ltd"),
        "{}",
        shown.text
    );
    let signed_in = browser
        .form(
            "/auth/sign-in",
            &[
                ("email", &ana.email),
                ("password", &ana.password),
                ("remember", "yes"),
            ],
        )
        .await;
    assert_eq!(
        (signed_in.status.as_u16(), signed_in.header("location")),
        (303, "/dash/%C3%BC;x,\"y\"")
    );
    for (callback, location) in [
        ("/dash/\u{fc} x", "/dash/%C3%BC%20x"),
        (
            "https://app.example.com/\u{65e5}",
            "https://app.example.com/%E6%97%A5",
        ),
        ("/plain?a=%20#b", "/plain?a=%20#b"),
    ] {
        let answer = app
            .post(
                "/api/auth/sign-in/email",
                &json!({ "email": ana.email, "password": ana.password, "callbackURL": callback }),
            )
            .await
            .ok();
        assert_eq!(
            (answer.header("location"), answer.body["url"].as_str()),
            (location, Some(callback))
        );
    }
    // No place's host brings a directive into the policy of a page.
    for host in [
        "https://a;b.example.com/",
        "https://a'b.example.com/",
        "https://a\"b.example.com/",
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("redirect_to", host)
            .finish();
        assert_eq!(
            Browser::new(&app)
                .get(&format!("/auth/sign-in?{query}"))
                .await
                .status,
            403,
            "{host}"
        );
    }
}
