//! The serving processes, and which master keys each has loaded: a change of the master key waits
//! until all have loaded the new key.

use std::fmt;
use std::time::Duration;

use crate::app::{App, PROGRAM, has_ended};
use crate::model::kernel::time::Timestamp;
use crate::store::ops::processes::{About, RunningProcess};
use crate::store::{self, Conn, work};

use crate::flows::Result;

/// A process that did not stop cleanly counts as running for this long after its last heartbeat,
/// unless it is known to have ended.
pub const LIVE: Duration = Duration::from_secs(60);

/// A serving process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The host name of its machine or container.
    pub host: String,
    /// The process id on that host.
    pub pid: i64,
    /// The version of its program.
    pub program: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// The time since its last heartbeat.
    pub heard: Duration,
    /// The public ids of the master keys that it has loaded, the primary one first.
    pub master_keys: Vec<String>,
}

impl Running {
    /// Returns whether it has loaded the key with this public id.
    pub fn holds(&self, key_id: &str) -> bool {
        self.master_keys.iter().any(|held| held == key_id)
    }

    /// Returns its host and pid, for the audit trail.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.pid)
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            pid,
            program,
            started_at,
            heard,
            master_keys,
        } = self;
        let (heard, keys) = (heard.as_secs(), master_keys.join(", "));
        write!(
            f,
            "host {host}, pid {pid}, since {started_at}, countersign {program}, last heartbeat {heard} s ago, has loaded {keys}"
        )
    }
}

/// Describes the process that calls this.
pub(in crate::flows) fn about_this(app: &App) -> About {
    let process = &app.process;
    About {
        host: process.host.clone(),
        pid: process.pid.into(),
        mark: process.mark.clone(),
        program: PROGRAM.to_owned(),
        master_keys: app
            .loaded_keys
            .iter()
            .map(|key| key.id().to_owned())
            .collect(),
        started_at: process.started_at,
    }
}

/// Returns the processes that serve now.
pub async fn running(conn: &mut Conn) -> store::Result<Vec<Running>> {
    let seen = store::ops::processes::seen_within(conn, LIVE).await?;
    let runs = |seen: &RunningProcess| !seen.about.mark.as_deref().is_some_and(has_ended);
    let running = |seen: RunningProcess| {
        let About {
            host,
            pid,
            program,
            started_at,
            master_keys,
            mark: _,
        } = seen.about;
        Running {
            host,
            pid,
            program,
            started_at,
            heard: seen.ago,
            master_keys,
        }
    };
    Ok(seen.into_iter().filter(runs).map(running).collect())
}

/// The master keys that the database knows, and the serving processes.
#[derive(Debug, Clone)]
pub struct Holders {
    /// The public id of the current key.
    pub current: String,
    /// Versions and public ids, the newest first, and whether the key was given up.
    pub keys: Vec<(u8, String, bool)>,
    /// The processes that serve now.
    pub running: Vec<Running>,
}

impl Holders {
    /// Returns the processes that have not loaded the current key: they cannot sign and are not
    /// ready.
    pub fn lacking(&self) -> impl Iterator<Item = &Running> {
        self.running
            .iter()
            .filter(|process| !process.holds(&self.current))
    }
}

/// Returns which process has loaded which master key.
pub async fn holders(app: &App) -> Result<Holders> {
    Ok(app.db.read(work!(conn => look(conn).await)).await?)
}

async fn look(conn: &mut Conn) -> store::Result<Holders> {
    let (current, versions) = (
        store::key::signing_keys::master_version(conn).await?,
        store::key::master_keys::list(conn).await?,
    );
    let of_current = versions
        .iter()
        .find(|v| Some(i64::from(v.version)) == current)
        .map(|v| v.key_id.clone());
    let keys = versions
        .into_iter()
        .rev()
        .map(|v| (v.version, v.key_id, v.compromised))
        .collect();
    Ok(Holders {
        current: of_current.unwrap_or_default(),
        keys,
        running: running(conn).await?,
    })
}
