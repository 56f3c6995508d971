//! The content of an access token: the claims of RFC 9068 and those of this service. `crypto::jws`
//! signs it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::account::user::User;

/// One audience as a string, several as an array (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One audience.
    One(String),
    /// Several audiences.
    Many(Vec<String>),
}

impl Audience {
    /// Returns whether the audience is among them.
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|a| a == audience),
        }
    }

    /// Returns all audiences as a slice.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The claims of an access token. Times are whole Unix seconds; a token with any other form of time
/// is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The issuer, byte for byte as configured.
    pub iss: String,
    /// The id of the user.
    pub sub: String,
    /// The services that may accept it.
    pub aud: Audience,
    /// Time of issue, backdated by `tokens.iat_backdate`.
    pub iat: u64,
    /// End of validity, exclusive.
    pub exp: u64,
    /// The client that it was issued to (RFC 9068 section 2.2): `tokens.client_id`. Empty in tokens
    /// of older releases, which did not have the claim.
    #[serde(default)]
    pub client_id: String,
    /// The id of the token.
    pub jti: String,
    /// The id of the session.
    pub sid: String,
    /// When the user last proved the second factor or, without one, anything (OpenID Connect Core
    /// section 2).
    pub auth_time: u64,
    /// The strength of the sign-in (RFC 9068 section 2.2.1); missing while an admin acts as the user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acr: Option<String>,
    /// The methods by which the user was authenticated (RFC 8176); missing where `acr` is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub amr: Vec<String>,
    /// The email address of the user. This claim and the two after it are missing in tokens with
    /// minimal claims.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// Whether the email address is verified.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email_verified: Option<bool>,
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Comma-joined role names, as the Better Auth client expects them.
    pub role: String,
    /// The role names as a list (RFC 9068 section 2.2.3.1).
    pub roles: Vec<String>,
    /// The permissions that the roles give by `[roles]` of the settings.
    pub permissions: Vec<String>,
    /// The admin who impersonates the subject (RFC 8693 section 4.1).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<Actor>,
    /// The claims that `[tokens.claims]` adds.
    #[serde(flatten)]
    pub custom: Map<String, Value>,
}

/// The acting party of an impersonation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user id of the admin.
    pub sub: String,
}

/// Names that `[tokens.claims]` may not set.
pub const RESERVED: [&str; 23] = [
    "iss",
    "sub",
    "aud",
    "iat",
    "exp",
    "nbf",
    "jti",
    "sid",
    "auth_time",
    "email",
    "email_verified",
    "name",
    "role",
    "roles",
    "permissions",
    "client_id",
    "scope",
    "cnf",
    "act",
    "azp",
    "nonce",
    "amr",
    "acr",
];

/// The source of a custom claim's value: `user.metadata.department`, or a column of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimSource(Vec<String>);

/// The text does not name a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write user.metadata.NAME or user.image")]
pub struct InvalidSource;

impl std::str::FromStr for ClaimSource {
    type Err = InvalidSource;
    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let parts: Vec<&str> = text.split('.').collect();
        match parts.as_slice() {
            ["user", "image"] => {}
            ["user", "metadata", rest @ ..]
                if !rest.is_empty() && rest.iter().all(|p| !p.is_empty()) => {}
            _ => return Err(InvalidSource),
        }
        Ok(Self(parts[1..].iter().map(ToString::to_string).collect()))
    }
}

impl ClaimSource {
    /// Returns the value for the user, or `None` if the user does not have one.
    pub fn of(&self, user: &User) -> Option<Value> {
        let (first, rest) = self.0.split_first()?;
        if first == "image" {
            return user.image.clone().map(Value::String);
        }
        let (name, path) = rest.split_first()?;
        path.iter()
            .try_fold(user.metadata.get(name)?, |value, part| value.get(part))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::id::UserId;
    use crate::model::kernel::time::Timestamp;
    use serde_json::json;

    fn user() -> User {
        let Value::Object(metadata) = json!({ "team": "blue", "place": { "city": "Graz" } }) else {
            unreachable!("it is written as an object")
        };
        User {
            id: UserId::random([1; 16]),
            email: "ana@example.com".parse().unwrap(),
            email_verified: true,
            name: "Ana".into(),
            image: Some("https://x.test/a.png".into()),
            role: "user".into(),
            banned: false,
            ban_reason: None,
            ban_expires_at: None,
            disabled_at: None,
            metadata,
            version: 1,
            login_epoch: 0,
            two_factor: false,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn an_audience_is_one_text_or_several_and_compared_whole() {
        let one = Audience::One("api".into());
        let many = Audience::Many(vec!["api".into(), "web".into()]);
        assert_eq!(one.all(), ["api"]);
        assert_eq!(many.all(), ["api", "web"]);
        for (audience, in_one, in_many) in [
            ("api", true, true),
            ("web", false, true),
            ("ap", false, false),
            ("", false, false),
        ] {
            assert_eq!(one.contains(audience), in_one, "{audience:?}");
            assert_eq!(many.contains(audience), in_many, "{audience:?}");
        }
        assert_eq!(json!(one), json!("api"));
        assert_eq!(json!(many), json!(["api", "web"]));
    }

    #[test]
    fn a_claim_comes_from_the_picture_or_from_the_metadata_however_deep() {
        let of = |text: &str| text.parse::<ClaimSource>().unwrap().of(&user());
        assert_eq!(of("user.image"), Some(json!("https://x.test/a.png")));
        assert_eq!(of("user.metadata.team"), Some(json!("blue")));
        assert_eq!(of("user.metadata.place.city"), Some(json!("Graz")));
        assert_eq!(of("user.metadata.place"), Some(json!({ "city": "Graz" })));
        assert_eq!(of("user.metadata.place.street"), None);
        assert_eq!(of("user.metadata.nothing"), None);
        for text in [
            "",
            "user",
            "image",
            "user.name",
            "user.image.url",
            "user.metadata",
            "user.metadata.",
            "user.metadata..city",
            "users.metadata.team",
        ] {
            assert_eq!(text.parse::<ClaimSource>(), Err(InvalidSource), "{text:?}");
        }
    }
}
