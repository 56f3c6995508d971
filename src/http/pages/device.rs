//! The name of a device in the language of the page, such as "Firefox unter Linux".

use crate::model::kernel::user_agent::parts;

use super::page::Page;

/// Returns the device of a user agent in words; an empty text if nothing of it is recognised.
pub(super) fn device(page: &Page, user_agent: &str) -> String {
    match parts(user_agent) {
        (Some(browser), Some(system)) => page
            .with("device.on", "browser", browser)
            .replace("{system}", &system),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => String::new(),
    }
}

/// Returns the device of a user agent in words that stand alone.
pub(super) fn named(page: &Page, user_agent: &str) -> String {
    match device(page, user_agent) {
        unknown if unknown.is_empty() => page.t("device.unknown").to_owned(),
        known => known,
    }
}
