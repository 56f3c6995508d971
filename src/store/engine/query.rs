//! Macros for queries and work: `on!` runs a query on either database, `work!` makes the closure of
//! a read or a write.

use super::conn::{Conn, Work};

/// Makes the work of a read, or of a write outside a flow. `work!(conn => { … })` is a closure
/// whose error is the store's, `work!(conn: E => { … })` one whose error is `E`. It holds the
/// boxing that a closure with a borrowing future needs.
macro_rules! work {
    ($conn:ident => $work:expr) => {
        $crate::store::attempt::<_, $crate::store::Error, _>(move |$conn| {
            Box::pin(async move { $work })
        })
    };
    ($conn:ident: $error:ty => $work:expr) => {
        $crate::store::attempt::<_, $error, _>(move |$conn| Box::pin(async move { $work }))
    };
}

/// Gives a closure the type that [`Db::read`](crate::store::Db::read) takes.
pub(crate) fn attempt<T, E, F>(work: F) -> F
where
    F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E>,
{
    work
}

/// Runs a query unchanged on either database.
macro_rules! on_handle {
    ($conn:expr, $c:ident => $query:expr) => {
        match &mut $conn.handle {
            $crate::store::engine::conn::Handle::Sqlite(connection) => {
                let $c = &mut *connection;
                $query
            }
            $crate::store::engine::conn::Handle::Postgres(connection) => {
                let $c = $crate::store::engine::statement_names::Session {
                    connection,
                    named: $conn.named,
                };
                $query
            }
        }
    };
}

/// Runs a query on either database: `on!(conn, c => query.fetch_one(c).await)`. The connection
/// records its error.
macro_rules! on {
    ($conn:expr, $c:ident => $query:expr) => {
        match $conn.fault() {
            Some(fault) => {
                let outcome = Err(fault.strike().await);
                $conn.note(outcome)
            }
            None => {
                let outcome = $crate::store::engine::query::on_handle!($conn, $c => $query);
                $conn.note(outcome)
            }
        }
    };
}

pub(crate) use {on, on_handle, work};
