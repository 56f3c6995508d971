//! Changes a password: the current one is proven again, and every other session ends in the same
//! transaction.

use std::sync::Arc;

use serde_json::Map;

use crate::app::App;
use crate::crypto::password::{Against, Verdict};
use crate::model::account::password::Password;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::login::policies::Policies;
use crate::model::login::proof::{Proof, Proofs};
use crate::model::mail::Template;
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;
use crate::store::{self, work};

use super::choose_password::choose;
use super::sign_up::account_id;
use super::update_user::{refused, verify_password};
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::permit::{OwnWayIn, Permitted, to};
use crate::flows::session::clearance::clear_in;
use crate::flows::session::end_session::end;
use crate::flows::session::open_session::{Beginning, Options, PendingSession, SessionTokens};
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// Replaces the password. With `move_session` a new session also replaces the caller's own one.
pub async fn change_password(
    app: &App,
    who: OwnWayIn<'_, to::SetPassword>,
    current: &str,
    new: &str,
    move_session: bool,
    requester: &Requester,
) -> Result<(User, Option<SessionTokens>)> {
    let length = app.config.passwords.length;
    let new = choose(app, new, &own_words(&who.user)).await?;
    let current = Password::attempt(current, length)?;
    let id = who.user.id;
    let known = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::Unauthorized)?;
    let verified = known
        .password_hash
        .ok_or(Error::CredentialAccountNotFound)?;
    let charges = RateLimitCheck::confirmation(app, who.session.id);
    charges.consume(app).await?;
    if charges
        .refund_if_not_evaluated(
            app,
            app.hasher
                .verify(requester, current, Against::Stored(verified.clone()))
                .await
                .map_err(Into::into),
        )
        .await?
        == Verdict::Wrong
    {
        return Err(refused(app, &who, requester).await);
    }
    charges.reset_now(app).await?;
    let hash = app.hasher.hash(requester, new).await?;
    let options = Options {
        delivery: who.session.delivery,
        remember: who.session.remember,
        retry: who.session.retry,
    };
    let spared = (!move_session).then_some(who.session.id);
    let change = Change {
        user: id,
        verified: Some(verified),
        account: account_id(app),
        hash,
        spared,
        replaced: move_session.then_some(who.session.id),
        opening: None,
        proofs: who.session.proofs,
        policies: Arc::clone(&app.config.policies),
    };
    let opened = with_current_keys(app, || async {
        let mut change = change.clone();
        if move_session {
            change.opening = Some(PendingSession::prepare(
                app,
                &known.user,
                options,
                requester,
            )?);
        }
        app.transaction(requester, tx!(tx => change.run(tx).await))
            .await
    })
    .await?;
    let user = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::Unauthorized)?
        .user;
    let grant = match opened {
        Some((opening, ring)) => Some(opening.grant(app, &user, ring).await?),
        None => None,
    };
    Ok((user, grant))
}

fn own_words(user: &User) -> [&str; 2] {
    [user.email.as_str(), &user.name]
}

/// Checks whether the user may have this password, and writes nothing.
///
/// # Errors
/// The rule that the password breaks.
pub async fn check_new(
    app: &App,
    _: Permitted<'_, to::SetPassword>,
    user: &User,
    new: &str,
) -> Result<()> {
    choose(app, new, &own_words(user)).await.map(|_| ())
}

/// Sets the password of another user; every session of that user ends. For one's own account the
/// current password has to be proven, so that a stolen session cannot take over the account.
pub async fn set_for_user(
    app: &App,
    permitted: Permitted<'_, to::SetPassword>,
    id: UserId,
    current: Option<&str>,
    new: &str,
    requester: &Requester,
) -> Result<()> {
    let on = permitted.on_user(app, id).await?;
    let user = on.target();
    let Some(who) = on.caller().signed_in().filter(|_| on.caller().names(user)) else {
        return set(app, user, None, new, requester).await;
    };
    // An admin who impersonates the user knows the current password no better than a thief would.
    let own = who.own_way_in(app)?;
    let verified = verify_password(
        app,
        own.own_account(),
        current.ok_or(Error::InvalidPassword)?,
        requester,
    )
    .await?
    .ok_or(Error::InvalidPassword)?;
    set(app, user, Some(verified), new, requester).await
}

