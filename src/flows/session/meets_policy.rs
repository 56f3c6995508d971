//! Whether a live session still meets what the settings and its user require of sign-ins and of sessions,
//! and its end where it does not. Every path that reads a session or issues a token for one asks.

use std::time::Duration;

use super::end_session::end;
use crate::app::App;
use crate::flows::Result;
use crate::flows::transaction::tx;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::still_meets;
use crate::model::login::proof::Proofs;
use crate::model::session::refresh::MAX_CLOCK_SKEW;
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;

/// What a policy looks at in a session.
pub(super) struct Facts<'s> {
    /// What was proven for it.
    pub(super) proofs: &'s Proofs,
    /// Its own bound of the time without use.
    pub(super) idle: Option<Duration>,
    /// When it ends in any case.
    pub(super) expires_at: Timestamp,
}

/// Returns whether a session of this user may go on. One that began before a role bounded the length
/// of sessions ends, because it could last longer than others.
pub(super) fn holds(app: &App, user: &User, session: &Facts<'_>) -> bool {
    let policies = &app.config.policies;
    let bounds = policies.bounds(&user.role);
    let is_short = bounds
        .idle
        .is_none_or(|most| session.idle.is_some_and(|own| own <= most));
    let ends_soon = bounds
        .absolute
        .is_none_or(|most| session.expires_at <= app.now() + most + MAX_CLOCK_SKEW);
    let policy = policies.of(&user.role);
    is_short && ends_soon && still_meets(session.proofs, user.two_factor, policy)
}

/// Ends a session that may not go on. Of two concurrent requests the first one ends it.
pub(super) async fn end_below(app: &App, session: SessionId, requester: &Requester) -> Result<()> {
    app.transaction(
        requester,
        tx!(tx => {
            end(tx, Which::One(session), RevokedReason::Policy).await?;
            Ok(())
        }),
    )
    .await
}
