//! Parsers of argument values that are not types of `model`.

use std::time::Duration;

use ipnet::IpNet;

use crate::model::limit::block;

/// Parses `KEY=VALUE`, and removes spaces around both.
pub(super) fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Parses the length of a block of a network.
pub(super) fn block_length(text: &str) -> std::result::Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| !time.is_zero() && *time <= block::LONGEST)
        .ok_or_else(|| "write a time longer than zero and at most 30 days, such as 2h or 1d".into())
}

/// Parses a network such as `198.51.100.0/24`, or a single IP address.
pub(super) fn network(text: &str) -> std::result::Result<IpNet, String> {
    block::network(text).map_err(|error| error.to_string())
}
