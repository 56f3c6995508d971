//! All SQL. `Db` is SQLite or Postgres. A store function takes a `Conn` and is one statement or one
//! atomic step, with `$1` placeholders and without `now()` and `random()`. Reads go through
//! `db.read`, writes through `db.write`: a savepoint in the writer's batch on SQLite, a transaction
//! on Postgres. A store function never begins a transaction itself.

pub mod account;
pub mod audit;
pub mod engine;
pub mod error;
pub mod federation;
pub mod import;
pub mod key;
pub mod limit;
pub mod login;
pub mod mails;
pub mod ops;
pub mod queue;
pub mod session;

pub use crate::store::engine::asked::{MAX_WAIT, TimeSource};

pub use crate::store::engine::conn::{Conn, Work};

pub use crate::store::engine::db::Db;

pub use crate::store::engine::faults::FaultPoint;

pub use crate::store::engine::options::Options;
pub(crate) use crate::store::engine::query::{attempt, on, work};
use crate::store::engine::row_locks::{locking, skipping};

pub use crate::store::engine::write_options::WriteOptions;

pub use error::{Error, Result};

/// The target of log lines that repeat notices of a Postgres server, which may contain values of a
/// statement.
pub const NOTICES: &str = "sqlx::postgres::notice";

/// Encodes bytes as they are stored: base64url.
pub(crate) fn hash_text(hash: &[u8]) -> String {
    crate::encoding::encode(hash)
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    crate::encoding::decode_array(text)
}
