//! The versions of the master key: numbers and public ids, no key material.

use crate::model::kernel::time::Timestamp;

use crate::store::{Conn, Error, Result, on};

/// One version of the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Number from 1 to 255; the first byte of refresh tokens.
    pub version: u8,
    /// The public id of the key.
    pub key_id: String,
    /// Whether it leaked: nothing that was made with it is accepted any more.
    pub compromised: bool,
}

/// Returns all versions, oldest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<Version>> {
    let rows: Vec<(i64, String, Option<i64>)> = on!(conn, c => sqlx::query_as("SELECT version, key_id, compromised_at FROM master_keys ORDER BY version").fetch_all(c).await)?;
    let parse = |(version, key_id, compromised): (i64, String, Option<i64>)| {
        let version = u8::try_from(version).map_err(|_| Error::Corrupt {
            table: "master_keys",
            column: "version",
        })?;
        Ok(Version {
            version,
            key_id,
            compromised: compromised.is_some(),
        })
    };
    rows.into_iter().map(parse).collect()
}

/// Adds a version and makes it the current one.
pub async fn adopt(conn: &mut Conn, version: u8, key_id: &str, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("INSERT INTO master_keys (version, key_id, created_at, compromised_at) VALUES ($1, $2, $3, NULL)")
        .bind(i64::from(version)).bind(key_id).bind(now.0).execute(c).await.map(|_| ()))?;
    on!(conn, c => sqlx::query("UPDATE key_ring SET master_version = $1 WHERE id = 1").bind(i64::from(version)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Marks every version before `current` as leaked.
pub async fn mark_compromised_before(conn: &mut Conn, current: u8, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE master_keys SET compromised_at = $1 WHERE version < $2 AND compromised_at IS NULL")
        .bind(now.0).bind(i64::from(current)).execute(c).await.map(|_| ()))?;
    Ok(())
}
