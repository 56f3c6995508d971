//! Impersonation: lasts an hour and no longer than the session in which it began, and is marked in
//! the session, in every access token (`act`) and in the audit trail. At each request the admin
//! must still be allowed to impersonate the user, and may do no more than both of them may
//! ([`powers`](super::acting::powers)).

use std::sync::Arc;

use super::clearance;
use super::credential;
use super::end_session::end;
use super::open_session::{PendingSession, SessionTokens};
use super::set_aside;
use super::set_aside::SetAside;
use crate::app::App;
use crate::crypto::cookie::Purpose;
use crate::flows::authenticated::Authenticated;
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::action::Action;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::login::gate::{Factors, vouch};
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;
use crate::store::session::sessions::By;
use crate::store::{self, work};

/// Returns whether the caller could act as this user now, so that a page offers it only then.
pub fn is_possible(app: &App, who: &Authenticated, user: &User) -> bool {
    who.powers.may_act_as(user, &app.config.roles)
        && !user.is_banned(app.now())
        && user.disabled_at.is_none()
}

/// Begins the impersonation of a user.
pub async fn start(
    app: &App,
    permitted: Permitted<'_, to::Impersonate>,
    target: UserId,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    // An operator has no session to return to. The powers of an impersonation session do not
    // include this.
    let who = permitted.caller().signed_in();
    let who = who.ok_or(Error::NotAllowed(Action::Impersonate))?;
    let found = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, target).await))
        .await?;
    let user = found.ok_or(Error::UserNotFound)?.user;
    if !who.powers.may_act_as(&user, &app.config.roles) {
        return Err(if user.is_admin() {
            Error::CannotImpersonateAdmins
        } else {
            Error::NotAllowed(Action::Impersonate)
        });
    }
    let (admin, version, own) = (who.user.id, who.user.version, By::Id(who.session.id));
    let own_proofs = who.session.proofs;
    let (opening, ring) = with_current_keys(app, || async {
        let opening = PendingSession::impersonate(app, &user, who, requester)?;
        let policies = Arc::clone(&app.config.policies);
        let work = tx!(tx => {
            // The admin may have been banned, demoted or signed out since: the row decides, not
            // what was read before.
            let Some(unchanged) = store::account::user_changes::lock(tx.conn, admin)
                .await?
                .filter(|user| user.version == version)
            else {
                return Err(Error::NotAllowed(Action::Impersonate));
            };
            let now = tx.now();
            if store::session::sessions::find_live(tx.conn, &own, now)
                    .await?
                    .is_none()
            {
                return Err(Error::NotAllowed(Action::Impersonate));
            }
            let own = clearance::evidence(&unchanged, own_proofs);
            let own = clearance::decide_in(tx, &unchanged, &own, &policies).await?;
            let user = store::account::users::by_id(tx.conn, target)
                .await?
                .ok_or(Error::UserNotFound)?
                .user;
            let account = clearance::account(&user, Factors::empty(), now);
            let cleared = clearance::cleared(vouch(&own, &account, now))?;
            let ring = opening
                .insert(tx, &cleared, None)
                .await?
                .ok_or(Error::BannedUser)?;
            let (kind, session) = (Kind::ImpersonationStarted, Some(opening.session()));
            let by = detail([("admin", admin.to_string().into())]);
            tx.record(kind, Some(target), session, by).await?;
            Ok((opening, ring))
        });
        app.transaction(requester, work).await
    })
    .await?;
    let grant = opening.grant(app, &user, ring).await?;
    Ok((user, grant))
}

/// Returns the token of the admin's own session, for the cookie in which it is set aside.
pub fn set_aside(app: &App, who: &Authenticated) -> Option<String> {
    let token = who.session_token.as_ref()?;
    let marked = format!(
        "{}:{}",
        token.expose(),
        if who.session.remember { "" } else { "true" }
    );
    credential::sign(app, Purpose::AdminSession, &marked)
}

/// Ends an impersonation session and restores the admin's own session: as a new one with the same
/// end, since its refresh token was given up. Without the cookie in which it was set aside (`None`
/// in the answer) an admin continues with a token of their own. Every other session that was set
/// aside in this browser ends, too: its cookie is cleared, and nothing else refers to it.
pub async fn stop(
    app: &App,
    who: &Authenticated,
    cookies: &[String],
    requester: &Requester,
) -> Result<(User, Option<SessionTokens>)> {
    let admin = who.session.impersonated_by.ok_or(Error::NotImpersonating)?;
    let SetAside { own, others } = set_aside::set_aside(app, cookies, admin).await?;
    let found = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, admin).await))
        .await?;
    let user = found.ok_or(Error::Unauthorized)?.user;
    let opened = with_current_keys(app, || async {
        let opening = own
            .as_ref()
            .map(|session| PendingSession::succeed(app, session, requester))
            .transpose()?;
        let (acted, before) = (who.session.clone(), own.as_ref().map(|session| session.id));
        let others = others.clone();
        let proofs = own.as_ref().map(|own| own.proofs).unwrap_or_default();
        let policies = Arc::clone(&app.config.policies);
        let work = tx!(tx => {
            // In the order in which a change of the password locks them.
            store::account::user_changes::lock_account(tx.conn, admin).await?;
            store::account::user_changes::lock(tx.conn, admin).await?;
            // The admin's own session replaces this one in the browser, if there is one to return
            // to.
            let reason = if before.is_some() {
                RevokedReason::Replaced
            } else {
                RevokedReason::SignOut
            };
            end(tx, Which::One(acted.id), reason).await?;
            let kind = Kind::ImpersonationStopped;
            let by = detail([("admin", admin.to_string().into())]);
            tx.record(kind, Some(acted.user_id), Some(acted.id), by)
                .await?;
            for other in others {
                end(tx, Which::One(other), RevokedReason::SignOut).await?;
            }
            let (Some(opening), Some(before)) = (opening, before) else {
                return Ok(None);
            };
            // If it has ended meanwhile, it stays ended.
            if end(tx, Which::One(before), RevokedReason::Replaced)
                .await?
                .is_empty()
            {
                return Ok(None);
            }
            // An admin who may not sign in any more has no session to return to.
            let cleared = match clearance::clear_in(tx, admin, proofs, &policies).await {
                Ok((_, cleared)) => cleared,
                Err(
                    Error::BannedUser | Error::UserDisabled | Error::InsufficientAuthentication,
                ) => return Ok(None),
                Err(error) => return Err(error),
            };
            let ring = opening.insert(tx, &cleared, None).await?;
            Ok(ring.map(|ring| (opening, ring)))
        });
        app.transaction(requester, work).await
    });
    let grant = match opened.await? {
        Some((opening, ring)) => Some(opening.grant(app, &user, ring).await?),
        None => None,
    };
    Ok((user, grant))
}
