//! The identities of other issuers that are linked to a user, for operators.

use crate::app::App;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::action::Action;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::{EventId, UserId};

use super::links::{self, Link};

/// Returns the identities that are linked to a user, oldest first.
pub async fn of_user(app: &App, _: Permitted<'_, to::GetUser>, user: UserId) -> Result<Vec<Link>> {
    links::of_user(app, user).await
}

/// Removes an identity from the account of a user, and ends the sessions that it opened; also if it is
/// the last way to sign in: an operator can invite the user again.
///
/// # Errors
/// [`Error::AccountNotFound`]; [`Error::NotAllowed`] for admins who name themselves.
pub async fn unlink(
    app: &App,
    permitted: Permitted<'_, to::ResetFactors>,
    user: UserId,
    row: &str,
    requester: &Requester,
) -> Result<()> {
    let id: EventId = row.parse().map_err(|_| Error::AccountNotFound)?;
    let on = permitted.on_user(app, user).await?;
    if on.caller().names(on.target()) {
        return Err(Error::NotAllowed(Action::ResetFactors));
    }
    let work = tx!(tx => links::remove(tx, user, id, None).await);
    app.transaction(requester, work).await
}
