//! How many password hashes of each kind and cost there are.

use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Result, on};

/// The part of each hash in front of salt and hash: up to the fourth `$` of our own, up to the third one
/// of all others. `$find` is the function that finds a text in another one.
macro_rules! classes {
    ($find:literal) => {
        concat!(
            "SELECT class, COUNT(*) FROM (
               SELECT CASE WHEN hash LIKE $1 THEN SUBSTR(hash, 1, third + ", $find, "(SUBSTR(hash, third + 1), '$')) ELSE SUBSTR(hash, 1, third) END AS class
                 FROM (SELECT hash, second + ", $find, "(SUBSTR(hash, second + 1), '$') AS third
                         FROM (SELECT password_hash AS hash, 1 + ", $find, "(SUBSTR(password_hash, 2), '$') AS second
                                 FROM accounts WHERE provider_id = 'credential' AND password_hash IS NOT NULL) a) b) c
              GROUP BY class ORDER BY class"
        )
    };
}

/// The pattern of hashes of our own. It is an argument of the statement, so that the log of statements
/// has nothing that looks like a hash.
const OWN: &str = "$argon2id$%";

/// The statement in the words of each database.
const CLASSES: Locking = Locking {
    sqlite: classes!("INSTR"),
    postgres: classes!("STRPOS"),
};

/// Returns each kind with its cost, and the number of its hashes.
pub async fn count(conn: &mut Conn) -> Result<Vec<(String, u32)>> {
    let classes = CLASSES.on(conn);
    let rows: Vec<(String, i64)> =
        on!(conn, c => sqlx::query_as(classes).bind(OWN).fetch_all(c).await)?;
    let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(rows
        .into_iter()
        .map(|(class, count)| (class, number(count)))
        .collect())
}
