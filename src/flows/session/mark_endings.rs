//! Marks the rows of sessions that were ended by an epoch. These sessions have ended already; the
//! marks are for readers of the table, and for the lists and counts that skip marked rows. This is
//! background work. What remains is visible in the database, so that another process can continue
//! after one that dies.

use crate::app::App;
use crate::store::session::ending_notes;
use crate::store::session::ending_notes::Piece;

use crate::flows::Result;
use crate::flows::transaction::background::Background;
use crate::flows::transaction::tx;

/// Marks the remaining rows; returns how many. Stops early when it is told to, or when another
/// process does the same work.
pub async fn run(app: &App, stopped: impl Fn() -> bool) -> Result<usize> {
    let (mut total, mut background) = (0, Background::new(app));
    while !stopped() {
        let piece = background
            .piece(tx!(tx, rows => Ok(ending_notes::do_piece(tx.conn, rows).await?)))
            .await?;
        match piece {
            Piece::Nothing | Piece::Elsewhere => break,
            Piece::Rows(rows) => total += rows,
        }
        background.pause().await?;
    }
    Ok(total)
}
