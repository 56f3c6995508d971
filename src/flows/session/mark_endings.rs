//! Marking the rows of sessions that were ended by an epoch. The sessions are over already: this is
//! for whoever reads the table, and for the lists and counts that skip what is marked. It is done
//! in small pieces with pauses between them, so that no request waits for it for longer than it
//! would for another request; what is left stands in the database, so that a process that dies is
//! followed by any other.

use std::time::Duration;

use crate::app::App;
use crate::store::session::endings;
use crate::store::session::endings::Piece;

use crate::flows::Result;

/// Rows a piece: about what one sign-in costs the writer.
const ROWS: i64 = 50;
/// Between two pieces the writer belongs to the requests.
const PAUSE: Duration = Duration::from_millis(10);

/// Marks what is left; tells how many rows. Ends early when it is told to, or when another process
/// is at it.
pub async fn run(app: &App, stopped: impl Fn() -> bool) -> Result<usize> {
    let mut total = 0;
    while !stopped() {
        // No answer depends on it: a power cut may undo the last pieces, and they are done again.
        match app
            .db
            .write_unsynced(|conn| Box::pin(endings::do_piece(conn, ROWS)))
            .await?
        {
            Piece::Nothing | Piece::Elsewhere => break,
            Piece::Rows(rows) => total += rows,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(total)
}
