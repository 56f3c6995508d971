//! Changes the email address: the user agrees at the old one, if it was verified, and proves the
//! new one. Whether the new one belongs to another account is not revealed before it is proven;
//! after that there is nothing to reveal. Every other session ends with the change.

use std::time::Duration;

use serde_json::Map;

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::mail::{Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::session::endings::Which;

use super::mailbox;
use super::mailbox::{Evidence, Proof, Tie};
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::mail_links;
use crate::flows::mail::require_mail::require_mail;
use crate::flows::permit::{OwnWayIn, to};
use crate::flows::session::end_session::end;
use crate::flows::transaction::outbox::Change;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// If the old mailbox was never verified, only the session can agree, and it must be this fresh:
/// one day, as with Better Auth.
const FRESH: Duration = Duration::from_secs(86_400);

/// Refuses a change that the settings or the session do not allow.
pub(super) fn may_begin(app: &App, who: OwnWayIn<'_, to::SetEmail>, new: &Email) -> Result<()> {
    require_mail(app, Error::ChangeEmailDisabled)?;
    if !app.config.sign_up.domains.admit(new) {
        return Err(Error::EmailDomainNotAllowed);
    }
    let is_fresh = app.now().since(who.session.auth_time) < FRESH;
    if who.user.email_verified || is_fresh {
        Ok(())
    } else {
        Err(Error::SessionNotFresh(FRESH))
    }
}

/// Starts a change of the email address.
pub async fn request(
    app: &App,
    who: OwnWayIn<'_, to::SetEmail>,
    new: Email,
    callback: Option<String>,
    requester: &Requester,
) -> Result<()> {
    may_begin(app, who, &new)?;
    RateLimitCheck::own_mail(app, Purpose::VerifyChange, who.user.id, requester)
        .consume(app)
        .await?;
    let is_fresh = app.now().since(who.session.auth_time) < FRESH;
    let user = who.user.id;
    let change = Change {
        new_email: new,
        session: Some(who.session.id),
    };
    app.transaction(
        requester,
        tx!(tx => {
            let user = store::account::user_changes::lock(tx.conn, user)
                .await?
                .ok_or(Error::Unauthorized)?;
            if user.email == change.new_email {
                return Err(Error::EmailIsTheSame);
            }
            if !user.email_verified && !is_fresh {
                return Err(Error::SessionNotFresh(FRESH));
            }
            // Whether the new email address is taken decides where its verification link goes; for
            // the link to the old mailbox it makes no difference.
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
            // Only one change at a time: a new link ends those of earlier changes. A mail that the
            // recipient's limit dropped ends nothing.
            if sent {
                let now = tx.now();
                store::mails::end_tokens_of(tx.conn, user.id, other, now).await?;
            }
            Ok(())
        }),
    )
    .await
}

/// Sends the link to the new email address. If it belongs to another account, no link is sent,
/// without any visible difference. Returns `false` if the recipient's limit is reached.
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

/// Records the agreement from the old mailbox and sends the link to the new one.
pub async fn approve(
    app: &App,
    text: &str,
    callback: Option<String>,
    requester: &Requester,
) -> Result<()> {
    let token = mail_links::open(app, text, Purpose::ApproveChange).await?;
    let change = Change {
        new_email: token.new_email.clone().ok_or(Error::MailTokenInvalid)?,
        session: token.session,
    };
    app.transaction(
        requester,
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
            // The link stays valid until the new email address may receive a mail again.
            if !prove(tx, &user, &change, callback.as_deref()).await? {
                return Err(tx.too_many_mails());
            }
            tx.record(Kind::EmailChangeApproved, Some(user.id), None, Map::new())
                .await
        }),
    )
    .await
}

/// Completes the change: the new email address is proven and belongs to the user from now on. This
/// does not sign the user in, and a device that was tied to the account becomes known again. Every
/// other session ends, except the one that proved the email address or, if the password proved it,
/// the one that asked for the change. Without either, all sessions and the password end
/// (`mailbox`).
pub async fn confirm(
    app: &App,
    text: &str,
    evidence: Evidence<'_>,
    requester: &Requester,
) -> Result<Proof> {
    let token = mail_links::open(app, text, Purpose::VerifyChange).await?;
    let new = token.new_email.clone().ok_or(Error::MailTokenInvalid)?;
    let tie = mailbox::weigh(app, token.user, &evidence, requester).await?;
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
    let proven = app.transaction(requester, work).await?;
    let proof = mailbox::told(app, proven)?;
    let device = tied.device(app, &proof.user);
    Ok(Proof { device, ..proof })
}
