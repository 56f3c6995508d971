//! The databases themselves: connections, transactions, the SQLite writer, migrations, copying.

pub(in crate::store) mod asked;
pub(in crate::store) mod background;
pub mod clock;
pub(in crate::store) mod conn;
pub mod copy;
pub mod db;
pub mod faults;
pub(in crate::store) mod lanes;
pub mod listener;
pub mod migrate;
pub(in crate::store) mod postgres;
pub(in crate::store) mod readers;
pub mod server;
pub(in crate::store) mod sqlite;
pub(in crate::store) mod statement_names;
pub(in crate::store) mod writer;
pub mod writes;
