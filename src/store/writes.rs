//! What is known of whether the database can be written: the last failure that said no, and when a write was last tried.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::time::Timestamp;

use super::{Conn, Db, Error, Result, on, sqlite};

/// So long after a write that was tried and succeeded, the next one is tried.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// After a failure a write is tried no sooner than so long after the last attempt.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Shared by all handles of a database.
#[derive(Debug, Clone, Default)]
pub struct Writes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    failure: Option<String>,
    succeeded: Option<Instant>,
    tried: Option<Instant>,
}

impl Writes {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a write that failed because nothing can be written. A success says nothing here: on a full disk a statement that changes no row succeeds
    /// too, so only [`probe`], which certainly writes one, takes a failure back.
    pub(super) fn note<T>(&self, outcome: &Result<T>) {
        if let Err(Error::Unwritable(reason)) = outcome {
            self.state().failure = Some(reason.clone());
        }
    }

    /// Notes the outcome of [`probe`].
    pub(super) fn note_probe(&self, outcome: &Result<()>) {
        if outcome.is_ok() {
            *self.state() = State { failure: None, succeeded: Some(Instant::now()), tried: None };
        }
    }

    /// Why the last write failed; `None` where it did not.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Whether a write is to be tried now; of callers at the same time one hears yes.
    pub(super) fn begin_probe(&self) -> bool {
        let mut state = self.state();
        let is_known = state.failure.is_none() && state.succeeded.is_some_and(|then| then.elapsed() < KNOWN_FOR);
        let waits = state.tried.is_some_and(|then| then.elapsed() < TRY_AGAIN);
        if is_known || waits {
            return false;
        }
        state.tried = Some(Instant::now());
        true
    }
}

impl Db {
    /// What is known of whether it can be written.
    pub fn writes(&self) -> &Writes {
        match self {
            Self::Sqlite { writes, .. } | Self::Postgres { writes, .. } => writes,
        }
    }

    /// Writes a row to find out whether that is possible, and remembers the outcome.
    pub async fn probe_write(&self, slot: i64, now: Timestamp) -> Result<()> {
        let outcome = self.write(move |conn| Box::pin(probe(conn, slot, now))).await;
        self.writes().note_probe(&outcome);
        outcome
    }

    /// The same if it is time for it: nothing was written for a while, or the last write failed.
    pub async fn probe_write_if_due(&self, slot: i64, now: Timestamp) {
        if self.writes().begin_probe() {
            drop(self.probe_write(slot, now).await);
        }
    }
}

/// Writes a row of its own. `slot`: processes with different slots do not wait for each other.
pub async fn probe(conn: &mut Conn, slot: i64, now: Timestamp) -> Result<()> {
    const SQL: &str = "INSERT INTO write_probes (id, at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
    on!(conn, c => sqlx::query(SQL).bind(slot).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// `Err(Unwritable)` where Postgres says that transactions are read-only: a standby, or `default_transaction_read_only`.
pub async fn refuse_read_only(conn: &mut Conn) -> Result<()> {
    if conn.is_postgres() {
        let (setting,): (String,) = on!(conn, c => sqlx::query_as("SELECT current_setting('transaction_read_only')").fetch_one(c).await)?;
        if setting == "on" {
            return Err(Error::Unwritable("transactions are read-only (a standby, or default_transaction_read_only)".into()));
        }
    }
    Ok(())
}

/// The files of an SQLite database, and the room beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The folder that holds them.
    pub dir: PathBuf,
    /// Bytes that this user may still write there.
    pub free: u64,
    /// Bytes of the database file.
    pub file: u64,
    /// Bytes of its write-ahead log.
    pub wal: u64,
}

/// `Ok(None)` for Postgres, whose disk is not ours to see.
pub fn disk(url: &str) -> Result<Option<Disk>> {
    if super::is_postgres(url) {
        return Ok(None);
    }
    let path = sqlite::path(url)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), ToOwned::to_owned);
    let unavailable = |error: rustix::io::Errno| Error::Unavailable(format!("cannot look at {}: {error}", dir.display()));
    let space = rustix::fs::statvfs(&dir).map_err(unavailable)?;
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut wal = path.clone().into_os_string();
    wal.push("-wal");
    Ok(Some(Disk { free: space.f_bavail.saturating_mul(space.f_frsize), file: size(&path), wal: size(wal.as_ref()), dir }))
}
