//! Which events are sent to webhooks, and the message for an event (Standard Webhooks).

use std::str::FromStr;

use serde_json::json;

use super::event::{Event, Kind};
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;

/// The prefix of every webhook secret; base64 follows.
pub const SECRET_PREFIX: &str = "whsec_";

/// A filter for events: one name or a prefix, such as `refresh_token.reused`, `refresh_token.*` or
/// `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Exactly this kind.
    One(Kind),
    /// All kinds whose names have this prefix, including those of later versions.
    Beginning(String),
}

/// No event matches this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no such event; `countersign audit list` shows names, and refresh_token.* is all that begin so"
)]
pub struct UnknownEvent;

impl FromStr for Choice {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        match text.strip_suffix('*') {
            Some(beginning)
                if Kind::ALL
                    .iter()
                    .any(|kind| kind.as_str().starts_with(beginning)) =>
            {
                Ok(Self::Beginning(beginning.to_owned()))
            }
            Some(_) => Err(UnknownEvent),
            None => Kind::parse(text).map(Self::One).ok_or(UnknownEvent),
        }
    }
}

impl Choice {
    /// Returns whether the filter matches the kind.
    pub fn takes(&self, kind: Kind) -> bool {
        match self {
            Self::One(one) => *one == kind,
            Self::Beginning(beginning) => kind.as_str().starts_with(beginning.as_str()),
        }
    }
}

/// A message that is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The id of the event. A receiver that gets a message twice recognises it by this.
    pub id: EventId,
    /// The name of the kind of event.
    pub kind: String,
    /// The JSON text that is signed and sent.
    pub body: String,
    /// The number of attempts so far.
    pub attempts: u32,
    /// When the event happened.
    pub created_at: Timestamp,
}

impl Webhook {
    /// Makes the message for an event.
    pub fn of(event: &Event) -> Self {
        let body = json!({
            "type": event.kind.as_str(),
            "timestamp": event.at.to_string(),
            "data": {
                "id": event.id.to_string(),
                "actor": event.requester.actor,
                "userId": event.subject.map(|user| user.to_string()),
                "sessionId": event.session.map(|session| session.to_string()),
                "ipAddress": event.requester.ip_address,
                "userAgent": event.requester.user_agent,
                "requestId": event.requester.request_id,
                "detail": event.detail,
            },
        });
        Self {
            id: event.id,
            kind: event.kind.as_str().into(),
            body: body.to_string(),
            attempts: 0,
            created_at: event.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_chosen_by_name_or_by_how_it_begins() {
        let reused: Choice = "refresh_token.reused".parse().unwrap();
        assert!(reused.takes(Kind::RefreshTokenReused) && !reused.takes(Kind::RefreshTokenHealed));
        let all_of_them: Choice = "refresh_token.*".parse().unwrap();
        assert!(all_of_them.takes(Kind::RefreshTokenHealed) && !all_of_them.takes(Kind::SignedIn));
        assert!("*".parse::<Choice>().unwrap().takes(Kind::Started));
        for wrong in ["", "refresh_token", "token.*", "refresh_token.stolen", "**"] {
            assert_eq!(wrong.parse::<Choice>(), Err(UnknownEvent), "{wrong}");
        }
    }
}
