//! Lengths of time that bounds of settings are written in.

use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) const MINUTE: Duration = Duration::from_secs(60);

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const YEAR: Duration = Duration::from_secs(366 * 86_400);
