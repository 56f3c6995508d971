//! What may be done in a session in which one user acts as another, and its end where the actor may
//! no longer do so.

use super::end_session::end;
use crate::app::App;
use crate::flows::Result;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;
use crate::store::session::sessions::By;
use crate::store::{self, work};

/// Returns what may be done in a session of this user, which `actor`, if set, impersonates. Every
/// path that reads a session or issues a token for one calls this. Returns `None` if the admin was
/// deleted, banned or disabled, or may no longer impersonate this user: then the session has to end
/// ([`end_unallowed`]).
pub async fn powers(app: &App, user: &User, actor: Option<UserId>) -> Result<Option<Powers>> {
    let own = Powers::of(user, &app.config.roles);
    let Some(actor) = actor else {
        return Ok(Some(own));
    };
    // The row is read instead of a copy, so that a demoted admin does not continue for the lifetime
    // of copies.
    let Some(found) = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, actor).await))
        .await?
    else {
        return Ok(None);
    };
    let actor = found.user;
    let theirs = Powers::of(&actor, &app.config.roles);
    let is_allowed = actor.disabled_at.is_none()
        && !actor.is_banned(app.now())
        && theirs.may_act_as(user, &app.config.roles);
    Ok(is_allowed.then(|| own.within(theirs, &app.config.roles)))
}

/// Ends a session whose admin may no longer impersonate its user.
pub async fn end_unallowed(app: &App, session: SessionId, requester: &Requester) -> Result<()> {
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            // Of two concurrent requests the first one ends it.
            let Some(found) =
                store::session::sessions::find_live(tx.conn, &By::Id(session), now).await?
            else {
                return Ok(());
            };
            let reason = RevokedReason::ActorNotAllowed;
            end(tx, Which::One(session), reason).await?;
            let actor = found.session.impersonated_by.map(|id| id.to_string());
            let why = detail([("admin", actor.into()), ("reason", reason.as_str().into())]);
            let (kind, user) = (Kind::ImpersonationStopped, found.session.user_id);
            tx.record(kind, Some(user), Some(session), why).await
        }),
    )
    .await
}
