//! The transaction of a sign-in whose password was right: its limits, a stronger hash, the session
//! and the mail about a new device.

use crate::model::account::user::User;
use crate::model::kernel::user_agent::{device, device_in_english};
use crate::model::mail::Template;
use crate::store;
use crate::store::session::sessions::Proof;

use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{PendingSession, RingVersion};
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};

/// Returns whether no session that is still stored began with such a device. The very first sign-in
/// does not count as a new device.
fn is_unknown(user_agent: &str, before: &[String]) -> bool {
    !before.is_empty()
        && !before
            .iter()
            .any(|known| known == user_agent || device(known) == device(user_agent))
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) user: User,
    pub(super) verified: String,
    pub(super) upgraded: Option<String>,
    pub(super) opening: PendingSession,
    pub(super) ending: SessionRevocation,
    /// Whether the user gets a mail about a device that was not seen before.
    pub(super) notify: bool,
    /// Whether the request is in another language than the one that is known of the user.
    pub(super) learns: bool,
    /// What the attempt was counted by before its outcome was known.
    pub(super) charges: RateLimitCheck,
    /// What it is counted by if it succeeds.
    pub(super) success: RateLimitCheck,
}

/// A sign-in that is done.
pub(super) struct Entered {
    pub(super) opening: PendingSession,
    pub(super) ring: RingVersion,
    /// Whether the language of the request is to be kept as the one of the user.
    pub(super) learns: bool,
}

impl Entry {
    /// Runs the transaction.
    ///
    /// # Errors
    /// [`Error::Limited`] if the email address or the network has signed in too often,
    /// [`Error::InvalidEmailOrPassword`] if the verified hash is not the user's any more.
    pub(super) async fn run(self, tx: &mut Tx<'_>) -> Result<Entered> {
        self.success.consume_within(tx).await?;
        // The upgrade comes first: otherwise two sign-ins that both lock the password and both want
        // to replace its hash would wait for each other.
        let proof = match &self.upgraded {
            Some(upgraded) => {
                let (user, now) = (self.user.id, tx.now());
                if !store::account::users::rehash(tx.conn, user, &self.verified, upgraded, now)
                    .await?
                {
                    return Err(Error::InvalidEmailOrPassword);
                }
                upgraded
            }
            None => &self.verified,
        };
        let is_new = if self.notify || self.learns {
            let before = store::session::list_sessions::user_agents(tx.conn, self.user.id).await?;
            is_unknown(&tx.requester().user_agent, &before)
        } else {
            false
        };
        let ring = self
            .opening
            .insert(tx, Proof::Password(proof), Some(&self.ending))
            .await?
            .ok_or(Error::InvalidEmailOrPassword)?;
        if self.notify && is_new {
            let agent = &tx.requester().user_agent;
            let words = detail([
                ("device", device_in_english(agent).into()),
                ("userAgent", agent.as_str().into()),
            ]);
            tx.queue_notice(Template::NewSignIn, &self.user, words)
                .await?;
        }
        self.charges.reset(tx).await?;
        Ok(Entered {
            opening: self.opening,
            ring,
            // The password alone does not tell whether the user or a thief of it signs in.
            learns: self.learns && !is_new,
        })
    }
}
