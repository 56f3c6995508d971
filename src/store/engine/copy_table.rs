//! A table as `copy` sees it: its name, its columns and the cells of its rows.

/// The value of one column of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A TEXT value.
    Text(Option<String>),
    /// A BIGINT value.
    Number(Option<i64>),
}

/// The cells of one row: texts first, then numbers.
pub type Cells = Vec<Cell>;

/// A table and its columns; a test compares the list with the schema.
#[derive(Debug)]
pub struct Table {
    /// Name of the table.
    pub name: &'static str,
    pub(super) key: &'static [&'static str],
    pub(super) texts: &'static [&'static str],
    pub(super) numbers: &'static [&'static str],
}

impl Table {
    /// Returns the columns in the order of a row's cells.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.texts.iter().chain(self.numbers).copied()
    }

    pub(super) fn column_list(&self) -> String {
        self.columns().collect::<Vec<_>>().join(", ")
    }

    /// Returns the cells of the primary key.
    pub fn key_of(&self, row: &Cells) -> Cells {
        let find = |key: &&str| {
            self.columns()
                .position(|c| c == *key)
                .and_then(|at| row.get(at))
                .cloned()
        };
        self.key.iter().filter_map(find).collect()
    }
}
