//! A new password for a user who has forgotten the old one, and the first one of an invited user.
//! Every session ends with it, and every other link that was sent; the mailbox is proven by it.

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::password::Password;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::mail::{MailToken, Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::session::endings::Which;

use super::choose_password::consider;
use super::mailbox;
use super::sign_up::account_id;
use crate::flows::audit::recorder::Recorder;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::mail_links;
use crate::flows::mail::outbox::Outbox;
use crate::flows::session::end_session::end;
use crate::flows::{Error, Result};

/// Sends the link to whoever has the address; that is looked up after the answer.
pub async fn request(
    app: &App,
    email: &Email,
    redirect: Option<String>,
    peer: &Peer,
) -> Result<()> {
    if !app.config.mail.sends() {
        return Err(Error::ResetPasswordDisabled);
    }
    RateLimitCheck::mail(app, Purpose::ResetPassword, email, peer)
        .consume(app)
        .await?;
    let (key, outbox) = (email.clone(), Outbox::new(app));
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            outbox
                .request(conn, Purpose::ResetPassword, &key, redirect.as_deref())
                .await
        })
    });
    work.await?;
    app.mail_waits.notify_one();
    Ok(())
}

/// Whether the link is good; it is not used up by that.
pub async fn check(app: &App, token: &str) -> Result<()> {
    open(app, token).await.map(|_| ())
}

/// One that is too old is as bad as any other here (contract section 5.6).
async fn open(app: &App, token: &str) -> Result<MailToken> {
    mail_links::open_password(app, token).await.map_err(|e| {
        if matches!(e, Error::MailTokenExpired) {
            Error::MailTokenInvalid
        } else {
            e
        }
    })
}

/// Sets the password, once a link. Returns the user with the new password: the change ended every
/// known device, and where it was made is known anew.
pub async fn reset(app: &App, token: &str, new: &str, peer: &Peer) -> Result<User> {
    // A password that cannot be chosen does not use the link up.
    let new = Password::chosen(new, app.config.passwords.length)?;
    let token = open(app, token).await?;
    let id = token.user;
    let known = app
        .db
        .read(move |conn| Box::pin(store::account::users::by_id(conn, id)))
        .await?
        .ok_or(Error::MailTokenInvalid)?;
    consider(app, &new, &[token.email.as_str(), &known.user.name]).await?;
    let hash = app.hasher.hash(peer, new).await?;
    let (outbox, recorder, account) = (Outbox::new(app), Recorder::new(app, peer), account_id(app));
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            let now = conn.now();
            store::account::user_changes::lock_account(conn, token.user).await?;
            let Some(mut user) = store::account::user_changes::lock(conn, token.user).await? else {
                return Ok(Err(Error::MailTokenInvalid));
            };
            if user.email != token.email || !store::mails::end_token(conn, token.id, now).await? {
                return Ok(Err(Error::MailTokenInvalid));
            }
            if !user.email_verified {
                // The link proves the mailbox too: what was set before, without it, ends.
                let Some(claimed) =
                    mailbox::claim(conn, &recorder, &user, None, mailbox::Profile::Kept).await?
                else {
                    return Ok(Err(Error::MailTokenInvalid));
                };
                // The name may be a stranger's: it has no place in what the owner gets from us
                // about this.
                user = User {
                    name: String::new(),
                    ..claimed
                };
            }
            store::account::users::set_password(conn, token.user, account, None, &hash, now)
                .await?;
            store::mails::end_tokens(conn, user.id, now).await?;
            end(
                conn,
                &recorder,
                Which::OfUser {
                    user: user.id,
                    except: None,
                },
                RevokedReason::PasswordChanged,
            )
            .await?;
            recorder
                .record(
                    conn,
                    Kind::PasswordChanged,
                    Some(user.id),
                    None,
                    serde_json::Map::new(),
                )
                .await?;
            if token.purpose == Purpose::ResetPassword {
                outbox
                    .notice(
                        conn,
                        Template::PasswordChanged,
                        &user,
                        serde_json::Map::new(),
                    )
                    .await?;
            }
            Ok(store::account::user_changes::lock(conn, user.id)
                .await?
                .ok_or(Error::MailTokenInvalid))
        })
    });
    let user = work.await??;
    app.mail_waits.notify_one();
    Ok(user)
}
