//! How the errors of other layers become those of flows.

use super::Error;
use crate::crypto::{password as hashing, seal};
use crate::model::account::password;
use crate::store;

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(reason)
            | store::Error::Lost(reason)
            | store::Error::NotBegun(reason)
            | store::Error::RolledBack(reason) => Self::Unavailable(reason),
            store::Error::Unwritable(reason) => Self::Unavailable(format!(
                "the database cannot be written, and nothing of this step was kept (a full or failing disk, or it is read-only): {reason}"
            )),
            store::Error::SchemaTooNew(_) | store::Error::Unsupported(_) => {
                Self::WrongDatabase(error.to_string())
            }
            store::Error::Conflict
            | store::Error::Corrupt { .. }
            | store::Error::Migration(_)
            | store::Error::Other(_) => Self::Internal(error.to_string()),
        }
    }
}

/// Maps the violation of a unique constraint to a refusal; other errors stay as they are.
pub(in crate::flows) fn if_conflict(refusal: Error) -> impl FnOnce(store::Error) -> Error {
    move |error| match error {
        store::Error::Conflict => refusal,
        error => error.into(),
    }
}

impl From<hashing::Error> for Error {
    fn from(error: hashing::Error) -> Self {
        match error {
            hashing::Error::Busy => Self::Busy,
            hashing::Error::Unreadable | hashing::Error::Pepper => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<password::Refused> for Error {
    fn from(refused: password::Refused) -> Self {
        match refused {
            password::Refused::TooShort => Self::PasswordTooShort,
            password::Refused::TooLong => Self::PasswordTooLong,
        }
    }
}

impl From<seal::Error> for Error {
    fn from(error: seal::Error) -> Self {
        Self::KeyUnusable(error.to_string())
    }
}
