//! Reading a refresh token, and what all who judge one share.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::token::{InvalidToken, RefreshToken};
use crate::flows::key::{inspect_keys, load_keys};
use crate::flows::{Error, Result};
use crate::model::session::ticket::{Sent, TicketHash};

/// How many times the row is read and decided about: a compare-and-set that loses repeats it, and
/// three losses in a row are not by chance any more.
pub(super) const ROUNDS: usize = 3;

/// The error after that many rounds.
pub(super) const MOVING_TOO_FAST: &str = "the session is changing too fast";

/// The error if no decision is made about a token that looks stolen.
pub(in crate::flows) const STOOD_STILL: &str =
    "the service stood still a moment ago; try again in a few seconds";

/// What a refresh token is presented for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To get a new access token and perhaps a successor, with the ticket of the refresh.
    Refresh(Option<TicketHash>),
    /// To prove that a session cookie belongs to the client; nothing rotates.
    Vouch,
}

impl Purpose {
    /// Returns the ticket that came along.
    pub(super) fn sent(self) -> Sent {
        match self {
            Self::Refresh(ticket) => Sent::with_refresh(ticket),
            Self::Vouch => Sent::Vouching,
        }
    }
}

/// Parses and checks a token; the database is only asked if the token names a newer master key than
/// this process has loaded.
pub async fn open(app: &App, text: &str) -> Result<(RefreshToken, Arc<KeyRing>)> {
    let ring = inspect_keys::loaded(app)?;
    match RefreshToken::open(text, &ring.masters) {
        Ok(token) => Ok((token, ring)),
        Err(InvalidToken::Unrecognised) => Err(Error::RefreshTokenInvalid),
        // The master key may have been changed a moment ago: one short query shows it, as for any
        // Bearer token.
        Err(InvalidToken::NewerKey(_)) => {
            load_keys::confirm(app).await?;
            let ring = inspect_keys::loaded(app)?;
            RefreshToken::open(text, &ring.masters)
                .map(|token| (token, ring))
                .map_err(|_| Error::RefreshTokenInvalid)
        }
    }
}
