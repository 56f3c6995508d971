//! The values that `[tokens]`, `[[audiences]]` and `[keys]` have in common.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use crate::model::kernel::loopback::LOOPBACK;
use crate::model::kernel::web_url::Issuer;
use crate::model::key::algorithm::Algorithm;
use crate::model::token::target::TokenType;

/// The bounds of a verifier's cache.
pub(super) const CACHES: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(7 * 86_400);
/// The algorithms, by their names in settings.
pub(super) const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("EdDSA", Algorithm::EdDsa),
    ("Ed25519", Algorithm::Ed25519),
    ("ES256", Algorithm::Es256),
    ("RS256", Algorithm::Rs256),
];
/// The types of tokens, by their names in settings.
pub(super) const TYPES: [(&str, TokenType); 2] =
    [("at+jwt", TokenType::AtJwt), ("JWT", TokenType::Jwt)];

/// Parses an issuer, which is https except on loopback.
pub(super) fn parse_issuer(text: &str, allow_insecure: bool) -> Result<(Issuer, Url), String> {
    let (issuer, url) = Issuer::parse(text)?;
    let is_local = LOOPBACK.contains(&url.host_str().unwrap_or_default());
    if url.scheme() == "http" && !allow_insecure && !is_local {
        return Err("an issuer is https (RFC 8414 section 2); http only on loopback, or with server.allow_insecure".to_owned());
    }
    Ok((issuer, url))
}
