//! Opens the SQLite file: its permissions, its settings, one writer and a few readers.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::background::Checkpoints;
use super::readers::Readers;
use super::writer::Writer;
use super::{file_access, foreign, migrate};
use crate::store::{Error, Options, Result};

/// Pages in the write-ahead log before the writer makes a checkpoint, during which all writes wait
/// for the disk: 64 MiB, so that a page that is written often is copied once and checkpoints are
/// rare. (For requests alone, checkpoints on a second connection brought no gain that could be
/// measured; background work has one, see `background`.)
const CHECKPOINT_PAGES: &str = "16000";
/// A few are enough, because a read is a memory access.
const MAX_READERS: u32 = 4;

pub(in crate::store) async fn open(
    path: &Path,
    options: &Options,
) -> Result<(Writer, Readers, Checkpoints)> {
    if !options.migrate && !path.exists() {
        // The file is not created here: a mistyped name must not become an empty database.
        return Err(Error::Unsupported(format!(
            "there is no {}",
            path.display()
        )));
    }
    file_access::check(path)?;
    foreign::refuse(path).await?;
    create_private(path)?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(options.lock_timeout)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        // What is deleted is overwritten with zeros: the email address and the hash of a deleted
        // user would otherwise stay in the file until their place is used again.
        .pragma("secure_delete", "ON")
        .log_statements(tracing::log::LevelFilter::Trace);
    migrate::sqlite(&connect, path, options.migrate).await?;
    let writer = Writer::start(connect.connect().await?, options);
    let checkpoints = Checkpoints::new(connect.clone());
    let readers = Readers::new(
        connect.read_only(true),
        options.max_connections.clamp(1, MAX_READERS),
        options.acquire_timeout,
        options.clock.clone(),
    );
    Ok((writer, readers, checkpoints))
}

/// Creates the file with mode 0600 (its -wal and -shm get the same), and a new folder with 0700.
fn create_private(path: &Path) -> Result<()> {
    let refused = |e: std::io::Error| {
        Error::Unsupported(format!(
            "cannot create {}: {e}; the folder must belong to the user that runs countersign",
            path.display()
        ))
    };
    if let Some(dir) = path
        .parent()
        .filter(|d| !d.as_os_str().is_empty() && !d.exists())
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(refused)?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(refused)?;
    Ok(())
}
