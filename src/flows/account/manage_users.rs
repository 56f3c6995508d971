//! What an operator does with users.

use serde_json::{Map, Value};

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::permission::{Action, Field};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::UserId;
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::session::endings::Which;

use super::administer_users::is_last_admin;
use super::choose_password::choose;
use super::sign_up::{account_id, new_user};
use crate::flows::audit::recorder::Recorder;
use crate::flows::authority::{Authority, check_roles};
use crate::flows::session::end_session::end;
use crate::flows::{Error, Result};

/// The role of a user who signs up.
const DEFAULT_ROLE: &str = "user";

/// What is said of a new user.
pub struct New {
    /// Canonical.
    pub email: Email,
    /// May be empty.
    pub name: String,
    /// Address of a picture.
    pub image: Option<String>,
    /// As typed; `None`: the user has none yet.
    pub password: Option<String>,
    /// Comma-joined role names.
    pub role: String,
    /// Whether the operator vouches for the mailbox.
    pub email_verified: bool,
    /// Feeds custom claims.
    pub metadata: Map<String, Value>,
}

impl New {
    /// The fields in which the new user would differ from one who has just signed up.
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

/// Whether [`create`] would succeed now.
pub async fn check_new(app: &App, new: &New) -> Result<()> {
    if let Some(password) = &new.password {
        choose(app, password, &[new.email.as_str(), &new.name]).await?;
    }
    check_roles(app, &new.role)?;
    let email = new.email.clone();
    let known = app
        .db
        .read(move |conn| {
            Box::pin(async move { store::account::users::by_email(conn, &email).await })
        })
        .await?;
    if known.is_some() {
        Err(Error::EmailTaken)
    } else {
        Ok(())
    }
}

/// Makes a user; the password rules hold.
pub async fn create(app: &App, by: Authority<'_>, new: New, peer: &Peer) -> Result<User> {
    by.may(app, Action::CreateUser)?;
    for field in new.fields() {
        by.may_begin_with(app, field)?;
    }
    may_make(app, by, &new.role)?;
    let hash = match &new.password {
        Some(password) => Some(
            app.hasher
                .hash(
                    peer,
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
    let (row, account, recorder) = (user.clone(), account_id(app), Recorder::new(app, peer));
    let created = app.db.write(move |conn| {
        Box::pin(async move {
            store::account::users::insert(conn, &row, account, hash.as_deref()).await?;
            recorder
                .record(conn, Kind::UserCreated, Some(row.id), None, Map::new())
                .await
        })
    });
    match created.await {
        Ok(()) => Ok(user),
        Err(store::Error::Conflict) => Err(Error::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

/// Refuses roles for a new user that are unknown or not the maker's to give.
pub(in crate::flows) fn may_make(app: &App, by: Authority<'_>, role: &str) -> Result<()> {
    check_roles(app, role)?;
    if role == DEFAULT_ROLE {
        return Ok(());
    }
    by.may(app, Action::SetRole)?;
    if by.may_give(app, role) {
        Ok(())
    } else {
        Err(Error::NotAllowed(Action::SetRole))
    }
}

/// Finds a user by address or id.
pub async fn find(app: &App, name: &str) -> Result<User> {
    let found = match (name.parse::<UserId>(), name.parse::<Email>()) {
        (Ok(id), _) => {
            app.db
                .read(move |conn| Box::pin(store::account::users::by_id(conn, id)))
                .await?
        }
        (Err(_), Ok(email)) => {
            app.db
                .read(move |conn| {
                    Box::pin(async move { store::account::users::by_email(conn, &email).await })
                })
                .await?
        }
        (Err(_), Err(_)) => None,
    };
    found.map(|f| f.user).ok_or(Error::UserNotFound)
}

/// Shuts a user out, or lets one in again; shutting out ends every session in the same transaction.
/// Tells whether it changed anything.
pub async fn set_disabled(app: &App, user: UserId, disabled: bool, peer: &Peer) -> Result<bool> {
    let recorder = Recorder::new(app, peer);
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            let now = conn.now();
            if disabled && is_last_admin(conn, user, &recorder).await? {
                return Ok(Err(Error::LastAdmin));
            }
            if !store::account::users::set_disabled(conn, user, disabled.then_some(now), now)
                .await?
            {
                return Ok(Ok(false));
            }
            if disabled {
                end(
                    conn,
                    &recorder,
                    Which::OfUser { user, except: None },
                    RevokedReason::UserDisabled,
                )
                .await?;
            }
            let kind = if disabled {
                Kind::UserDisabled
            } else {
                Kind::UserEnabled
            };
            recorder
                .record(conn, kind, Some(user), None, Map::new())
                .await?;
            Ok(Ok(true))
        })
    });
    work.await?
}
