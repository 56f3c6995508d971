//! A change of the signing keys that an operator, the schedule or a start requests.

use std::sync::Arc;

use crate::crypto::keypair::Keypair;
use crate::model::audit::event::Requester;
use crate::model::key::key::State;
use crate::model::key::plan::{KeyOperation, Step};

use crate::flows::{Error, Result};

/// A requested change of the keys.
#[derive(Clone)]
pub struct KeyChange {
    pub(super) operation: KeyOperation,
    pub(super) requester: Requester,
    pub(super) reason: Option<String>,
    pub(super) import: Option<Arc<Import>>,
    pub(super) expect_active: Option<String>,
}

pub(super) struct Import {
    pub(super) pair: Keypair,
    pub(super) state: State,
}

impl KeyChange {
    /// Makes a change without further options.
    pub fn new(operation: KeyOperation, requester: Requester) -> Self {
        Self {
            operation,
            requester,
            reason: None,
            import: None,
            expect_active: None,
        }
    }

    /// Sets why a key is revoked; the reason is stored with it.
    #[must_use]
    pub fn with_reason(self, reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..self
        }
    }

    /// Applies the change only if this key is still the active one: of ten operators who rotate at
    /// once, nine find that it was done.
    #[must_use]
    pub fn if_active(self, kid: Option<String>) -> Self {
        Self {
            expect_active: kid,
            ..self
        }
    }

    /// Imports a key that was made elsewhere: as the next standby, or as a retired one whose tokens
    /// are still in use.
    pub fn import(text: &str, retired: bool, requester: Requester) -> Result<Self> {
        let pair = Keypair::import(text).map_err(|e| Error::KeyUnusable(e.to_string()))?;
        let (operation, state) = if retired {
            (KeyOperation::Missing, State::Retired)
        } else {
            (KeyOperation::ImportStandby, State::Standby)
        };
        Ok(Self {
            import: Some(Arc::new(Import { pair, state })),
            ..Self::new(operation, requester)
        })
    }

    /// Returns the kid of the imported key.
    pub fn imported_kid(&self) -> Option<&str> {
        self.import.as_ref().map(|i| i.pair.kid())
    }
}

/// Describes a step, for people and the audit trail.
pub fn describe(step: &Step) -> String {
    match step {
        Step::Create(state) => format!("create a new {} key", state.as_str()),
        Step::Activate(kid) => format!("activate {kid}"),
        Step::Retire(kid) => format!("retire {kid}"),
        Step::Revoke(kid) => format!("revoke {kid}"),
        Step::Remove(kid) => format!("remove {kid}"),
        Step::RotateAfter(Some(at)) => format!("rotate again after {at}"),
        Step::RotateAfter(None) => "cancel the second rotation".into(),
    }
}
