//! The second factors of a user for operators and admins: what there is, and the removal of all of
//! them for a user who has lost the phone and the recovery codes.

use serde_json::Map;

use crate::app::App;
use crate::flows::permit::{Permitted, to};
use crate::flows::session::end_session::end;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::action::Action;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::mail::Template;
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;
use crate::store::{self, work};

/// The second factors of a user, without anything secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// Whether two-step sign-in is on.
    pub two_factor: bool,
    /// When the authenticator app was confirmed; `None` without one.
    pub totp_since: Option<Timestamp>,
    /// The recovery codes that were not used yet.
    pub recovery_codes: i64,
    /// The wrong codes since the last right one.
    pub wrong_codes: i64,
}

/// Returns the second factors of a user.
///
/// # Errors
/// [`Error::UserNotFound`].
pub async fn overview(app: &App, _: Permitted<'_, to::GetUser>, user: UserId) -> Result<Overview> {
    let read = work!(conn => {
        let Some(found) = store::account::users::by_id(conn, user).await? else {
            return Ok(None);
        };
        let totp = store::login::totp::find(conn, user).await?;
        let confirmed = totp.filter(|totp| totp.confirmed_at.is_some());
        let codes = store::login::recovery_codes::count(conn, user).await?;
        Ok(Some(Overview {
            two_factor: found.user.two_factor,
            totp_since: confirmed.as_ref().and_then(|totp| totp.confirmed_at),
            recovery_codes: if confirmed.is_some() { codes } else { 0 },
            wrong_codes: confirmed.map_or(0, |totp| totp.failures),
        }))
    });
    app.db.read(read).await?.ok_or(Error::UserNotFound)
}

/// Removes every second factor of a user, ends the sessions, and tells the user. The password
/// stays. Returns whether there was a factor.
///
/// # Errors
/// [`Error::NotAllowed`] for admins who name themselves: they have pages of their own for it, which
/// ask for the factor.
pub async fn reset(
    app: &App,
    permitted: Permitted<'_, to::ResetFactors>,
    user: UserId,
    requester: &Requester,
) -> Result<bool> {
    let on = permitted.on_user(app, user).await?;
    if on.caller().names(on.target()) {
        return Err(Error::NotAllowed(Action::ResetFactors));
    }
    let work = tx!(tx => {
        let target = store::account::user_changes::lock(tx.conn, user)
            .await?
            .ok_or(Error::UserNotFound)?;
        let now = tx.now();
        if !store::login::factors::remove_all(tx.conn, user, now).await? {
            return Ok(false);
        }
        let all = Which::OfUser { user, except: None };
        end(tx, all, RevokedReason::FactorsChanged).await?;
        tx.record(Kind::FactorsReset, Some(user), None, Map::new()).await?;
        tx.queue_notice(Template::FactorsReset, &target, Map::new()).await?;
        Ok(true)
    });
    app.transaction(requester, work).await
}
