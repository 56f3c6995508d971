//! Carrying SQLite's write-ahead log over to the file, on a connection of its own while the writer goes on. Left to the writer a whole log is carried at
//! once, and everybody waits for it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// How long after a write.
const AFTER: Duration = Duration::from_millis(250);

/// The running task.
pub(super) struct Checkpointer {
    written: Arc<Notify>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Checkpointer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let written = Arc::new(Notify::new());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(connection, Arc::clone(&written), stopped));
        Self { written, stop, task }
    }

    /// There is something new in the log.
    pub(super) fn written(&self) {
        self.written.notify_one();
    }

    pub(super) async fn close(self) {
        drop(self.stop);
        drop(self.task.await);
    }
}

/// Until `stopped`, or until the other end of it is gone.
async fn run(mut connection: SqliteConnection, written: Arc<Notify>, mut stopped: oneshot::Receiver<()>) {
    loop {
        let again = async {
            written.notified().await;
            tokio::time::sleep(AFTER).await;
        };
        tokio::select! {
            () = again => {}
            _ = &mut stopped => break,
        }
        // Waits for nobody and keeps nobody waiting; what it leaves, the writer carries.
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await {
            tracing::debug!(%error, "the write-ahead log was not carried over");
        }
    }
    drop(connection.close().await);
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};

    use super::*;

    #[tokio::test]
    async fn what_is_written_comes_into_the_file_while_the_writer_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let options =
            SqliteConnectOptions::new().filename(&path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", "0");
        let mut writer = options.connect().await.unwrap();
        let checkpointer = Checkpointer::start(options.connect().await.unwrap());
        sqlx::query("CREATE TABLE words (word TEXT)").execute(&mut writer).await.unwrap();
        sqlx::query("INSERT INTO words VALUES ('carried over')").execute(&mut writer).await.unwrap();
        let is_there = || std::fs::read(&path).unwrap().windows(12).any(|bytes| bytes == b"carried over");
        assert!(!is_there(), "only in the log");
        checkpointer.written();
        let looking = async {
            while !is_there() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.expect("it is carried over");
        checkpointer.close().await;
    }
}
