//! Invites a user: creates an account without a password, and mails a link that sets one. Works
//! even if sign-up is closed.

use serde_json::Map;

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::profile::DisplayName;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::mail::Purpose;
use crate::store::{self, work};

use super::manage_users::require_to_make;
use super::sign_up::{account_id, new_user};
use crate::flows::authority::Caller;
use crate::flows::error::if_conflict;
use crate::flows::mail::require_mail::require_mail;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// The content of an invitation.
pub struct Invitation {
    /// Email address in canonical form.
    pub email: Email,
    /// Display name; may be empty.
    pub name: DisplayName,
    /// Role names, joined by commas.
    pub role: String,
    /// The page that receives the token and asks for a password; `None` for a page of this service.
    pub redirect: Option<String>,
}

/// Returns the user with this email address and their present roles, if the caller may create a
/// user with these roles. Otherwise the caller must not choose the link of such a user, nor where
/// it leads.
async fn invited_before(
    app: &App,
    by: Caller<'_>,
    email: &Email,
) -> Result<Option<(UserId, String)>> {
    let email = email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &email).await))
        .await?;
    Ok(known
        .map(|known| (known.user.id, known.user.role))
        .filter(|(_, role)| require_to_make(app, by, role).is_ok()))
}

/// Creates the account and sends the link. A user who was invited before and has not accepted gets
/// a new link, and keeps the original role.
pub async fn invite(
    app: &App,
    permitted: Permitted<'_, to::CreateUser>,
    invitation: Invitation,
    requester: &Requester,
) -> Result<User> {
    let by = permitted.caller();
    require_mail(app, Error::VerificationEmailNotEnabled)?;
    require_to_make(app, by, &invitation.role)?;
    let fresh = User {
        role: invitation.role,
        ..new_user(app, invitation.email, invitation.name, None)
    };
    let again = invited_before(app, by, &fresh.email).await?;
    let account = account_id(app);
    app.transaction(
        requester,
        tx!(tx => {
            let user = match store::account::users::by_email(tx.conn, &fresh.email).await? {
                None => {
                    store::account::users::insert(tx.conn, &fresh, account, None)
                        .await
                        .map_err(if_conflict(Error::EmailTaken))?;
                    tx.record(Kind::UserCreated, Some(fresh.id), None, Map::new())
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
                Some(_) => return Err(Error::EmailTaken),
            };
            tx.queue_link(Purpose::Invitation, &user, invitation.redirect.as_deref())
                .await?;
            tx.record(Kind::UserInvited, Some(user.id), None, Map::new())
                .await?;
            Ok(user)
        }),
    )
    .await
}
