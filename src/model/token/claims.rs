//! What an access token says: the claims of RFC 9068 and ours. Signing is `crypto::jws`'s business.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::account::user::User;

/// One audience as a string, several as an array (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// The usual case.
    One(String),
    /// Several services.
    Many(Vec<String>),
}

impl Audience {
    /// Whether the audience is among them.
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|a| a == audience),
        }
    }

    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The claims of an access token. Times are whole Unix seconds; anything else is refused when one
/// is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The issuer, byte for byte as configured.
    pub iss: String,
    /// The user's id.
    pub sub: String,
    /// Who may accept it.
    pub aud: Audience,
    /// Made at, backdated by `tokens.iat_backdate`.
    pub iat: u64,
    /// Dead from then on.
    pub exp: u64,
    /// The client that it was issued to (RFC 9068 section 2.2): `tokens.client_id`. Empty in tokens
    /// of releases before there was one.
    #[serde(default)]
    pub client_id: String,
    /// Its own id.
    pub jti: String,
    /// The session's id.
    pub sid: String,
    /// When the password was last proven.
    pub auth_time: u64,
    /// The user's address.
    pub email: String,
    /// Whether the address was proven.
    pub email_verified: bool,
    /// The user's name.
    pub name: String,
    /// Comma-joined role names, as the Better Auth client knows them.
    pub role: String,
    /// The same, apart (RFC 9068 section 2.2.3.1).
    pub roles: Vec<String>,
    /// From `[roles]` in the settings.
    pub permissions: Vec<String>,
    /// The admin who acts as the subject (RFC 8693 section 4.1).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<Actor>,
    /// `[tokens.claims]`.
    #[serde(flatten)]
    pub custom: Map<String, Value>,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The admin's user id.
    pub sub: String,
}

/// Names that `[tokens.claims]` may not set.
pub const RESERVED: [&str; 22] = [
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
];

/// Where the value of a custom claim comes from: `user.metadata.department`, or a column of the
/// user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimSource(Vec<String>);

/// The text names no source.
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
    /// The value, if the user has one.
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
