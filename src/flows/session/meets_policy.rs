//! Whether a live session still meets what the settings and its user require of sign-ins, and its end
//! where it does not. Every path that reads a session or issues a token for one asks.

use super::end_session::end;
use crate::app::App;
use crate::flows::Result;
use crate::flows::transaction::tx;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::SessionId;
use crate::model::login::gate::still_meets;
use crate::model::login::proof::Proofs;
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;

/// Returns whether a session of this user may go on.
pub(super) fn holds(app: &App, user: &User, proofs: &Proofs) -> bool {
    still_meets(proofs, user.two_factor, app.config.sign_in_policy)
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
