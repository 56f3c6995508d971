//! The authenticator app of a user: one row, confirmed by a first code.

use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::store::{Conn, Error, Result, on};

/// The stored state of an authenticator app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The sealed secret of the app.
    pub secret_jwe: String,
    /// When the user confirmed it by a first code; `None` until then.
    pub confirmed_at: Option<Timestamp>,
    /// The wrong codes of sign-ins since the last right one.
    pub failures: i64,
    /// The wrong codes inside sessions since the last right one.
    pub step_up_failures: i64,
    /// The session or the pending sign-in in which it was made.
    pub session: String,
    /// When it was made.
    pub made_at: Timestamp,
}

/// Returns the authenticator app of a user.
pub async fn find(conn: &mut Conn, user: UserId) -> Result<Option<Stored>> {
    type Row = (String, Option<i64>, i64, i64, String, i64);
    let row: Option<Row> = on!(conn, c => sqlx::query_as(
        "SELECT secret_jwe, confirmed_at, failures, step_up_failures, session_id, created_at FROM totp WHERE user_id = $1")
        .bind(user.to_string()).fetch_optional(c).await)?;
    Ok(row.map(
        |(secret_jwe, confirmed_at, failures, step_up_failures, session, made_at)| Stored {
            secret_jwe,
            confirmed_at: confirmed_at.map(Timestamp),
            failures,
            step_up_failures,
            session,
            made_at: Timestamp(made_at),
        },
    ))
}

/// Stores a new secret that is not confirmed yet, in the place of another such one. `maker` is the id of
/// the session or of the pending sign-in that makes it. Returns `false` if the user has a confirmed
/// one.
pub async fn begin(
    conn: &mut Conn,
    user: UserId,
    secret_jwe: &str,
    master_key: &str,
    maker: &str,
    now: Timestamp,
) -> Result<bool> {
    let stored = on!(conn, c => sqlx::query(
        "INSERT INTO totp (user_id, secret_jwe, master_key, confirmed_at, last_step, failures, session_id, created_at) VALUES ($1, $2, $3, NULL, 0, 0, $5, $4)
         ON CONFLICT (user_id) DO UPDATE SET secret_jwe = $2, master_key = $3, last_step = 0, failures = 0, step_up_failures = 0, session_id = $5, created_at = $4
          WHERE totp.confirmed_at IS NULL")
        .bind(user.to_string()).bind(secret_jwe).bind(master_key).bind(now.0).bind(maker)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(stored == 1)
}

/// Confirms the secret by the code of this step; returns `false` if another secret is stored
/// meanwhile, or if it was confirmed before.
pub async fn confirm(
    conn: &mut Conn,
    user: UserId,
    secret_jwe: &str,
    step: i64,
    now: Timestamp,
) -> Result<bool> {
    let confirmed = on!(conn, c => sqlx::query(
        "UPDATE totp SET confirmed_at = $1, last_step = $2, failures = 0, step_up_failures = 0,
                proven_mailbox = (SELECT email_verified FROM users WHERE users.id = totp.user_id) WHERE user_id = $3 AND secret_jwe = $4 AND confirmed_at IS NULL")
        .bind(now.0).bind(step).bind(user.to_string()).bind(secret_jwe)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(confirmed == 1)
}

/// Accepts the code of this step, which is good once: returns `false` if the code of this step or
/// of a later one was accepted before. Earlier failures are forgotten.
pub async fn accept(conn: &mut Conn, user: UserId, step: i64) -> Result<bool> {
    let accepted = on!(conn, c => sqlx::query(
        "UPDATE totp SET last_step = $1, failures = 0, step_up_failures = 0 WHERE user_id = $2 AND confirmed_at IS NOT NULL AND last_step < $1")
        .bind(step).bind(user.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(accepted == 1)
}

/// Counts a wrong code, and returns how many there are since the last right one; `None` without a
/// confirmed authenticator app.
pub async fn fail(conn: &mut Conn, user: UserId) -> Result<Option<i64>> {
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as(
        "UPDATE totp SET failures = failures + 1 WHERE user_id = $1 AND confirmed_at IS NOT NULL RETURNING failures")
        .bind(user.to_string()).fetch_all(c).await)?;
    Ok(rows.first().map(|(failures,)| *failures))
}

/// Counts a wrong code inside a session.
pub async fn fail_step_up(conn: &mut Conn, user: UserId) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE totp SET step_up_failures = step_up_failures + 1 WHERE user_id = $1")
        .bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns whether the mailbox of the user was verified when the app was confirmed.
pub async fn is_of_a_proven_mailbox(conn: &mut Conn, user: UserId) -> Result<bool> {
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT proven_mailbox FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL")
        .bind(user.to_string()).fetch_all(c).await)?;
    Ok(rows.iter().any(|(proven,)| *proven != 0))
}

/// Forgets the wrong codes of a user.
pub async fn forgive(conn: &mut Conn, user: UserId) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE totp SET failures = 0, step_up_failures = 0 WHERE user_id = $1")
        .bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Removes the authenticator app; returns whether there was a confirmed one.
pub async fn remove(conn: &mut Conn, user: UserId) -> Result<bool> {
    let rows: Vec<(Option<i64>,)> = on!(conn, c => sqlx::query_as(
        "DELETE FROM totp WHERE user_id = $1 RETURNING confirmed_at")
        .bind(user.to_string()).fetch_all(c).await)?;
    Ok(rows.iter().any(|(confirmed_at,)| confirmed_at.is_some()))
}

/// Returns secrets that are sealed under another master key than this one, in the order of their
/// users and after the user `after`.
pub async fn sealed_otherwise(
    conn: &mut Conn,
    master_key: &str,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<(UserId, String)>> {
    let rows: Vec<(String, String)> = on!(conn, c => sqlx::query_as(
        "SELECT user_id, secret_jwe FROM totp WHERE master_key <> $1 AND user_id > $2 ORDER BY user_id LIMIT $3")
        .bind(master_key).bind(after.map(|user| user.to_string()).unwrap_or_default()).bind(limit).fetch_all(c).await)?;
    rows.into_iter()
        .map(|(user, jwe)| {
            let user = user.parse().map_err(|_| Error::Corrupt {
                table: "totp",
                column: "user_id",
            })?;
            Ok((user, jwe))
        })
        .collect()
}

/// Returns the ids of the master keys that secrets are sealed under, with the number of secrets.
pub async fn master_keys(conn: &mut Conn) -> Result<Vec<(String, i64)>> {
    let rows = on!(conn, c => sqlx::query_as(
        "SELECT master_key, COUNT(*) FROM totp GROUP BY master_key ORDER BY master_key")
        .fetch_all(c).await)?;
    Ok(rows)
}

/// Replaces a sealed secret by the same secret under another master key; does nothing if it has
/// changed meanwhile.
pub async fn reseal(
    conn: &mut Conn,
    user: UserId,
    before: &str,
    after: &str,
    master_key: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE totp SET secret_jwe = $1, master_key = $2 WHERE user_id = $3 AND secret_jwe = $4")
        .bind(after).bind(master_key).bind(user.to_string()).bind(before).execute(c).await.map(|_| ()))?;
    Ok(())
}
