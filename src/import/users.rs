//! `users`: CSV of a table with the columns `sub`, `email` and `name`, without passwords.

use super::columns::Parser;
use crate::model::import::draft::Draft;

/// Returns the parser of the format.
pub(super) fn parser() -> Parser {
    Parser::of(&["sub", "email"], &["name"], &[], |mut record| {
        Ok(Draft {
            id: record.text("sub"),
            email: record.text("email"),
            name: record.text("name"),
            ..Draft::default()
        })
    })
}
