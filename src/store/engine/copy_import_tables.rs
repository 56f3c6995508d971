//! The tables of imports, for `copy_tables` and for imports, which write many rows at once.

use super::copy_table::Table;

pub(super) const IMPORT_BATCHES: Table = Table {
    name: "import_batches",
    key: &["id"],
    texts: &["id", "source", "file_hash", "options", "state", "actor"],
    numbers: &[
        "cursor",
        "created",
        "unchanged",
        "linked",
        "skipped",
        "refused",
        "started_at",
        "ended_at",
    ],
};

pub(in crate::store) const IMPORT_ROWS: Table = Table {
    name: "import_rows",
    key: &["batch_id", "number"],
    texts: &["batch_id", "verdict", "reason", "user_id", "added"],
    numbers: &["number", "line"],
};

pub(in crate::store) const FOREIGN_IDS: Table = Table {
    name: "foreign_ids",
    key: &["source", "foreign_id"],
    texts: &["source", "foreign_id", "user_id", "batch_id"],
    numbers: &[],
};
