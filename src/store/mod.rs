//! Every line of SQL. `Db` is SQLite or Postgres; a function takes a `Conn` and is one statement or
//! one atomic step, its SQL beside it, `$1` placeholders, no `now()` and no `random()`. Reads go
//! through `db.read`, writes through `db.write`: a savepoint in the writer's batch on SQLite, a
//! transaction on Postgres. A store function never begins one itself.

pub mod account;
pub mod audit;
pub mod engine;
pub mod error;
pub mod key;
pub mod limit;
pub mod mails;
pub mod ops;
pub mod session;

pub use crate::store::engine::asked::{PATIENCE, TimeSource};
pub use crate::store::engine::conn::{Conn, Work};
pub use crate::store::engine::db::{Db, Options, is_postgres};
pub use crate::store::engine::faults::FaultPoint;
pub(crate) use crate::store::engine::query::{attempt, on, work};
pub use crate::store::engine::write_options::WriteOptions;
pub use error::{Error, Result};

/// The origin of log lines that repeat the notices of a Postgres server, which may hold values of a
/// statement.
pub const NOTICES: &str = "sqlx::postgres::notice";

/// Bytes as stored: base64url.
pub(crate) fn hash_text(hash: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()?
        .try_into()
        .ok()
}
