//! Identifiers. Users have UUIDv4, because v7 would reveal when an account was created. Sessions
//! and events have v7, so that they sort by time.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use uuid::Uuid;

use super::time::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Returns the sixteen bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            /// Parses only the form that `Display` prints: 36 characters, lower case.
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                let id = Uuid::try_parse(text)?;
                if id.to_string() == text { Ok(Self(id)) } else { Err(Uuid::try_parse("").expect_err("an empty text is not an id")) }
            }
        }
    };
}

id!(
    /// Id of a user, permanent: the `sub` of access tokens.
    UserId
);
id!(
    /// Id of a session and of its family of refresh tokens: the `sid` of access tokens.
    SessionId
);
id!(
    /// Id of an audit event, an account row, a token (`jti`) or anything else that is ordered by
    /// time.
    EventId
);

impl UserId {
    /// Makes a version 4 identifier from these random bytes.
    pub fn random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
}

fn v7(now: Timestamp, bytes: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.0).unwrap_or(0), &bytes).into_uuid()
}

impl SessionId {
    /// Makes a version 7 identifier from this time and these random bytes.
    pub fn at(now: Timestamp, bytes: [u8; 10]) -> Self {
        Self(v7(now, bytes))
    }
}

impl EventId {
    /// Returns the time that the identifier holds; `None` if it has another version.
    pub fn made_at(&self) -> Option<Timestamp> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Some(Timestamp(
            i64::try_from(seconds).ok()?.checked_mul(1000)? + i64::from(nanos / 1_000_000),
        ))
    }

    /// Makes a version 7 identifier from this time and these random bytes.
    pub fn at(now: Timestamp, bytes: [u8; 10]) -> Self {
        Self(v7(now, bytes))
    }
}
