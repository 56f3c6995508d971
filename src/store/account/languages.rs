//! The language of each user, in which mails are written. It is learned from the user's own requests,
//! and no cached copy of the user holds it: `users.version` does not rise with it.

use crate::model::kernel::id::UserId;

use crate::store::{Conn, Result, on};

/// Returns the language of a user (BCP 47); `None` if it is not known.
pub async fn of(conn: &mut Conn, user: UserId) -> Result<Option<String>> {
    let row: Option<(Option<String>,)> = on!(conn, c => sqlx::query_as("SELECT language FROM users WHERE id = $1")
        .bind(user.to_string()).fetch_optional(c).await)?;
    Ok(row.and_then(|(language,)| language))
}

/// Sets the language of a user, where that changes anything.
pub async fn learn(conn: &mut Conn, user: UserId, language: &str) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE users SET language = $1 WHERE id = $2 AND (language IS NULL OR language <> $1)")
        .bind(language)
        .bind(user.to_string())
        .execute(c).await.map(|_| ()))?;
    Ok(())
}
