//! The second factors and passkeys of a user for operators and admins: what there is, and the removal of
//! them for a user who has lost the phone and the recovery codes.

use serde_json::Map;

use crate::app::App;
use crate::flows::login::step_code;
use crate::flows::permit::{Permitted, to};
use crate::flows::session::end_session::end;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::action::Action;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::passkey::Passkey;
use crate::model::mail::Template;
use crate::model::session::session::RevokedReason;
pub use crate::store::login::factors::Scope;
use crate::store::session::endings::Which;
use crate::store::{self, work};

/// The second factors and passkeys of a user, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Whether two-step sign-in is on.
    pub two_factor: bool,
    /// When the authenticator app was confirmed; `None` without one.
    pub totp_since: Option<Timestamp>,
    /// The recovery codes that were not used yet.
    pub recovery_codes: i64,
    /// The wrong codes since the last right one.
    pub wrong_codes: i64,
    /// The passkeys, oldest first.
    pub passkeys: Vec<Passkey>,
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
            passkeys: store::login::passkeys::of_user(conn, user).await?,
        }))
    });
    app.db.read(read).await?.ok_or(Error::UserNotFound)
}

/// Removes second factors and passkeys of a user, ends the sessions, and tells the user. The password
/// stays. Returns whether there was one.
///
/// # Errors
/// [`Error::NotAllowed`] for admins who name themselves: they have pages of their own for it, which
/// ask for the factor.
pub async fn reset(
    app: &App,
    permitted: Permitted<'_, to::ResetFactors>,
    user: UserId,
    scope: Scope,
    requester: &Requester,
) -> Result<bool> {
    let on = permitted.on_user(app, user).await?;
    if on.caller().names(on.target()) {
        return Err(Error::NotAllowed(Action::ResetFactors));
    }
    let mailed = step_code::admit(app, on.target()).is_ok();
    let work = tx!(tx => {
        let target = store::account::user_changes::lock(tx.conn, user)
            .await?
            .ok_or(Error::UserNotFound)?;
        let now = tx.now();
        if !store::login::factors::remove(tx.conn, user, scope, mailed, now).await? {
            return Ok(false);
        }
        let all = Which::OfUser { user, except: None };
        end(tx, all, RevokedReason::FactorsChanged).await?;
        let what = detail([("totp", scope.totp.into()), ("passkeys", scope.passkeys.into())]);
        tx.record(Kind::FactorsReset, Some(user), None, what).await?;
        tx.queue_notice(Template::FactorsReset, &target, Map::new()).await?;
        Ok(true)
    });
    app.transaction(requester, work).await
}