/// Sets a password without asking for the current one: every session of the user ends.
pub async fn set_password(
    app: &App,
    permitted: Permitted<'_, to::SetPassword>,
    user: &User,
    new: &str,
    requester: &Requester,
) -> Result<()> {
    let on = permitted.on(app, user.clone())?;
    set(app, on.target(), None, new, requester).await
}

async fn set(
    app: &App,
    user: &User,
    verified: Option<String>,
    new: &str,
    requester: &Requester,
) -> Result<()> {
    let hash = app
        .hasher
        .hash(requester, choose(app, new, &own_words(user)).await?)
        .await?;
    let change = Change {
        user: user.id,
        verified,
        account: account_id(app),
        hash,
        spared: None,
        replaced: None,
        opening: None,
        proofs: Proofs::default(),
        policies: Arc::clone(&app.config.policies),
    };
    app.transaction(requester, tx!(tx => change.run(tx).await))
        .await
        .map(|_| ())
}

#[derive(Clone)]
struct Change {
    user: UserId,
    /// The hash that must still be stored; `None` for any hash or none.
    verified: Option<String>,
    account: EventId,
    hash: String,
    spared: Option<crate::model::kernel::id::SessionId>,
    /// The session of the same browser that `opening` replaces.
    replaced: Option<crate::model::kernel::id::SessionId>,
    opening: Option<PendingSession>,
    /// What was proven for the session that `opening` replaces.
    proofs: Proofs,
    policies: Arc<Policies>,
}

impl Change {
    /// Writes the user's row first and ends the sessions in a later statement: a concurrent sign-in
    /// sees the new hash, or its session is revoked.
    ///
    /// # Errors
    /// [`Error::InvalidPassword`] if the verified hash is not the user's any more,
    /// [`Error::UserNotFound`] if the user does not exist, [`Error::Unauthorized`] if the user was
    /// banned or disabled meanwhile.
    async fn run(self, tx: &mut Tx<'_>) -> Result<Option<(PendingSession, Beginning)>> {
        let now = tx.now();
        let refusal = || {
            if self.verified.is_some() {
                Error::InvalidPassword
            } else {
                Error::UserNotFound
            }
        };
        store::account::user_changes::lock_account(tx.conn, self.user).await?;
        store::account::user_changes::lock(tx.conn, self.user)
            .await?
            .ok_or_else(refusal)?;
        if !store::account::users::set_password(
            tx.conn,
            self.user,
            self.account,
            self.verified.as_deref(),
            &self.hash,
            now,
        )
        .await?
        {
            return Err(refusal());
        }
        if let Some(replaced) = self.replaced {
            end(tx, Which::One(replaced), RevokedReason::Replaced).await?;
        }
        let others = Which::OfUser {
            user: self.user,
            except: self.spared,
        };
        end(tx, others, RevokedReason::PasswordChanged).await?;
        tx.record(Kind::PasswordChanged, Some(self.user), None, Map::new())
            .await?;
        store::mails::end_tokens(tx.conn, self.user, now).await?;
        if let Some(found) = store::account::users::by_id(tx.conn, self.user).await? {
            tx.queue_notice(Template::PasswordChanged, &found.user, Map::new())
                .await?;
        }
        let Some(opening) = self.opening else {
            return Ok(None);
        };
        let proofs = self.proofs.and(Proof::Password, now);
        let (_, cleared) = clear_in(tx, self.user, proofs, &self.policies).await?;
        let beginning = opening
            .insert(tx, &cleared, None)
            .await?
            .ok_or(Error::Unauthorized)?;
        Ok(Some((opening, beginning)))
    }
}
