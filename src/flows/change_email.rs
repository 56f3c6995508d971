//! Another address: agreed to at the old one, if that was proven, and proven at the new one. Whether the new one is somebody else's is told to
//! nobody before it is proven, and then there is nothing to tell.

use serde_json::Map;

use crate::app::App;
use crate::model::audit::{Kind, Peer};
use crate::model::email::Email;
use crate::model::id::UserId;
use crate::model::mail::{Purpose, Template};
use crate::model::user::User;
use crate::store::user_changes::{Changes, change};
use crate::store::{self, Conn};

use super::outbox::Outbox;
use super::record::{Recorder, detail};
use super::{Error, Result, mail_links};

/// Asks for another address.
pub async fn request(app: &App, user: UserId, new: Email, callback: Option<String>) -> Result<()> {
    let outbox = Outbox::new(app);
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            let Some(user) = store::user_changes::lock(conn, user).await? else { return Ok(Err(Error::Unauthorized)) };
            if user.email == new {
                return Ok(Err(Error::EmailIsTheSame));
            }
            // Whether the new one is taken decides where its proof would go: to the old mailbox it makes no difference.
            if user.email_verified {
                outbox.link(conn, Purpose::ApproveChange, &user, Some(&new), callback.as_deref()).await?;
            } else {
                prove(conn, &outbox, &user, &new, callback.as_deref()).await?;
            }
            Ok(Ok(()))
        })
    });
    work.await??;
    app.mail_waits.notify_one();
    Ok(())
}

/// Sends the link to the new address, unless somebody else has it: then nobody gets one, and nothing tells.
async fn prove(conn: &mut Conn, outbox: &Outbox, user: &User, new: &Email, callback: Option<&str>) -> store::Result<()> {
    if store::users::by_email(conn, new).await?.is_some() {
        return outbox.silent_link(conn, Purpose::VerifyChange, user, new).await;
    }
    outbox.link(conn, Purpose::VerifyChange, user, Some(new), callback).await
}

/// The old address agrees: the new one gets its link.
pub async fn approve(app: &App, text: &str, callback: Option<String>) -> Result<()> {
    let token = mail_links::open(app, text, Purpose::ApproveChange).await?;
    let new = token.new_email.clone().ok_or(Error::MailTokenInvalid)?;
    let (outbox, now) = (Outbox::new(app), app.now());
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            let Some(user) = store::user_changes::lock(conn, token.user).await? else { return Ok(Err(Error::UserNotFound)) };
            if user.email != token.email || !store::mails::end_token(conn, token.id, now).await? {
                return Ok(Err(Error::MailTokenInvalid));
            }
            prove(conn, &outbox, &user, &new, callback.as_deref()).await?;
            Ok(Ok(()))
        })
    });
    work.await??;
    app.mail_waits.notify_one();
    Ok(())
}

/// The new address is proven: it is the user's from now on. Nobody is signed in by it.
pub async fn confirm(app: &App, text: &str, peer: &Peer) -> Result<User> {
    let token = mail_links::open(app, text, Purpose::VerifyChange).await?;
    let new = token.new_email.clone().ok_or(Error::MailTokenInvalid)?;
    let (outbox, recorder) = (Outbox::new(app), Recorder::new(app, peer));
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            let now = recorder.now;
            let Some(before) = store::user_changes::lock(conn, token.user).await? else { return Ok(Err(Error::UserNotFound)) };
            if before.email != token.email || !store::mails::end_token(conn, token.id, now).await? {
                return Ok(Err(Error::MailTokenInvalid));
            }
            let changes = Changes { email: Some(new.clone()), email_verified: Some(true), ..Changes::default() };
            let Some(user) = change(conn, before.id, &changes, now).await? else { return Ok(Err(Error::UserNotFound)) };
            store::mails::end_tokens(conn, user.id, now).await?;
            outbox.notice(conn, Template::EmailChanged, &before, detail([("newEmail", new.as_str().into())])).await?;
            recorder.record(conn, Kind::EmailChanged, Some(user.id), None, Map::new()).await?;
            Ok(Ok(user))
        })
    });
    let user = match work.await {
        Ok(outcome) => outcome?,
        // Somebody took the address meanwhile.
        Err(store::Error::Conflict) => return Err(Error::MailTokenInvalid),
        Err(error) => return Err(error.into()),
    };
    app.mail_waits.notify_one();
    Ok(user)
}
