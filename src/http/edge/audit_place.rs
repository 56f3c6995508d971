//! Where a page of the audit trail ended: what `next` of one page and `before` of the following one
//! hold.

use crate::model::kernel::time::Timestamp;

/// The problem of a `before` that is not the `next` of a page.
pub(in crate::http) const NOT_A_PLACE: &str = "is not the `next` of a page";

/// Parses the position at which a page ended.
pub(in crate::http) fn place_of(text: &str) -> Option<(Timestamp, String)> {
    let (at, id) = text.split_once('.')?;
    Some((Timestamp(at.parse().ok()?), id.to_owned()))
}
