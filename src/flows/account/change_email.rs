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
use crate::store;
use crate::store::session::endings::Which;

use super::mailbox;
use super::mailbox::{Evidence, Proof, Tie};
use crate::flows::audit::recorder::detail;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::mail_links;
use crate::flows::mail::outbox::Change;
use crate::flows::permit::{OwnAccount, to};
use crate::flows::session::end_session::end;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// Where no mailbox was proven, nobody but the session can agree: it must be this fresh. A day, as
/// Better Auth's.
const FRESH: Duration = Duration::from_secs(86_400);

/// Asks for another address.
pub async fn request(
    app: &App,
    who: OwnAccount<'_, to::SetEmail>,
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
    let user = who.user.id;
    let change = Change {
        new_email: new,
        session: Some(who.session.id),
    };
    app.transaction(
        peer,
        tx!(tx => {
            let user = store::account::user_changes::lock(tx.conn, user)
                .await?
                .ok_or(Error::Unauthorized)?;
            if user.email == change.new_email {
                return Err(Error::EmailIsTheSame);
            }
            if !user.email_verified && !is_fresh {
                return Err(Error::SessionNotFresh);
            }
            // Whether the new address is taken decides where its proof would go: for the old
            // mailbox it makes no difference.
            let (sent, other) = if user.email_verified {
                let (purpose, to) = (Purpose::ApproveChange, Some(&user.email));
                let sent = tx
                    .offer_link_of_change(purpose, &user, &change, to, callback.as_deref())
                    .await?;
                (sent, Purpose::VerifyChange)
            } else {
                (
                    prove(tx, &user, &change, callback.as_deref()).await?,
                    Purpose::ApproveChange,
                )
            };
            // One change at a time: a new link ends those of the change before. One that the limit
            // of its recipient dropped ends nothing.
            if sent {
                let now = tx.now();
                store::mails::end_tokens_of(tx.conn, user.id, other, now).await?;
            }
            Ok(())
        }),
    )
    .await
}

/// Sends the link to the new address, unless it belongs to another account: then no link is sent,
/// and nothing tells. `false`: over the recipient's limit.
async fn prove(
    tx: &mut Tx<'_>,
    user: &User,
    change: &Change,
    callback: Option<&str>,
) -> Result<bool> {
    let taken = store::account::users::by_email(tx.conn, &change.new_email)
        .await?
        .is_some();
    let to = (!taken).then_some(&change.new_email);
    tx.offer_link_of_change(Purpose::VerifyChange, user, change, to, callback)
        .await
}

/// The old address agrees: the new one gets its link.
pub async fn approve(app: &App, text: &str, callback: Option<String>, peer: &Peer) -> Result<()> {
    let token = mail_links::open(app, text, Purpose::ApproveChange).await?;
    let change = Change {
        new_email: token.new_email.clone().ok_or(Error::MailTokenInvalid)?,
        session: token.session,
    };
    app.transaction(
        peer,
        tx!(tx => {
            let user = store::account::user_changes::lock(tx.conn, token.user)
                .await?
                .ok_or(Error::UserNotFound)?;
            let now = tx.now();
            if user.email != token.email
                || !store::mails::end_token(tx.conn, token.id, now).await?
            {
                return Err(Error::MailTokenInvalid);
            }
            // The link stays good for when the new address may get a mail again.
            if !prove(tx, &user, &change, callback.as_deref()).await? {
                return Err(tx.too_many_mails());
            }
            tx.record(Kind::EmailChangeApproved, Some(user.id), None, Map::new())
                .await
        }),
    )
    .await
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
    let work = tx!(tx => {
        store::account::user_changes::lock_account(tx.conn, token.user).await?;
        let before = store::account::user_changes::lock(tx.conn, token.user)
            .await?
            .ok_or(Error::UserNotFound)?;
        let now = tx.now();
        if before.email != token.email || !store::mails::end_token(tx.conn, token.id, now).await? {
            return Err(Error::MailTokenInvalid);
        }
        let proven = mailbox::prove(tx, &before, Some(&new), &tie).await?;
        let spared = if let Tie::Session(session) = tie {
            Some(session)
        } else {
            token.session
        };
        let others = Which::OfUser {
            user: before.id,
            except: spared,
        };
        end(tx, others, RevokedReason::EmailChanged).await?;
        let words = detail([("newEmail", new.as_str().into())]);
        tx.queue_notice(Template::EmailChanged, &before, words)
            .await?;
        Ok(proven)
    });
    let proven = app.transaction(peer, work).await?;
    let proof = mailbox::told(app, proven)?;
    let device = tied.device(app, &proof.user);
    Ok(Proof { device, ..proof })
}
