//! The databases themselves: connections, transactions, the SQLite writer, migrations, copying.

pub(in crate::store) mod asked;
pub(in crate::store) mod background;
pub(in crate::store) mod batch;
pub mod clock;
pub(in crate::store) mod conn;
pub mod copy;
pub mod copy_tables;
pub mod copy_target;
pub mod db;
pub mod faults;
pub(in crate::store) mod lanes;
pub(in crate::store) mod lease;
pub mod listener;
pub mod migrate;
pub(in crate::store) mod options;
pub(in crate::store) mod postgres;
pub(in crate::store) mod postgres_connect;
pub(in crate::store) mod postgres_options;
pub(in crate::store) mod query;
pub(in crate::store) mod readers;
pub(in crate::store) mod row_locks;
pub mod server;
pub(in crate::store) mod sqlite;
pub(in crate::store) mod statement_names;
pub(in crate::store) mod write_options;
pub(in crate::store) mod writer;
pub mod writes;
