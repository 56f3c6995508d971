//! Which parts of a setting may be printed. All code that shows a URL or another value that may
//! contain a credential uses this file: `config show`, the audit trail, the messages of problems
//! and the check of the command line.

use url::Url;

use super::Problem;

const HIDDEN: &str = "***";

/// Settings that are secret as a whole.
const SECRETS: [&str; 3] = [
    "passwords.pepper",
    "webhooks.secret",
    "webhooks.previous_secret",
];

/// Returns whether a setting is secret as a whole: one of the list, or the secret of a provider.
fn is_whole_secret(key: &str) -> bool {
    SECRETS.contains(&key) || key.starts_with("upstream.") && key.ends_with(".client_secret")
}

/// Settings of which only scheme, host and port are shown, because their path or query may be a
/// credential.
const SECRET_PATHS: [&str; 2] = ["webhooks.url", "traces.otlp_url"];

/// Returns the value of a setting in a form that may be printed.
pub(super) fn setting(key: &str, value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else if is_whole_secret(key) {
        HIDDEN.into()
    } else if SECRET_PATHS.contains(&key) {
        Url::parse(value).map_or_else(
            |_| HIDDEN.into(),
            |url| format!("{}/{HIDDEN}", url.origin().ascii_serialization()),
        )
    } else if value.contains("://") {
        url(value)
    } else {
        value.to_owned()
    }
}

/// Returns a URL with `***` for its password and for credentials in its query. A text that is not a
/// URL is hidden as a whole.
pub(super) fn url(text: &str) -> String {
    let Ok(parsed) = Url::parse(text) else {
        return HIDDEN.into();
    };
    if !holds_credential(&parsed) {
        return text.to_owned();
    }
    let mut shown = parsed.clone();
    if shown.password().is_some() && shown.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.into();
    }
    // Pair by pair, so that the rest is printed unchanged.
    let query = parsed.query().map(|query| {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if is_credential(&decoded(name)) => format!("{name}={HIDDEN}"),
            _ => pair.to_owned(),
        };
        query.split('&').map(pair).collect::<Vec<_>>().join("&")
    });
    shown.set_query(query.as_deref());
    shown.into()
}

/// Returns whether showing the value of this setting would reveal a secret.
pub(super) fn is_secret(key: &str, value: &str) -> bool {
    !value.is_empty()
        && (is_whole_secret(key) || Url::parse(value).is_ok_and(|url| holds_credential(&url)))
}

/// Returns whether a URL contains a password or another credential.
pub fn holds_secret(url: &str) -> bool {
    is_secret("", url)
}

/// Returns the problems of settings that were given as command-line arguments: every user of the
/// machine can read the arguments of every process.
pub fn refuse_secrets(arguments: &[(String, String)]) -> Vec<Problem> {
    let secret = arguments
        .iter()
        .filter(|(key, value)| is_secret(key, value));
    let refused = secret.map(|(key, _)| Problem {
        key: key.clone(),
        message: format!(
            "holds a credential, and every user of this machine can read the arguments of a process; give it as {}, in the file that {key}_file names, or in countersign.toml",
            super::environment::variable(key)
        ),
    });
    refused.collect()
}

fn holds_credential(url: &Url) -> bool {
    url.password().is_some() || url.query_pairs().any(|(name, _)| is_credential(&name))
}

/// Decodes the percent-encoding of a parameter's name, as the driver that is given the URL does.
fn decoded(name: &str) -> String {
    url::form_urlencoded::parse(name.as_bytes())
        .map(|(name, _)| name.into_owned())
        .next()
        .unwrap_or_default()
}

/// Returns whether a query parameter of this name is a credential; the name of a file that contains
/// one is not.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let whole = ["key", "apikey", "api_key", "sig", "signature", "auth"];
    !name.ends_with("file")
        && (["pass", "secret", "token"]
            .iter()
            .any(|part| name.contains(part))
            || whole.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_wherever_they_stand_in_a_url_and_the_rest_is_as_it_was() {
        for (written, shown) in [
            ("postgres://u:geheim@h/db", "postgres://u:***@h/db"),
            (
                "postgres://u:ge%20heim@h:5432/db?options[search_path]=x",
                "postgres://u:***@h:5432/db?options[search_path]=x",
            ),
            (
                "postgres://u@h/db?password=geheim&sslmode=require",
                "postgres://u@h/db?password=***&sslmode=require",
            ),
            (
                "postgres:///db?host=/run/postgresql&sslpassword=geheim",
                "postgres:///db?host=/run/postgresql&sslpassword=***",
            ),
            (
                "postgres://u@h/db?passfile=/run/secrets/pgpass",
                "postgres://u@h/db?passfile=/run/secrets/pgpass",
            ),
            (
                "postgres://u@h/db?%70assword=geheim&p%61ss=geheim",
                "postgres://u@h/db?%70assword=***&p%61ss=***",
            ),
            (
                "smtps://apikey:geheim@mail.example.com",
                "smtps://apikey:***@mail.example.com",
            ),
            (
                "https://u:geheim@host.example/x?access_token=geheim",
                "https://u:***@host.example/x?access_token=***",
            ),
            (
                "sqlite://data/countersign.db",
                "sqlite://data/countersign.db",
            ),
            ("postgres://u:geheim@[h/db", "***"),
        ] {
            assert_eq!(url(written), shown, "{written}");
            assert_eq!(setting("database.url", written), shown, "{written}");
        }
        assert_eq!(
            setting("webhooks.url", "https://u:geheim@hooks.example/geheim"),
            "https://hooks.example/***"
        );
        assert_eq!(setting("webhooks.secret", "whsec_geheim"), "***");
        assert_eq!(setting("webhooks.previous_secret", "whsec_geheim"), "***");
        assert_eq!(setting("upstream.acme.client_secret", "geheim"), "***");
        assert_eq!(setting("webhooks.secret", ""), "");
        assert_eq!(setting("log.level", "debug"), "debug");
    }

    #[test]
    fn what_gives_a_secret_away_is_told_from_what_does_not() {
        for (key, value) in [
            ("webhooks.secret", "whsec_x"),
            ("webhooks.previous_secret", "whsec_x"),
            ("upstream.acme.client_secret", "geheim"),
            ("database.url", "postgres://u:p@h/db"),
            ("database.direct_url", "postgres://u@h/db?password=p"),
            ("mail.smtp_url", "smtps://u:p@mail.example.com"),
            ("webhooks.url", "https://u:p@hooks.example/"),
            ("traces.otlp_url", "https://c.example/v1/traces?api_key=p"),
        ] {
            assert!(is_secret(key, value), "{key}={value}");
        }
        for (key, value) in [
            ("webhooks.secret", ""),
            ("upstream.acme.client_id", "client"),
            ("upstream.acme.client_secret_file", "/run/secrets/acme"),
            ("database.url", "postgres://u@h/db?sslmode=verify-full"),
            ("database.url", "sqlite://data/countersign.db"),
            ("mail.smtp_url", "smtps://mail.example.com"),
            ("server.public_url", "https://auth.example.com"),
        ] {
            assert!(!is_secret(key, value), "{key}={value}");
        }
    }
}
