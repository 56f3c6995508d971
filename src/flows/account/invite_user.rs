//! Inviting somebody: an account without a password, and a link to its mailbox that sets one. It
//! works where signing up is closed.

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::permission::Action;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::UserId;
use crate::model::mail::Purpose;
use crate::store;

use super::manage_users::may_make;
use super::sign_up::{account_id, new_user};
use crate::flows::audit::recorder::Recorder;
use crate::flows::authority::Authority;
use crate::flows::mail::outbox::Outbox;
use crate::flows::{Error, Result};

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

/// Who has the address, with the roles of now, if the one who invites may make a user with these
/// roles: the link of such a user, and where it leads, is not for others to choose.
async fn invited_before(
    app: &App,
    by: Authority<'_>,
    email: &Email,
) -> Result<Option<(UserId, String)>> {
    let email = email.clone();
    let known = app
        .db
        .read(move |conn| {
            Box::pin(async move { store::account::users::by_email(conn, &email).await })
        })
        .await?;
    Ok(known
        .map(|known| (known.user.id, known.user.role))
        .filter(|(_, role)| may_make(app, by, role).is_ok()))
}

/// Makes the account and sends the link; who was invited before and has not come gets a new link,
/// and keeps the role of then.
pub async fn invite(
    app: &App,
    by: Authority<'_>,
    invitation: Invitation,
    peer: &Peer,
) -> Result<User> {
    by.may(app, Action::CreateUser)?;
    if !app.config.mail.sends() {
        return Err(Error::VerificationEmailNotEnabled);
    }
    may_make(app, by, &invitation.role)?;
    let fresh = User {
        role: invitation.role,
        ..new_user(app, invitation.email, invitation.name, None)
    };
    let again = invited_before(app, by, &fresh.email).await?;
    let (account, outbox, recorder) = (account_id(app), Outbox::new(app), Recorder::new(app, peer));
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            let user = match store::account::users::by_email(conn, &fresh.email).await? {
                None => {
                    store::account::users::insert(conn, &fresh, account, None).await?;
                    recorder
                        .record(
                            conn,
                            Kind::UserCreated,
                            Some(fresh.id),
                            None,
                            serde_json::Map::new(),
                        )
                        .await?;
                    fresh
                }
                Some(known)
                    if known.password_hash.is_none()
                        && known.user.disabled_at.is_none()
                        && again == Some((known.user.id, known.user.role.clone())) =>
                {
                    known.user
                }
                Some(_) => return Ok(Err(Error::EmailTaken)),
            };
            if !outbox
                .link(conn, Purpose::Invitation, &user, Some(&invitation.redirect))
                .await?
            {
                return Ok(Err(Error::TooManyRequests(outbox.refusal_delay())));
            }
            recorder
                .record(
                    conn,
                    Kind::UserInvited,
                    Some(user.id),
                    None,
                    serde_json::Map::new(),
                )
                .await?;
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
