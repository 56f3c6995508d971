//! Verifies the logout tokens of other issuers (OpenID Connect Back-Channel Logout 1.0 section 2.6) by the
//! rules of id tokens (`id_token`) and those that keep one kind from being taken for the other.

use serde_json::{Map, Value};

use super::id_token::{
    Expected, Expiry, Rejected, check_audience, check_issuer, check_times, claims_of_signed,
    is_name,
};
use super::issuer_keys::IssuerKeys;
use crate::model::kernel::time::Timestamp;

/// The event that says that a session has ended.
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token that is good. At least one of `subject` and `session` is there.
#[derive(Debug, Clone)]
pub struct LogoutToken {
    /// `iss`
    pub issuer: String,
    /// `jti`, which is good once.
    pub id: String,
    /// `sub`
    pub subject: Option<String>,
    /// `sid`
    pub session: Option<String>,
    /// All claims of the token.
    pub claims: Map<String, Value>,
}

/// Verifies a logout token. Whether its `jti` was used before is for the caller to see; the nonce that is
/// expected counts for nothing, because a logout token has none.
///
/// # Errors
/// See [`Rejected`]. After [`Rejected::UnknownKey`] a newer JWKS may have the key.
pub fn verify(
    token: &str,
    keys: &IssuerKeys,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<LogoutToken, Rejected> {
    let is_of_type = |typ: &str| {
        let typ = typ.strip_prefix("application/").unwrap_or(typ);
        matches!(typ, "jwt" | "logout+jwt")
    };
    let claims = claims_of_signed(token, keys, is_of_type)?;
    read(&claims, expected, now)
}

/// Reads the claims of a token whose signature is good.
fn read(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<LogoutToken, Rejected> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(Rejected::Event);
    }
    // An id token of an issuer that writes events into those, too, has one.
    if claims.contains_key("nonce") {
        return Err(Rejected::Nonce);
    }
    let issuer = text("iss").ok_or(Rejected::Issuer)?;
    check_issuer(issuer, expected.issuer, text("tid"))?;
    check_audience(claims, expected.clients)?;
    check_times(claims, now, Expiry::IfThere)?;
    let id = text("jti").filter(|id| is_name(id)).ok_or(Rejected::Id)?;
    let (subject, session) = (named(claims, "sub")?, named(claims, "sid")?);
    if subject.is_none() && session.is_none() {
        return Err(Rejected::Subject);
    }
    Ok(LogoutToken {
        issuer: issuer.to_owned(),
        id: id.to_owned(),
        subject,
        session,
        claims: claims.clone(),
    })
}

/// Reads the name of a user or of a session, which may be missing.
fn named(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, Rejected> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if is_name(text) => Ok(Some(text.clone())),
        Some(_) => Err(Rejected::Subject),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crypto::id_token::Nonce;

    const NOW: i64 = 1_800_000_000;
    const EXPECTED: Expected<'static> = Expected {
        issuer: "https://id.example.com",
        clients: &["client"],
        nonce: Nonce::None,
    };

    fn said(changes: &Value) -> Result<LogoutToken, Rejected> {
        let mut claims = json!({
            "iss": "https://id.example.com",
            "sub": "ana-1",
            "sid": "s-1",
            "aud": "client",
            "iat": NOW - 5,
            "exp": NOW + 120,
            "jti": "j-1",
            "events": { EVENT: {} },
        });
        for (name, value) in changes.as_object().unwrap() {
            if value == "gone" {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        let claims = claims.as_object().unwrap().clone();
        read(&claims, &EXPECTED, Timestamp(NOW * 1_000))
    }

    #[test]
    fn a_logout_token_names_a_user_or_a_session_and_the_event() {
        for (changes, subject, session) in [
            (json!({}), Some("ana-1"), Some("s-1")),
            (json!({ "sid": "gone" }), Some("ana-1"), None),
            (json!({ "sub": "gone" }), None, Some("s-1")),
            (json!({ "exp": "gone" }), Some("ana-1"), Some("s-1")),
            (json!({ "aud": ["client"] }), Some("ana-1"), Some("s-1")),
            (json!({ "iat": NOW - 660 }), Some("ana-1"), Some("s-1")),
            (json!({ "typ": "Logout" }), Some("ana-1"), Some("s-1")),
            (
                json!({ "events": { EVENT: { "more": 1 }, "other": 1 } }),
                Some("ana-1"),
                Some("s-1"),
            ),
        ] {
            let token = said(&changes).unwrap_or_else(|why| panic!("{changes}: {why}"));
            assert_eq!(token.subject.as_deref(), subject, "{changes}");
            assert_eq!(token.session.as_deref(), session, "{changes}");
            assert_eq!(token.id, "j-1");
        }
    }

    #[test]
    fn any_other_token_is_none() {
        use Rejected::{Audience, Event, Id, Issuer, Nonce, Subject, Times};
        for (changes, why) in [
            (json!({ "events": "gone" }), Event),
            (json!({ "events": {} }), Event),
            (json!({ "events": EVENT }), Event),
            (json!({ "events": [EVENT] }), Event),
            (json!({ "events": { EVENT: null } }), Event),
            (json!({ "events": { EVENT: true } }), Event),
            (json!({ "events": { EVENT: [] } }), Event),
            (json!({ "events": { "other": {} } }), Event),
            (json!({ "nonce": "n" }), Nonce),
            (json!({ "nonce": null }), Nonce),
            (json!({ "iss": "gone" }), Issuer),
            (json!({ "iss": "https://id.example.com/" }), Issuer),
            (json!({ "aud": "gone" }), Audience),
            (json!({ "aud": "other" }), Audience),
            (json!({ "aud": ["client", "other"] }), Audience),
            (json!({ "azp": "other" }), Audience),
            (json!({ "iat": "gone" }), Times),
            (json!({ "iat": NOW - 661 }), Times),
            (json!({ "iat": NOW + 61 }), Times),
            (json!({ "exp": NOW - 60 }), Times),
            (json!({ "exp": null }), Times),
            (json!({ "exp": "soon" }), Times),
            (json!({ "nbf": NOW + 61 }), Times),
            (json!({ "jti": "gone" }), Id),
            (json!({ "jti": "" }), Id),
            (json!({ "jti": 7 }), Id),
            (json!({ "jti": "j".repeat(256) }), Id),
            (json!({ "sub": "gone", "sid": "gone" }), Subject),
            (json!({ "sub": "" }), Subject),
            (json!({ "sub": 7 }), Subject),
            (json!({ "sub": null }), Subject),
            (json!({ "sid": "s".repeat(256) }), Subject),
            (json!({ "sid": "a\nb" }), Subject),
        ] {
            assert_eq!(said(&changes).err(), Some(why), "{changes}");
        }
    }
}
