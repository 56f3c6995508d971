//! What an operator, the schedule or a start wants done to the signing keys.

use std::sync::Arc;

use crate::crypto::keypair::Keypair;
use crate::model::audit::event::Peer;
use crate::model::key::key::State;
use crate::model::key::plan::{KeyOperation, Step};

use crate::flows::{Error, Result};

/// What somebody wants done to the keys.
#[derive(Clone)]
pub struct KeyChange {
    pub(super) wish: KeyOperation,
    pub(super) peer: Peer,
    pub(super) reason: Option<String>,
    pub(super) import: Option<Arc<Import>>,
    pub(super) expect_active: Option<String>,
}

pub(super) struct Import {
    pub(super) pair: Keypair,
    pub(super) state: State,
}

impl KeyChange {
    /// A wish without extras.
    pub fn new(wish: KeyOperation, peer: Peer) -> Self {
        Self {
            wish,
            peer,
            reason: None,
            import: None,
            expect_active: None,
        }
    }

    /// Why a key is revoked; kept with it.
    #[must_use]
    pub fn with_reason(self, reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..self
        }
    }

    /// Only if this key is still the active one: of ten who rotate at once, nine find that it was
    /// done.
    #[must_use]
    pub fn if_active(self, kid: Option<String>) -> Self {
        Self {
            expect_active: kid,
            ..self
        }
    }

    /// A key made elsewhere: as the next standby, or as a retired one whose tokens are still about.
    pub fn import(text: &str, retired: bool, peer: Peer) -> Result<Self> {
        let pair = Keypair::import(text).map_err(|e| Error::KeyUnusable(e.to_string()))?;
        let (wish, state) = if retired {
            (KeyOperation::Missing, State::Retired)
        } else {
            (KeyOperation::ImportStandby, State::Standby)
        };
        Ok(Self {
            import: Some(Arc::new(Import { pair, state })),
            ..Self::new(wish, peer)
        })
    }

    /// The imported key's kid.
    pub fn imported_kid(&self) -> Option<&str> {
        self.import.as_ref().map(|i| i.pair.kid())
    }
}

/// A step in words, for people and the audit trail.
pub fn describe(step: &Step) -> String {
    match step {
        Step::Create(state) => format!("create a new {} key", state.as_str()),
        Step::Activate(kid) => format!("activate {kid}"),
        Step::Retire(kid) => format!("retire {kid}"),
        Step::Revoke(kid) => format!("revoke {kid}"),
        Step::Remove(kid) => format!("remove {kid}"),
        Step::RotateAfter(Some(at)) => format!("rotate again after {at}"),
        Step::RotateAfter(None) => "clear the second rotation".into(),
    }
}
