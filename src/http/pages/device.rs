//! The name of a device in the language of the page, such as "Firefox unter Linux".

use super::page::Page;

/// Returns the device of a user agent in words; an empty text if nothing of it is recognised.
pub(super) fn device(page: &Page, user_agent: &str) -> String {
    page.words.device(user_agent).unwrap_or_default()
}

/// Returns the device of a user agent in words that stand alone.
pub(in crate::http) fn named(page: &Page, user_agent: &str) -> String {
    match device(page, user_agent) {
        unknown if unknown.is_empty() => page.t("device.unknown").to_owned(),
        known => known,
    }
}
