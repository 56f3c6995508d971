//! A new password for who has forgotten the old one. Every session ends with it, and every other link that was sent.

use crate::app::App;
use crate::model::audit::{Kind, Peer};
use crate::model::email::Email;
use crate::model::mail::{Purpose, Template};
use crate::model::password::Password;
use crate::model::session::RevokedReason;
use crate::store;
use crate::store::sessions::Which;

use super::end_session::end;
use super::outbox::{Outbox, lock_by_email};
use super::record::Recorder;
use super::sign_up::account_id;
use super::{Error, Result, mail_links};

/// Sends the link to whoever has the address; an unknown one costs the same.
pub async fn request(app: &App, email: &Email, redirect: Option<String>) -> Result<()> {
    let (key, outbox) = (email.clone(), Outbox::new(app));
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            let found = lock_by_email(conn, &key).await?;
            match found.filter(|user| user.disabled_at.is_none()) {
                Some(user) => outbox.link(conn, Purpose::ResetPassword, &user, None, redirect.as_deref()).await,
                None => outbox.decoy(conn).await,
            }
        })
    });
    work.await?;
    app.mail_waits.notify_one();
    Ok(())
}

/// Whether the link is good; it is not used up by that.
pub async fn check(app: &App, token: &str) -> Result<()> {
    mail_links::open(app, token, Purpose::ResetPassword).await.map(|_| ())
}

/// Sets the password, once a link.
pub async fn reset(app: &App, token: &str, new: &str, peer: &Peer) -> Result<()> {
    // A password that cannot be chosen does not use the link up.
    let new = Password::chosen(new, app.config.passwords.length)?;
    let token = mail_links::open(app, token, Purpose::ResetPassword).await?;
    let hash = app.hasher.hash(new).await?;
    let (outbox, recorder, account) = (Outbox::new(app), Recorder::new(app, peer), account_id(app));
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            let now = recorder.now;
            let Some(user) = store::user_changes::lock(conn, token.user).await? else { return Ok(Err(Error::MailTokenInvalid)) };
            if user.email != token.email || !store::mails::end_token(conn, token.id, now).await? {
                return Ok(Err(Error::MailTokenInvalid));
            }
            if !store::users::set_password_hash(conn, token.user, None, &hash, now).await? {
                store::users::insert_password(conn, token.user, account, &hash, now).await?;
            }
            store::users::touch(conn, user.id, now).await?;
            store::mails::end_tokens(conn, user.id, now).await?;
            end(conn, &recorder, Which::OfUser { user: user.id, except: None }, RevokedReason::PasswordChanged).await?;
            recorder.record(conn, Kind::PasswordChanged, Some(user.id), None, serde_json::Map::new()).await?;
            outbox.notice(conn, Template::PasswordChanged, &user, serde_json::Map::new()).await?;
            Ok(Ok(()))
        })
    });
    work.await??;
    app.mail_waits.notify_one();
    Ok(())
}
