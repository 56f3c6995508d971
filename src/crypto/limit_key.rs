//! The keys of the table of limits: hashes, so that neither email addresses nor networks stand in
//! it.

use super::{encode, sha256};
use crate::model::limit::rate::Rule;

/// Returns the key, which is a hash: the table contains neither email addresses nor networks.
pub fn key(rule: Rule, whom: &[&str]) -> String {
    format!(
        "{}:{}",
        rule.as_str(),
        whom.iter()
            .map(|whom| part(whom))
            .collect::<Vec<_>>()
            .join(".")
    )
}

/// Returns the part of a key that stands for one counted party; an operator clears by it.
pub fn part(whom: &str) -> String {
    encode(&sha256(whom.as_bytes())[..16])
}
