//! Lengths of time in the words of the reader's language.

use std::time::Duration;

use super::page::Page;

/// Returns a length of time in words, in the largest unit of which it has at least two; the last
/// unit is rounded up.
pub(in crate::http::pages) fn duration(page: &Page, length: Duration) -> String {
    let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
    let (key, unit) = [
        ("duration.days", 86_400),
        ("duration.hours", 3_600),
        ("duration.minutes", 60),
    ]
    .into_iter()
    .find(|(_, unit)| seconds >= 2 * unit)
    .unwrap_or(("duration.seconds", 1));
    page.words.counted(key, seconds.div_ceil(unit))
}
