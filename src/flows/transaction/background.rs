//! Work on many rows that no request waits for, piece by piece: each piece is written in the
//! background and is followed by a pause, and on SQLite checkpoints are made in small steps
//! meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::app::App;
use crate::model::audit::event::Requester;
use crate::model::kernel::pace::Pace;
use crate::store::{Work, WriteOptions};

use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// The number of pieces between two checkpoints: some hundred pages, which take a disk a few
/// milliseconds.
const PIECES_A_CHECKPOINT: u32 = 5;

/// Background work in progress.
pub struct Background<'a> {
    app: &'a App,
    pace: Pace,
    took: Duration,
    pieces: u32,
}

impl<'a> Background<'a> {
    /// Starts background work for this program.
    pub fn new(app: &'a App) -> Self {
        Self::with_pace(app, Pace::default())
    }

    /// Starts work that deletes the oldest rows. Postgres keeps the index entries of deleted rows
    /// until a vacuum, and every piece reads those of the pieces before it, so pieces are fewer and
    /// larger there. On SQLite a deleted row touches a page of each index of its table, about as many
    /// pages as several marked rows, and so the pieces are half of the size.
    pub fn deleting(app: &'a App) -> Self {
        let rows = if app.db.is_shared() { 500 } else { 10 };
        Self::with_pace(app, Pace::of(rows))
    }

    fn with_pace(app: &'a App, pace: Pace) -> Self {
        Self {
            app,
            pace,
            took: Duration::ZERO,
            pieces: 0,
        }
    }

    /// Runs the next piece; `work` is given the number of rows that it may write. A power cut may
    /// undo the last pieces, and they are repeated.
    pub async fn piece<T, F>(&mut self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>, i64) -> Work<'t, T, Error> + Clone + Send + 'static,
    {
        let (rows, clock) = (self.pace.rows(), self.app.clock());
        // The time before the piece began is not counted as its own.
        let began = Arc::new(Mutex::new(clock.uptime()));
        let begins = Arc::clone(&began);
        let timed = tx!(tx => {
            *begins.lock().unwrap_or_else(PoisonError::into_inner) = clock.uptime();
            work(tx, rows).await
        });
        let done = self
            .app
            .transaction_with(
                WriteOptions::BACKGROUND,
                &Requester::named("schedule"),
                timed,
            )
            .await?;
        let began = *began.lock().unwrap_or_else(PoisonError::into_inner);
        self.took = self.app.uptime().saturating_sub(began);
        Ok(done)
    }

    /// Pauses before the next piece, so that requests can use the database.
    pub async fn pause(&mut self) -> Result<()> {
        self.pieces += 1;
        if self.pieces.is_multiple_of(PIECES_A_CHECKPOINT) {
            self.app.db.checkpoint().await?;
        }
        tokio::time::sleep(self.pace.pause_after(self.took)).await;
        Ok(())
    }
}
