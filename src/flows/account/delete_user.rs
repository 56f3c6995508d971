//! Deletes one's own account: at once with the password, or by a link that only works in a browser
//! in which the user is signed in.

use std::time::Duration;

use crate::app::App;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::trusted_clock::ConfirmedNow;
use crate::model::mail::Purpose;
use crate::store::{self, work};

use super::change_user::{delete_account, keep_an_admin};
use super::update_user::prove_password;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::mail_links;
use crate::flows::permit::{OwnAccount, OwnWayIn, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// The greatest age of a sign-in that may delete the account without a password or a link.
const FRESH: Duration = Duration::from_secs(86_400);

/// Deletes the account of a user who proves the password.
pub async fn with_password(
    app: &App,
    who: OwnWayIn<'_, to::DeleteUser>,
    password: &str,
    requester: &Requester,
) -> Result<()> {
    let (user, verified) = (
        who.user.id,
        prove_password(app, &who, password, requester).await?,
    );
    delete(app, user, Proof::Password(verified), requester).await
}

/// Deletes the account if no mail can be sent: a sign-in that is less than a day old is sufficient,
/// as with Better Auth.
pub async fn with_fresh_session(
    app: &App,
    who: OwnWayIn<'_, to::DeleteUser>,
    requester: &Requester,
) -> Result<()> {
    if app.now().since(who.session.auth_time) >= FRESH {
        return Err(Error::SessionExpired);
    }
    delete(app, who.user.id, Proof::FreshSession, requester).await
}

/// Sends the link for deletion.
pub async fn request(
    app: &App,
    who: OwnWayIn<'_, to::DeleteUser>,
    callback: Option<String>,
    requester: &Requester,
) -> Result<()> {
    RateLimitCheck::own_mail(app, Purpose::DeleteUser, who.user.id, requester)
        .consume(app)
        .await?;
    let user = who.user.id;
    app.transaction(
        requester,
        tx!(tx => {
            let user = store::account::user_changes::lock(tx.conn, user)
                .await?
                .ok_or(Error::Unauthorized)?;
            tx.offer_link(Purpose::DeleteUser, &user, callback.as_deref())
                .await?;
            Ok(())
        }),
    )
    .await
}

/// Checks that the link belongs to this user and is valid.
pub async fn check(app: &App, who: OwnAccount<'_, to::DeleteUser>, token: &str) -> Result<()> {
    let token = mail_links::open(app, token, Purpose::DeleteUser).await?;
    if token.user == who.user.id {
        Ok(())
    } else {
        Err(Error::MailTokenInvalid)
    }
}

/// Deletes the account by its link.
pub async fn with_token(
    app: &App,
    who: OwnAccount<'_, to::DeleteUser>,
    token: &str,
    requester: &Requester,
) -> Result<()> {
    let user = who.user.id;
    let token = mail_links::open(app, token, Purpose::DeleteUser).await?;
    if token.user == user {
        delete(app, user, Proof::Link(token.id), requester).await
    } else {
        Err(Error::MailTokenInvalid)
    }
}

/// Why an account may be deleted.
#[derive(Clone)]
enum Proof {
    /// The hash that the password was compared with.
    Password(Option<String>),
    Link(EventId),
    FreshSession,
}

async fn delete(app: &App, user: UserId, proof: Proof, requester: &Requester) -> Result<()> {
    app.transaction(
        requester,
        tx!(tx => {
            store::account::user_changes::lock_account(tx.conn, user).await?;
            keep_an_admin(tx, user).await?;
            store::account::user_changes::lock(tx.conn, user).await?;
            match &proof {
                Proof::Password(verified) => {
                    // The password was changed while it was being verified, so the proof is not
                    // valid any more.
                    let current = store::account::users::by_id(tx.conn, user)
                        .await?
                        .and_then(|found| found.password_hash);
                    if current != *verified {
                        return Err(Error::InvalidPassword);
                    }
                }
                Proof::Link(link) => {
                    let now = tx.now();
                    if !store::mails::end_token(tx.conn, *link, now).await? {
                        return Err(Error::MailTokenInvalid);
                    }
                }
                Proof::FreshSession => {}
            }
            delete_account(tx, user, Error::Unauthorized).await
        }),
    )
    .await
}

/// Deletes sign-ups whose mailbox was never verified (`sign_up.unproven_ttl`), at most `limit`;
/// returns how many it looked at.
pub async fn unproven(app: &App, confirmed: ConfirmedNow, limit: i64) -> Result<u64> {
    let sign_up = &app.config.sign_up;
    if !sign_up.require_email_verification || sign_up.unproven_ttl.is_none() {
        return Ok(0);
    }
    let due = app
        .db
        .read(work!(conn => store::account::user_changes::unproven(
                conn,
                confirmed.now(),
                limit,
            ).await))
        .await?;
    let count = due.len() as u64;
    for user in due {
        let work = tx!(tx => {
            store::account::user_changes::lock_account(tx.conn, user).await?;
            // A user whose mailbox was verified meanwhile stays.
            if store::account::user_changes::delete_unproven(tx.conn, user, confirmed).await? {
                let why = detail([("reason", "never proven".into())]);
                tx.record(Kind::UserDeleted, Some(user), None, why).await?;
            }
            Ok(())
        });
        app.transaction(&Requester::named("schedule"), work).await?;
    }
    Ok(count)
}
