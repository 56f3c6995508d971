//! Proving a mailbox. Whether an address is known is told to nobody: before the answer nobody has looked.

use serde_json::Map;

use crate::app::App;
use crate::model::audit::{Kind, Peer};
use crate::model::email::Email;
use crate::model::mail::Purpose;
use crate::model::user::User;
use crate::store;
use crate::store::user_changes::{Changes, change};

use super::limit::Charges;
use super::outbox::Outbox;
use super::record::Recorder;
use super::{Error, Result, mail_links};

/// Sends the link, to the user who is signed in or to whoever has the address.
pub async fn request(app: &App, email: &Email, signed_in: Option<&User>, callback: Option<String>, peer: &Peer) -> Result<()> {
    if !app.config.mail.sends() {
        return Err(Error::VerificationEmailNotEnabled);
    }
    if let Some(user) = signed_in {
        if user.email != *email {
            return Err(Error::EmailMismatch);
        }
        if user.email_verified {
            return Err(Error::EmailAlreadyVerified);
        }
    }
    Charges::mail(app, Purpose::VerifyEmail, email, peer).take(app).await?;
    let (key, outbox) = (email.clone(), Outbox::new(app));
    let work = app.db.write(move |conn| Box::pin(async move { outbox.request(conn, Purpose::VerifyEmail, &key, callback.as_deref()).await }));
    work.await?;
    app.mail_waits.notify_one();
    Ok(())
}

/// Follows the link; doing it again until it expires is no error.
pub async fn verify(app: &App, token: &str, peer: &Peer) -> Result<()> {
    let token = mail_links::open(app, token, Purpose::VerifyEmail).await?;
    let recorder = Recorder::new(app, peer);
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            let Some(user) = store::user_changes::lock(conn, token.user).await? else { return Ok(Err(Error::UserNotFound)) };
            if user.email != token.email {
                return Ok(Err(Error::MailTokenInvalid));
            }
            if !user.email_verified {
                // What could be changed without this address's word can be no longer.
                store::mails::end_tokens_of(conn, user.id, Purpose::VerifyChange, recorder.now).await?;
                change(conn, user.id, &Changes { email_verified: Some(true), ..Changes::default() }, recorder.now).await?;
                recorder.record(conn, Kind::EmailVerified, Some(user.id), None, Map::new()).await?;
            }
            Ok(Ok(()))
        })
    });
    work.await?
}
