//! The reason why a command failed, and the exit status for it.

use crate::config::Problem;
use crate::flows;

/// The reason why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    Configuration(Vec<Problem>),
    Usage(String),
    Refused(String),
    Internal(String),
    Startup(String),
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Returns the exit status of the process.
    pub(super) fn status(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Internal(_) => 70,
            Self::Configuration(_) | Self::Startup(_) => 78,
        }
    }
}

impl From<flows::Error> for Failure {
    fn from(error: flows::Error) -> Self {
        use flows::Error as E;
        match error {
            E::WrongDatabase(_)
            | E::MasterKey(_)
            | E::MasterKeyNotLoaded { .. }
            | E::MasterKeyMissing { .. } => Self::Startup(error.to_string()),
            E::Unavailable(cause) | E::Internal(cause) => Self::Internal(cause),
            other => Self::Refused(other.to_string()),
        }
    }
}
