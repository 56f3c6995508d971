//! Identifiers. New users have UUIDv4, because v7 would reveal when an account was created; imported
//! users keep the id that they had. Sessions and events have v7, so that they sort by time.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use serde::{Serialize, Serializer};
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

/// The most characters that the id of a user has.
const MAX_USER_ID: usize = 64;

/// Id of a user, permanent: the `sub` of access tokens. It has 1 to 64 characters of
/// `[A-Za-z0-9_|.:-]`, such as a UUID or `auth0|5f7c8ec7c33c6c004bbafe82`. `.` and `..` are not ids,
/// because a path of a URL cannot contain them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(ArrayString<MAX_USER_ID>);

/// The error of a text that is not the id of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write 1 to 64 letters, digits, _, |, ., : or -")]
pub struct InvalidUserId;

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(text: &str) -> Result<Self, InvalidUserId> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_|.:-".contains(&byte);
        if text.is_empty() || matches!(text, "." | "..") || !text.bytes().all(is_allowed) {
            return Err(InvalidUserId);
        }
        ArrayString::from(text).map(Self).map_err(|_| InvalidUserId)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

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
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let mut id = ArrayString::new();
        id.push_str(uuid.hyphenated().encode_lower(&mut text));
        Self(id)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_user_is_a_short_text_of_allowed_characters() {
        let longest = "x".repeat(64);
        for good in [
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "4f5b1c9e-8a53-4d26-9d4b-0a7e6c1b2f3d",
            "42",
            "a.b:c_D-",
            "...",
            &longest,
        ] {
            let id: UserId = good.parse().unwrap();
            assert_eq!(id.to_string(), good);
            assert_eq!(serde_json::to_value(id).unwrap(), good);
        }
        let too_long = "x".repeat(65);
        for bad in [
            "", ".", "..", "a b", "a/b", "a@b", "a%7C", "ä", "a\n", &too_long,
        ] {
            assert_eq!(bad.parse::<UserId>(), Err(InvalidUserId), "{bad:?}");
        }
    }

    #[test]
    fn a_new_user_has_a_uuid_of_version_4() {
        let id = UserId::random([0xff; 16]).to_string();
        assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        assert_eq!(id, id.to_lowercase());
    }

    const NOW: Timestamp = Timestamp(1_795_219_200_123);

    #[test]
    fn only_the_form_that_is_printed_reads_back() {
        let id = SessionId::at(NOW, [0xAB; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.as_bytes(), id.0.as_bytes());
        assert_eq!(id.0.get_version_num(), 7);
        let text = id.to_string();
        for odd in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            text[1..].to_owned(),
            String::new(),
        ] {
            assert!(odd.parse::<SessionId>().is_err(), "{odd:?}");
        }
    }

    #[test]
    fn sessions_and_events_sort_by_time_and_an_event_tells_its_own() {
        let later = Timestamp(NOW.0 + 1);
        assert!(SessionId::at(NOW, [0xFF; 10]) < SessionId::at(later, [0; 10]));
        assert!(EventId::at(NOW, [0xFF; 10]) < EventId::at(later, [0; 10]));
        assert_eq!(EventId::at(NOW, [5; 10]).made_at(), Some(NOW));
        let of_another_version = uuid::Builder::from_random_bytes([5; 16]).into_uuid();
        assert_eq!(EventId(of_another_version).made_at(), None);
    }
}
