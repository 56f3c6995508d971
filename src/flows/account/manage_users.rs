//! What operators do with users from the command line, and admins in the console.

use serde_json::{Map, Value};

use crate::app::App;
use crate::model::account::action::{Action, Field};
use crate::model::account::email::Email;
use crate::model::account::profile::{DisplayName, ImageUrl};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;
use crate::store::{self, work};

use super::change_user::keep_an_admin;
use super::choose_password::choose;
use super::sign_up::{account_id, new_user};
use crate::flows::authority::Caller;

pub use crate::flows::authority::check_roles;
use crate::flows::error::if_conflict;
use crate::flows::find_user;
use crate::flows::permit::{Permitted, to};
use crate::flows::session::end_session::end;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// The role of a user who signs up.
const DEFAULT_ROLE: &str = "user";

/// The fields of a new user.
pub struct New {
    /// Email address in canonical form.
    pub email: Email,
    /// Display name; may be empty.
    pub name: DisplayName,
    /// URL of a picture.
    pub image: Option<ImageUrl>,
    /// The password as typed; `None` for a user without one.
    pub password: Option<String>,
    /// Role names, joined by commas.
    pub role: String,
    /// Whether the mailbox counts as verified.
    pub email_verified: bool,
    /// JSON object for custom claims.
    pub metadata: Map<String, Value>,
}

impl New {
    /// Returns the fields in which the new user would differ from one who has just signed up.
    fn fields(&self) -> Vec<Field> {
        let Self {
            email: _,
            name: _,
            image,
            password,
            role,
            email_verified,
            metadata,
        } = self;
        let set = [
            (Field::Image, image.is_some()),
            (Field::Password, password.is_some()),
            (Field::Role, role != DEFAULT_ROLE),
            (Field::EmailVerified, *email_verified),
            (Field::Metadata, !metadata.is_empty()),
        ];
        [Field::Email, Field::Name]
            .into_iter()
            .chain(
                set.into_iter()
                    .filter(|(_, is_set)| *is_set)
                    .map(|(field, _)| field),
            )
            .collect()
    }
}

/// Checks whether [`create`] would succeed now, and writes nothing.
///
/// # Errors
/// What [`create`] would return: a password that is refused, an unknown role, [`Error::EmailTaken`].
pub async fn check_new(app: &App, _: Permitted<'_, to::CreateUser>, new: &New) -> Result<()> {
    if let Some(password) = &new.password {
        choose(app, password, &[new.email.as_str(), &new.name]).await?;
    }
    check_roles(app, &new.role)?;
    let email = new.email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &email).await))
        .await?;
    if known.is_some() {
        Err(Error::EmailTaken)
    } else {
        Ok(())
    }
}

/// Creates a user; the rules for passwords apply.
pub async fn create(
    app: &App,
    permitted: Permitted<'_, to::CreateUser>,
    new: New,
    requester: &Requester,
) -> Result<User> {
    let by = permitted.caller();
    for field in new.fields() {
        by.require_to_begin_with(app, field)?;
    }
    require_to_make(app, by, &new.role)?;
    let hash = match &new.password {
        Some(password) => Some(
            app.hasher
                .hash(
                    requester,
                    choose(app, password, &[new.email.as_str(), &new.name]).await?,
                )
                .await?,
        ),
        None => None,
    };
    let fresh = new_user(app, new.email, new.name, new.image);
    let user = User {
        role: new.role,
        email_verified: new.email_verified,
        metadata: new.metadata,
        ..fresh
    };
    let account = account_id(app);
    app.transaction(
        requester,
        tx!(tx => {
            store::account::users::insert(tx.conn, &user, account, hash.as_deref())
                .await
                .map_err(if_conflict(Error::EmailTaken))?;
            tx.record(Kind::UserCreated, Some(user.id), None, Map::new())
                .await?;
            Ok(user)
        }),
    )
    .await
}

/// Refuses roles for a new user that are unknown or that the caller may not give.
pub(in crate::flows) fn require_to_make(app: &App, by: Caller<'_>, role: &str) -> Result<()> {
    check_roles(app, role)?;
    if role == DEFAULT_ROLE {
        return Ok(());
    }
    by.require(app, Action::SetRole)?;
    if by.may_give(app, role) {
        Ok(())
    } else {
        Err(Error::NotAllowed(Action::SetRole))
    }
}

/// Finds a user by email address or id.
///
/// # Errors
/// [`Error::UserNotFound`] if there is none.
pub async fn find(app: &App, _: Permitted<'_, to::GetUser>, name: &str) -> Result<User> {
    find_user::by_name(app, name).await
}

/// Returns the language of the user's mails; `None` if it is not known.
pub async fn language(
    app: &App,
    _: Permitted<'_, to::GetUser>,
    user: UserId,
) -> Result<Option<String>> {
    Ok(app
        .db
        .read(work!(conn => store::account::languages::of(conn, user).await))
        .await?)
}

/// Disables or enables a user; disabling ends every session in the same transaction. Returns
/// whether anything changed.
///
/// # Errors
/// [`Error::CannotDisableYourself`]; [`Error::LastAdmin`]; [`Error::NotAllowed`] if the user is above
/// the caller.
pub async fn set_disabled(
    app: &App,
    permitted: Permitted<'_, to::DisableUser>,
    user: UserId,
    disabled: bool,
    requester: &Requester,
) -> Result<bool> {
    let target = find_user::by_id(app, user).await?;
    if permitted.caller().names(&target) {
        return Err(Error::CannotDisableYourself);
    }
    let user = permitted.on(app, target)?.target().id;
    app.transaction(
        requester,
        tx!(tx => {
            if disabled {
                keep_an_admin(tx, user).await?;
            }
            let now = tx.now();
            let since = disabled.then_some(now);
            if !store::account::users::set_disabled(tx.conn, user, since, now).await? {
                return Ok(false);
            }
            let kind = if disabled {
                let all = Which::OfUser { user, except: None };
                end(tx, all, RevokedReason::UserDisabled).await?;
                Kind::UserDisabled
            } else {
                Kind::UserEnabled
            };
            tx.record(kind, Some(user), None, Map::new()).await?;
            Ok(true)
        }),
    )
    .await
}
