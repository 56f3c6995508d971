//! Marking the rows of sessions that were ended by an epoch. The sessions are over already: this is
//! for the readers of the table, and for the lists and counts that skip what is marked. It is
//! background work; what is left stands in the database, so that a process that dies is followed by
//! any other.

use crate::app::App;
use crate::store::session::ending_notes;
use crate::store::session::ending_notes::Piece;

use crate::flows::Result;
use crate::flows::ops::background::Background;
use crate::flows::transaction::tx;

/// Marks what is left; returns how many rows. Ends early when it is told to, or when another
/// process is at it.
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
