//! Retry tickets: a random word that a client stores beside its refresh and sends again with every
//! retry. It tells who presents the parent of the current token: the client that asked for the
//! current one and has lost the answer, or another party. `docs/decisions/0018-retry-tickets.md`
//! gives the reasons.

use std::str::FromStr;

use crate::encoding::{decode_array, sha256};

/// What a ticket looks like, in words.
pub const TICKET_FORM: &str = "expected 22 characters of base64url, 16 random bytes";

/// SHA-256 of a ticket; the ticket itself is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TicketHash(pub [u8; 32]);

/// The text is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{TICKET_FORM}")]
pub struct InvalidTicket;

impl FromStr for TicketHash {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        let bytes: [u8; 16] = decode_array(text).ok_or(InvalidTicket)?;
        Ok(Self(sha256(&bytes)))
    }
}

/// How a session tells the retry of its client from the use of a copied token; fixed when the session
/// begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// By time: the parent of the current token gets its successor again within the grace.
    Window,
    /// By a ticket, at any age.
    Ticket,
}

impl Retry {
    /// Returns the text that is stored, and that clients send and get.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Ticket => "ticket",
        }
    }

    /// Parses the text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Window, Self::Ticket]
            .into_iter()
            .find(|retry| retry.as_str() == text)
    }
}

/// What a session's row knows of tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tickets {
    /// The session has no tickets ([`Retry::Window`]).
    Unused,
    /// Every refresh brings a ticket. The hash is that of the ticket with which the current token was
    /// made; without one (the first token, or one after a healed loss) the window counts.
    Used(Option<TicketHash>),
}

/// The ticket that came with a presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// A refresh with a ticket.
    Ticket(TicketHash),
    /// A refresh without a ticket.
    Nothing,
    /// The token vouches for a session cookie, which has no ticket.
    Vouching,
    /// The token ends its session, which has no ticket and gives nothing away.
    Ending,
}

impl Sent {
    /// Returns what a refresh has sent.
    pub fn with_refresh(ticket: Option<TicketHash>) -> Self {
        ticket.map_or(Self::Nothing, Self::Ticket)
    }

    /// Returns the hash of the ticket, if there is one.
    pub fn hash(self) -> Option<TicketHash> {
        match self {
            Self::Ticket(hash) => Some(hash),
            Self::Nothing | Self::Vouching | Self::Ending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_sixteen_bytes_in_strict_base64url() {
        let ticket = "AAECAwQFBgcICQoLDA0ODw";
        let hash: TicketHash = ticket.parse().unwrap();
        assert_eq!(
            hash,
            TicketHash(sha256(&[
                0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
            ]))
        );
        for odd in [
            "",
            "AAECAwQFBgcICQoLDA0OD",
            "AAECAwQFBgcICQoLDA0ODwA",
            "AAECAwQFBgcICQoLDA0ODx",
            "AAECAwQFBgcICQoLDA0ODw==",
            "AAECAwQFBgcICQoLDA0OD+",
            " AAECAwQFBgcICQoLDA0ODw",
            "AAECAwQFBgcICQoLDA0O\u{e4}",
        ] {
            assert_eq!(odd.parse::<TicketHash>(), Err(InvalidTicket), "{odd:?}");
        }
    }

    #[test]
    fn the_stored_words_read_back() {
        for retry in [Retry::Window, Retry::Ticket] {
            assert_eq!(Retry::parse(retry.as_str()), Some(retry));
        }
        assert_eq!(Retry::parse("Ticket"), None);
    }
}
