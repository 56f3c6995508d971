//! A session in force with its user: the one who asks.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::account::action::Action;
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::kernel::time::Timestamp;
use crate::model::key::ring_id::RingId;
use crate::model::login::policy::Rules;
use crate::model::login::proof::Proof;
use crate::model::session::session::Session;

use super::{Error, Result};

/// A live session and its user.
#[derive(Clone)]
pub struct Authenticated {
    /// The row of the session.
    pub session: Session,
    /// The user of the session.
    pub user: Arc<User>,
    /// What may be done in the session, as of this request.
    pub powers: Powers,
    /// The generation of the refresh token; greater than 1 once the session has refreshed.
    pub generation: u32,
    /// The idle end of the session.
    pub idle_expires_at: Timestamp,
    /// The state of the key ring in the database.
    pub ring_id: RingId,
    /// The session token, unless an access token was sent.
    pub session_token: Option<SessionToken>,
    /// Whether a cookie named the session; another host of the site may have set that cookie.
    pub by_cookie: bool,
    /// A session cookie to set again, because the idle end has just been written.
    pub renewed_cookie: Option<Zeroizing<String>>,
}

impl Authenticated {
    /// Returns the session's nearer end.
    pub fn ends_at(&self) -> Timestamp {
        self.session.ends_at(self.idle_expires_at)
    }

    /// Returns whether the second factor of the user, if there is one, was proven in the session within
    /// `sessions.fresh_for`.
    pub(in crate::flows) fn has_fresh_factor(&self, app: &App) -> bool {
        let (proofs, rules) = (&self.session.proofs, app.config.policies.general().rules);
        // A code in a mail stands for no device that was proven, and for nothing beside the mailbox.
        let mailed = proofs
            .at(Proof::MailedCode)
            .filter(|_| rules.contains(Rules::MAILED_CODE) && proofs.contains(Proof::Password));
        let proven = proofs.latest_of_a_device().or(mailed);
        let fresh_for = app.config.sessions.fresh_for;
        !self.user.two_factor || proven.is_some_and(|at| app.now().since(at) < fresh_for)
    }

    /// Refuses a change if the password was proven too long ago, as on an unattended laptop or with
    /// a stolen cookie.
    pub(in crate::flows) fn fresh_for(&self, app: &App, action: Action) -> Result<()> {
        let stale = app
            .config
            .sessions
            .admin_fresh_for
            .is_some_and(|fresh| app.now().since(self.session.auth_time) >= fresh);
        if stale && !action.only_looks() {
            Err(Error::SessionNotFresh)
        } else {
            Ok(())
        }
    }
}
