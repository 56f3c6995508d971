//! A session in force with its user: the one who asks.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::account::action::Action;
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::kernel::time::Timestamp;
use crate::model::key::ring_id::RingId;
use crate::model::login::gate;
use crate::model::login::level::Level;
use crate::model::login::policy::Policy;
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

    /// Returns whether the second factor was proven in the session within `sessions.fresh_for`, where
    /// the sign-ins of the user need one.
    pub(in crate::flows) fn has_fresh_factor(&self, app: &App) -> bool {
        let policy = app.config.policies.of(&self.user.role);
        policy.need(self.user.two_factor) == Level::One || self.has_fresh_proof(app)
    }

    /// Returns whether what the sign-ins of the user need was proven in the session within
    /// `sessions.fresh_for`.
    pub(in crate::flows) fn has_fresh_proof(&self, app: &App) -> bool {
        let policy = app.config.policies.of(&self.user.role);
        self.is_fresh(app, policy, app.config.sessions.fresh_for)
    }

    /// Refuses a change of other users or of the service if what the session needs was proven too long
    /// ago (`policies.ROLE.fresh_for`), as on an unattended laptop or with a stolen cookie.
    pub(in crate::flows) fn admit_change(&self, app: &App, action: Action) -> Result<()> {
        if action.only_looks() {
            return Ok(());
        }
        let (policies, session) = (&app.config.policies, &self.session);
        if session.impersonated_by.is_some() {
            // The user has proven nothing: the age is that of the admin's sign-in.
            let max_age = policies.fresh_for(
                &self
                    .powers
                    .actor()
                    .map_or_else(String::new, |admin| admin.roles().join(",")),
            );
            return if app.now().since(session.auth_time) < max_age {
                Ok(())
            } else {
                Err(Error::AdminNotFresh)
            };
        }
        let max_age = policies.fresh_for(&self.user.role);
        if self.is_fresh(app, policies.of(&self.user.role), max_age) {
            Ok(())
        } else {
            Err(Error::SessionNotFresh(max_age))
        }
    }

    fn is_fresh(&self, app: &App, policy: Policy, max_age: Duration) -> bool {
        let (proofs, now) = (&self.session.proofs, app.now());
        gate::is_fresh(proofs, self.user.two_factor, policy, max_age, now)
    }
}
