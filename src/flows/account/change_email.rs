//! Another address: agreed to at the old one, if that was proven, and proven at the new one.
//! Whether the new one belongs to another account is not told before it is proven, and then there
//! is nothing to tell. Every other session ends with the change.

use std::time::Duration;

use serde_json::Map;

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::mail::{Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;
use crate::store::{self, Conn};

use super::mailbox;
use super::mailbox::{Evidence, Proof, Tie};
use crate::flows::audit::recorder::{Recorder, detail};
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::mail_links;
use crate::flows::mail::outbox::{Change, Outbox};
use crate::flows::session::end_session::end;
use crate::flows::session::read_session::Authenticated;
use crate::flows::{Error, Result};

/// Where no mailbox was proven, nobody but the session can agree: it must be this fresh. A day, as
/// Better Auth's.
const FRESH: Duration = Duration::from_secs(86_400);

/// Asks for another address.
pub async fn request(
    app: &App,
    who: &Authenticated,
    new: Email,
    callback: Option<String>,
    peer: &Peer,
) -> Result<()> {
    if !app.config.mail.sends() {
        return Err(Error::ChangeEmailDisabled);
    }
    if !app.config.sign_up.domains.admit(&new) {
        return Err(Error::EmailDomainNotAllowed);
    }
    RateLimitCheck::own_mail(app, Purpose::VerifyChange, who.user.id, peer)
        .consume(app)
        .await?;
    let is_fresh = app.now().since(who.session.auth_time) < FRESH;
    let (outbox, user) = (Outbox::new(app), who.user.id);
    let wish = Change {
        new_email: new,
        session: Some(who.session.id),
    };
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            let Some(user) = store::account::user_changes::lock(conn, user).await? else {
                return Ok(Err(Error::Unauthorized));
            };
            if user.email == wish.new_email {
                return Ok(Err(Error::EmailIsTheSame));
            }
            if !user.email_verified && !is_fresh {
                return Ok(Err(Error::SessionNotFresh));
            }
            // Whether the new one is taken decides where its proof would go: to the old mailbox it
            // makes no difference.
            let (sent, other) = if user.email_verified {
                let sent = outbox
                    .link_of_change(
                        conn,
                        Purpose::ApproveChange,
                        &user,
                        &wish,
                        Some(&user.email),
                        callback.as_deref(),
                    )
                    .await?;
                (sent, Purpose::VerifyChange)
            } else {
                (
                    prove(conn, &outbox, &user, &wish, callback.as_deref()).await?,
                    Purpose::ApproveChange,
                )
            };
            // One change at a time: a new link ends those of the change before. One that the limit
            // of its recipient dropped ends nothing.
            if sent {
                store::mails::end_tokens_of(conn, user.id, other, conn.now()).await?;
            }
            Ok(Ok(()))
        })
    });
    work.await??;
    app.mail_waits.notify_one();
    Ok(())
}

/// Sends the link to the new address, unless it belongs to another account: then no link is sent,
/// and nothing tells. `false`: over the recipient's limit.
async fn prove(
    conn: &mut Conn,
    outbox: &Outbox,
    user: &User,
    wish: &Change,
    callback: Option<&str>,
) -> store::Result<bool> {
    let taken = store::account::users::by_email(conn, &wish.new_email)
        .await?
        .is_some();
    let to = (!taken).then_some(&wish.new_email);
    outbox
        .link_of_change(conn, Purpose::VerifyChange, user, wish, to, callback)
        .await
}

/// The old address agrees: the new one gets its link.
pub async fn approve(app: &App, text: &str, callback: Option<String>, peer: &Peer) -> Result<()> {
    let token = mail_links::open(app, text, Purpose::ApproveChange).await?;
    let wish = Change {
        new_email: token.new_email.clone().ok_or(Error::MailTokenInvalid)?,
        session: token.session,
    };
    let (outbox, recorder) = (Outbox::new(app), Recorder::new(app, peer));
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            let now = conn.now();
            let Some(user) = store::account::user_changes::lock(conn, token.user).await? else {
                return Ok(Err(Error::UserNotFound));
            };
            if user.email != token.email || !store::mails::end_token(conn, token.id, now).await? {
                return Ok(Err(Error::MailTokenInvalid));
            }
            // The link stays good for when the new address may get a mail again.
            if !prove(conn, &outbox, &user, &wish, callback.as_deref()).await? {
                return Ok(Err(Error::TooManyRequests(outbox.refusal_delay())));
            }
            recorder
                .record(
                    conn,
                    Kind::EmailChangeApproved,
                    Some(user.id),
                    None,
                    Map::new(),
                )
                .await?;
            Ok(Ok(()))
        })
    });
    work.await??;
    app.mail_waits.notify_one();
    Ok(())
}

/// The new address is proven: it is the user's from now on. No one is signed in by it, and a device
/// that was tied to the account is known anew. Every other session ends: all but the one that
/// proved it or, where the password did, the one that asked; without either all of them, with the
/// password (`mailbox`).
pub async fn confirm(app: &App, text: &str, evidence: Evidence<'_>, peer: &Peer) -> Result<Proof> {
    let token = mail_links::open(app, text, Purpose::VerifyChange).await?;
    let new = token.new_email.clone().ok_or(Error::MailTokenInvalid)?;
    let tie = mailbox::weigh(app, &token, &evidence, peer).await?;
    let tied = tie.clone();
    let (outbox, recorder) = (Outbox::new(app), Recorder::new(app, peer));
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            let now = conn.now();
            store::account::user_changes::lock_account(conn, token.user).await?;
            let Some(before) = store::account::user_changes::lock(conn, token.user).await? else {
                return Ok(Err(Error::UserNotFound));
            };
            if before.email != token.email || !store::mails::end_token(conn, token.id, now).await? {
                return Ok(Err(Error::MailTokenInvalid));
            }
            let proven =
                match mailbox::prove(conn, &recorder, &outbox, &before, Some(&new), &tie).await? {
                    Ok(proven) => proven,
                    Err(error) => return Ok(Err(error)),
                };
            let spared = if let Tie::Session(session) = tie {
                Some(session)
            } else {
                token.session
            };
            end(
                conn,
                &recorder,
                Which::OfUser {
                    user: before.id,
                    except: spared,
                },
                RevokedReason::EmailChanged,
            )
            .await?;
            outbox
                .notice(
                    conn,
                    Template::EmailChanged,
                    &before,
                    detail([("newEmail", new.as_str().into())]),
                )
                .await?;
            Ok(Ok(proven))
        })
    });
    let proven = match work.await {
        Ok(outcome) => outcome?,
        // Another account took the address meanwhile.
        Err(store::Error::Conflict) => return Err(Error::MailTokenInvalid),
        Err(error) => return Err(error.into()),
    };
    app.mail_waits.notify_one();
    let proof = mailbox::told(app, proven)?;
    let device = tied.device(app, &proof.user);
    Ok(Proof { device, ..proof })
}
