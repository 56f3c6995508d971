//! Which characters the text of any setting may contain, and examples of valid values. Texts of
//! settings get into headers, URLs, mails, pages, tokens and the log: characters that could end a
//! line in one of them, or that are invisible, are refused here for all of them.

/// The greatest length of one value, or of one entry of a list, in bytes.
const LONGEST: usize = 4_096;

/// Refuses control characters, invisible ones, white space at either end, and texts that are too
/// long.
///
/// # Errors
/// The reason. It does not repeat the text, which may be a secret.
pub(super) fn check(text: &str) -> Result<(), String> {
    characters(text)?;
    if text.len() > LONGEST {
        return Err(format!("has {} bytes; write {LONGEST} at most", text.len()));
    }
    ends(text)
}

/// Checks white space at both ends, which also applies to a whole list in one text.
pub(super) fn ends(text: &str) -> Result<(), String> {
    if text.trim() == text {
        Ok(())
    } else {
        Err("begins or ends with white space; write it without".into())
    }
}

/// Checks the characters, which also applies to a whole list in one text.
pub(super) fn characters(text: &str) -> Result<(), String> {
    let Some((at, found)) = text.chars().enumerate().find(|(_, c)| is_forbidden(*c)) else {
        return Ok(());
    };
    let at = at + 1;
    Err(match found {
        '\n' | '\r' => format!("holds a line break as character {at}; write it in one line"),
        char::REPLACEMENT_CHARACTER => {
            format!("is not valid UTF-8 at character {at}; write it in UTF-8")
        }
        found => format!(
            "holds a character that cannot be seen (U+{:04X}) as character {at}; write it without",
            u32::from(found)
        ),
    })
}

/// Returns whether it is a control character, a line separator, or a character that changes the
/// direction of a text or is invisible.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}')
}

/// Adds an example of a valid value to the message, unless it contains one.
pub(super) fn with_example(key: &str, default: &str, message: String) -> String {
    let example = if default.is_empty() {
        example(key)
    } else {
        default
    };
    if example.is_empty() || message.contains("such as") {
        message
    } else {
        format!("{message} (example: {example})")
    }
}

/// Returns an example for a setting that is empty by default.
fn example(key: &str) -> &'static str {
    match key {
        "server.trusted_origins" | "passkeys.origins" => "https://app.example.com",
        "server.trusted_proxies" => "10.0.0.0/8",
        "database.direct_url" => "postgres://user@host/database",
        "tokens.audience" => "https://api.example.com",
        "tokens.client_id" => "web",
        "passwords.pepper" => "the pepper of Devise",
        "passwords.breached_file" => "/etc/countersign/breached.txt",
        "sessions.cookie_domain"
        | "passkeys.rp_id"
        | "sign_up.allowed_domains"
        | "sign_up.blocked_domains" => "example.com",
        "mail.smtp_url" => "smtps://user:password@mail.example.com",
        "mail.helo" => "mail.example.com",
        "mail.templates_dir" => "/etc/countersign/mail",
        "pages.name" | "two_factor.issuer" => "Example Notes",
        "pages.logo" => "/etc/countersign/logo.svg",
        "pages.languages_dir" => "/etc/countersign/languages",
        "webhooks.url" => "https://hooks.example.com/countersign",
        "webhooks.secret" | "webhooks.previous_secret" => "whsec_$(openssl rand -base64 32)",
        "webhooks.events" => "refresh_token.reused",
        "traces.otlp_url" => "http://127.0.0.1:4318/v1/traces",
        key if key.starts_with("upstream.") => of_upstream(key),
        key if key.starts_with("roles.") => "user:list",
        key if key.starts_with("tokens.claims.") => "user.metadata.department",
        _ => "",
    }
}

/// Returns an example for a setting of a provider that is empty by default.
fn of_upstream(key: &str) -> &'static str {
    match key.rsplit('.').next().unwrap_or_default() {
        "kind" => "oidc",
        "name" => "Acme",
        "issuer" => "https://id.example.com",
        "client_secret" => "the secret that the provider shows",
        "key_file" => "AuthKey_ABC123DEFG.p8",
        "scopes" => "openid, email, profile",
        "domains" | "hd" => "corp.example",
        "organizations" => "acme",
        _ => "1234567890",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_line_cannot_be_seen_or_is_endless_is_no_setting() {
        for bad in [
            "a\nb",
            "a\r\nb",
            "a\0b",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{2028}b",
            "\u{202e}a",
            "a\u{200b}",
            "\u{feff}a",
            "a\u{fffd}",
            " a",
            "a\t",
            "a\u{a0}",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&"x".repeat(LONGEST)).is_ok() && check(&"x".repeat(LONGEST + 1)).is_err());
        for good in ["", "a b", "Müller & Söhne; \"x\"", "小さな店"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert!(
            check("gehe\0im").unwrap_err().contains("U+0000"),
            "and it is not repeated"
        );
    }
}
