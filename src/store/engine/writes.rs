//! Whether the database can be written, as far as is known: the last failure, and when a write was
//! last tried.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::kernel::database_url::DatabaseUrl;
use crate::model::kernel::time::Timestamp;

use crate::store::{Conn, Db, Error, Result, on, work};

/// A write is tried again this long after one that succeeded.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// After a failure, attempts are at least this far apart.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A single write that fails for a reason that may pass, such as a lock, is ignored. If none has
/// succeeded for this long, the database counts as not writable.
const FAILING: Duration = Duration::from_secs(5);
/// This many successful writes in a row clear a failure: on an almost full disk one small row may
/// fit between two that do not.
const IN_A_ROW: u8 = 3;

/// State that all handles of a database share.
#[derive(Debug, Clone, Default)]
pub struct Writes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    failure: Option<String>,
    /// The number of successful attempts since the failure.
    recovered: u8,
    /// Since when attempts have failed for reasons that may pass.
    failing: Option<Instant>,
    /// Since when attempts have taken too long while no other write was committed.
    slow: Option<Instant>,
    succeeded: Option<Instant>,
    tried: Option<Instant>,
}

impl State {
    fn fails(&mut self, reason: String) {
        self.failure = Some(reason);
        self.recovered = 0;
    }

    fn note_probe(&mut self, outcome: &Result<()>, now: Instant) {
        match outcome {
            Ok(()) => {
                self.recovered = self.recovered.saturating_add(1);
                (self.failing, self.slow) = (None, None);
                if self.failure.is_none() || self.recovered >= IN_A_ROW {
                    *self = Self {
                        succeeded: Some(now),
                        ..Self::default()
                    };
                }
            }
            Err(Error::Unwritable(reason)) => self.fails(reason.clone()),
            Err(error) => {
                let since = *self.failing.get_or_insert(now);
                self.fails_if_lasting(since, &error.to_string(), now);
            }
        }
    }

    fn note_slow(&mut self, now: Instant) {
        let since = *self.slow.get_or_insert(now);
        self.fails_if_lasting(since, "a write takes too long", now);
    }

    fn fails_if_lasting(&mut self, since: Instant, reason: &str, now: Instant) {
        if now.duration_since(since) >= FAILING {
            self.fails(format!("no write has succeeded for some seconds: {reason}"));
        }
    }
}

impl Writes {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a write that failed because nothing can be written. A success is ignored: on a full
    /// disk a statement that changes no row succeeds as well, so only [`probe`], which always
    /// writes a row, clears a failure. If other writes are committed meanwhile, a slow attempt is
    /// caused by load and does not count.
    pub(in crate::store) fn note(&self, is_committed: bool, failure: Option<&Error>) {
        if is_committed {
            self.state().slow = None;
        } else if let Some(Error::Unwritable(reason)) = failure {
            self.state().fails(reason.clone());
        }
    }

    /// Records the outcome of [`probe`].
    pub(in crate::store) fn note_probe(&self, outcome: &Result<()>) {
        self.state().note_probe(outcome, Instant::now());
    }

    /// Records that [`probe`] has not ended within the time limit of its caller.
    pub fn note_slow(&self) {
        self.state().note_slow(Instant::now());
    }

    /// Returns why the last write failed; `None` if it did not.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Returns whether a write should be tried now. Of several callers at the same time, only one
    /// gets `true`.
    pub(in crate::store) fn begin_probe(&self) -> bool {
        let mut state = self.state();
        let is_known = state.failure.is_none()
            && state.failing.is_none()
            && state.slow.is_none()
            && state
                .succeeded
                .is_some_and(|then| then.elapsed() < KNOWN_FOR);
        let waits = state.tried.is_some_and(|then| then.elapsed() < TRY_AGAIN);
        if is_known || waits {
            return false;
        }
        state.tried = Some(Instant::now());
        true
    }
}

impl Db {
    /// Returns what is known about whether the database can be written.
    pub fn writes(&self) -> &Writes {
        match self {
            Self::Sqlite { writes, .. } | Self::Postgres { writes, .. } => writes,
        }
    }

    /// Writes a row to find out whether that is possible, and records the outcome.
    pub async fn probe_write(&self, slot: i64, now: Timestamp) -> Result<()> {
        let outcome = self
            .write(work!(conn => probe(conn, slot, now).await))
            .await;
        self.writes().note_probe(&outcome);
        outcome
    }

