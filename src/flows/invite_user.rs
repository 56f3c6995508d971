//! Inviting somebody: an account without a password, and a link to its mailbox that sets one. It works where signing up is closed.

use crate::app::App;
use crate::model::audit::{Kind, Peer};
use crate::model::email::Email;
use crate::model::mail::Purpose;
use crate::model::permission::Action;
use crate::model::user::User;
use crate::store::{self, Conn};

use super::authority::Authority;
use super::manage_users::may_make;
use super::outbox::Outbox;
use super::record::Recorder;
use super::sign_up::{account_id, new_user};
use super::{Error, Result};

/// What the one who invites says.
pub struct Invitation {
    /// Canonical.
    pub email: Email,
    /// May be empty.
    pub name: String,
    /// Comma-joined role names.
    pub role: String,
    /// The page that takes the token and asks for a password.
    pub redirect: String,
}

/// Makes the account and sends the link; who was invited before and has not come gets a new link, and keeps the role of then.
pub async fn invite(app: &App, by: Authority<'_>, invitation: Invitation, peer: &Peer) -> Result<User> {
    by.may(app, Action::CreateUser)?;
    if !app.config.mail.sends() {
        return Err(Error::VerificationEmailNotEnabled);
    }
    may_make(app, by, &invitation.role)?;
    let fresh = User { role: invitation.role, ..new_user(app, invitation.email, invitation.name, None) };
    let (account, outbox, recorder) = (account_id(app), Outbox::new(app), Recorder::new(app, peer));
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            let user = match store::users::by_email(conn, &fresh.email).await? {
                None => {
                    store::users::insert(conn, &fresh, account, None).await?;
                    recorder.record(conn, Kind::UserCreated, Some(fresh.id), None, serde_json::Map::new()).await?;
                    fresh
                }
                Some(known) if known.password_hash.is_none() && known.user.disabled_at.is_none() => known.user,
                Some(_) => return Ok(Err(Error::EmailTaken)),
            };
            send(conn, &outbox, &recorder, &user, &invitation.redirect).await?;
            Ok(Ok(user))
        })
    });
    let user = match work.await {
        Ok(outcome) => outcome?,
        Err(store::Error::Conflict) => return Err(Error::EmailTaken),
        Err(error) => return Err(error.into()),
    };
    app.mail_waits.notify_one();
    Ok(user)
}

async fn send(conn: &mut Conn, outbox: &Outbox, recorder: &Recorder, user: &User, redirect: &str) -> store::Result<()> {
    outbox.link(conn, Purpose::Invitation, user, Some(redirect)).await?;
    recorder.record(conn, Kind::UserInvited, Some(user.id), None, serde_json::Map::new()).await
}
