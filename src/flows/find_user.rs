//! Finding a user: by id, or by what an operator calls one.

use super::{Error, Result};
use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::kernel::id::UserId;
use crate::store::{self, work};

/// Finds a user by id.
///
/// # Errors
/// [`Error::UserNotFound`].
pub(in crate::flows) async fn by_id(app: &App, id: UserId) -> Result<User> {
    let found = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?;
    found.map(|f| f.user).ok_or(Error::UserNotFound)
}

/// Finds a user by address or id.
///
/// # Errors
/// [`Error::UserNotFound`].
pub(in crate::flows) async fn by_name(app: &App, name: &str) -> Result<User> {
    let found = match (name.parse::<UserId>(), name.parse::<Email>()) {
        (Ok(id), _) => {
            app.db
                .read(work!(conn => store::account::users::by_id(conn, id).await))
                .await?
        }
        (Err(_), Ok(email)) => {
            app.db
                .read(work!(conn => store::account::users::by_email(conn, &email).await))
                .await?
        }
        (Err(_), Err(_)) => None,
    };
    found.map(|f| f.user).ok_or(Error::UserNotFound)
}
