//! The password hashes of rows: which kind each is, and the text that is stored.

use crate::app::App;
use crate::flows::Result;
use crate::model::audit::event::Requester;
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::judge::HashFound;
use crate::model::import::reason::Reason;

/// What the hashes of a file need besides.
#[derive(Default)]
pub struct Parameters {}

/// A hash that was read.
pub(super) struct Hash {
    text: String,
}

impl Hash {
    /// Returns whether the hash is too cheap to be stored as it is.
    pub(super) fn must_be_wrapped(&self, _: &App) -> bool {
        false
    }
}

/// Reads the hash of a row.
pub(super) fn read(hash: Option<&SourceHash>, _: &Parameters) -> (HashFound, Option<Hash>) {
    let Some(hash) = hash else {
        return (HashFound::None, None);
    };
    if hash.spelling == HashSpelling::Tagged && hash.text.starts_with("$argon2id$") {
        let text = hash.text.to_string();
        return (HashFound::Usable("argon2"), Some(Hash { text }));
    }
    let beginning: String = hash.text.chars().take(4).collect();
    (HashFound::Refused(Reason::UnsupportedHash(beginning)), None)
}

/// Returns the text that is stored.
#[expect(clippy::unused_async, reason = "wrapping waits")]
pub(super) async fn stored(_: &App, hash: Hash, _: &Requester) -> Result<String> {
    Ok(hash.text)
}