    /// Calls [`Self::probe_write`] if it is due: no write for a while, or the last one failed.
    pub async fn probe_write_if_due(&self, slot: i64, now: Timestamp) {
        if self.writes().begin_probe() {
            drop(self.probe_write(slot, now).await);
        }
    }
}

/// Writes the row of this `slot`. Processes with different slots do not wait for each other.
pub async fn probe(conn: &mut Conn, slot: i64, now: Timestamp) -> Result<()> {
    const SQL: &str = "INSERT INTO write_probes (id, at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
    on!(conn, c => sqlx::query(SQL).bind(slot).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns `Err(Unwritable)` if Postgres reports that transactions are read-only: a standby, or
/// `default_transaction_read_only`.
pub async fn refuse_read_only(conn: &mut Conn) -> Result<()> {
    if conn.is_postgres() {
        let (setting,): (String,) = on!(conn, c => sqlx::query_as("SELECT current_setting('transaction_read_only')").fetch_one(c).await)?;
        if setting == "on" {
            return Err(Error::Unwritable(
                "transactions are read-only (a standby, or default_transaction_read_only)".into(),
            ));
        }
    }
    Ok(())
}

/// The files of an SQLite database, and the free space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The folder of the files.
    pub dir: PathBuf,
    /// Bytes that this user may still write there.
    pub free: u64,
    /// Size of the database file, in bytes.
    pub file: u64,
    /// Size of its write-ahead log, in bytes.
    pub wal: u64,
}

/// Returns the files of the database; `Ok(None)` for Postgres, whose disk is not visible.
pub fn disk(url: &DatabaseUrl) -> Result<Option<Disk>> {
    let DatabaseUrl::Sqlite(path) = url else {
        return Ok(None);
    };
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), ToOwned::to_owned);
    let unavailable = |error: rustix::io::Errno| {
        Error::Unavailable(format!("cannot look at {}: {error}", dir.display()))
    };
    let space = rustix::fs::statvfs(&dir).map_err(unavailable)?;
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut wal = path.clone().into_os_string();
    wal.push("-wal");
    Ok(Some(Disk {
        free: space.f_bavail.saturating_mul(space.f_frsize),
        file: size(path),
        wal: size(wal.as_ref()),
        dir,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwritable() -> Result<()> {
        Err(Error::Unwritable("full".into()))
    }

    fn locked() -> Result<()> {
        Err(Error::Unavailable("locked".into()))
    }

    #[test]
    fn a_failure_that_says_no_counts_at_once_and_three_writes_take_it_back() {
        let (mut state, now) = (State::default(), Instant::now());
        state.note_probe(&unwritable(), now);
        assert_eq!(state.failure.as_deref(), Some("full"));
        for outcome in [Ok(()), Ok(()), unwritable(), Ok(()), Ok(())] {
            state.note_probe(&outcome, now);
            assert!(state.failure.is_some());
        }
        state.note_probe(&Ok(()), now);
        assert_eq!(state.failure, None);
    }

    #[test]
    fn failures_that_may_pass_count_when_they_have_lasted() {
        let (mut state, start) = (State::default(), Instant::now());
        for seconds in 0..5 {
            state.note_probe(&locked(), start + Duration::from_secs(seconds));
            assert_eq!(state.failure, None, "{seconds} s");
        }
        state.note_probe(&locked(), start + Duration::from_secs(5));
        assert!(state.failure.is_some());
        for _ in 0..3 {
            state.note_probe(&Ok(()), start + Duration::from_secs(6));
        }
        assert_eq!(state.failure, None);
        // One success in between resets the count.
        state.note_probe(&locked(), start + Duration::from_secs(7));
        state.note_probe(&Ok(()), start + Duration::from_secs(8));
        state.note_probe(&locked(), start + Duration::from_secs(12));
        assert_eq!(state.failure, None);
    }

    #[test]
    fn a_write_that_waits_counts_only_where_no_other_is_committed() {
        let (writes, start) = (Writes::default(), Instant::now());
        writes.state().note_slow(start);
        writes.note(true, None);
        writes.state().note_slow(start + Duration::from_secs(5));
        assert_eq!(writes.failure(), None, "a flood");
        writes.state().note_slow(start + Duration::from_secs(10));
        assert!(writes.failure().is_some());
    }
}
