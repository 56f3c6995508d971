//! A change of the signing keys that an operator, the schedule or a start requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::import::Stated;
use crate::crypto::keypair::Keypair;
use crate::model::audit::event::Requester;
use crate::model::key::algorithm::Algorithm;
use crate::model::key::key::State;
use crate::model::key::plan::{KeyOperation, Step};
use crate::model::key::slots::SlotStep;

use crate::flows::{Error, Result};

use super::public_keys::Foreign;

/// A requested change of the keys.
#[derive(Clone)]
pub struct KeyChange {
    pub(super) operation: KeyOperation,
    pub(super) only: Option<Algorithm>,
    pub(super) requester: Requester,
    pub(super) reason: Option<String>,
    pub(super) imports: Arc<[Import]>,
    pub(super) expect_active: Option<BTreeMap<Algorithm, String>>,
}

/// A key that was made elsewhere.
pub(super) struct Import {
    pub(super) key: ImportedKey,
    pub(super) state: State,
    /// The longest lifetime of the tokens that it signed elsewhere; `None` for that of this service.
    pub(super) longest_ttl: Option<Duration>,
}

/// As what an imported private key enters the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enters {
    /// As the key that signs next.
    Standby,
    /// As a key that only verifies what it signed elsewhere.
    Retired,
}

pub(super) enum ImportedKey {
    /// With its private half, which this service signs with or could.
    Pair(Box<Keypair>),
    /// The public key of another issuer.
    Public(Foreign),
}

impl Import {
    pub(super) fn algorithm(&self) -> Algorithm {
        match &self.key {
            ImportedKey::Pair(pair) => pair.algorithm(),
            ImportedKey::Public(foreign) => foreign.public.algorithm(),
        }
    }

    pub(super) fn kid(&self) -> &str {
        match &self.key {
            ImportedKey::Pair(pair) => pair.kid(),
            ImportedKey::Public(foreign) => &foreign.kid,
        }
    }
}

impl KeyChange {
    /// Makes a change of every algorithm without further options.
    pub fn new(operation: KeyOperation, requester: Requester) -> Self {
        Self {
            operation,
            only: None,
            requester,
            reason: None,
            imports: Arc::new([]),
            expect_active: None,
        }
    }

    /// Limits the change to the keys of one algorithm.
    #[must_use]
    pub fn of(self, only: Option<Algorithm>) -> Self {
        Self { only, ..self }
    }

    /// Sets why a key is revoked; the reason is stored with it.
    #[must_use]
    pub fn with_reason(self, reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..self
        }
    }

    /// Applies the change only if the keys that it concerns are still the active ones: of ten
    /// operators who rotate at once, nine find that it was done.
    #[must_use]
    pub fn if_active(self, kids: BTreeMap<Algorithm, String>) -> Self {
        Self {
            expect_active: Some(kids),
            ..self
        }
    }

    /// Imports a private key that was made elsewhere: as the next standby, or as a retired one whose
    /// tokens are still in use. `longest_ttl` is the longest lifetime of the tokens that it signed
    /// elsewhere, for which it stays published after its last use; `None` for that of this service.
    ///
    /// # Errors
    /// [`Error::KeyUnusable`] with the reason.
    pub fn import(
        text: &str,
        stated: &Stated,
        enters: Enters,
        longest_ttl: Option<Duration>,
        requester: Requester,
    ) -> Result<Self> {
        let pair = Keypair::import(text, stated).map_err(|e| Error::KeyUnusable(e.to_string()))?;
        let (operation, state) = match enters {
            Enters::Standby => (KeyOperation::ImportStandby, State::Standby),
            Enters::Retired => (KeyOperation::Missing, State::Retired),
        };
        let only = Some(pair.algorithm());
        let import = Import {
            key: ImportedKey::Pair(Box::new(pair)),
            state,
            longest_ttl,
        };
        Ok(Self {
            imports: Arc::new([import]),
            only,
            ..Self::new(operation, requester)
        })
    }

    /// Publishes keys of another issuer until its last tokens have expired; this service has no
    /// private key to them and never signs with them.
    pub fn publish(keys: Vec<Foreign>, longest_ttl: Duration, requester: Requester) -> Self {
        let import = |foreign| Import {
            key: ImportedKey::Public(foreign),
            state: State::Retired,
            longest_ttl: Some(longest_ttl),
        };
        Self {
            imports: keys.into_iter().map(import).collect(),
            ..Self::new(KeyOperation::Missing, requester)
        }
    }

    /// Returns the kids of the imported keys.
    pub fn imported_kids(&self) -> Vec<String> {
        self.imports.iter().map(|i| i.kid().to_owned()).collect()
    }
}

/// Describes a step, for people and the audit trail, which is read again after a restore. Steps of
/// EdDSA are those of earlier releases, which named no algorithm.
pub fn describe(slot: &SlotStep) -> String {
    let name = match slot.algorithm {
        Algorithm::EdDsa => String::new(),
        other => format!("{other} "),
    };
    match &slot.step {
        Step::Create(state) => format!("create a new {} {name}key", state.as_str()),
        Step::Activate(kid) => format!("activate {kid}"),
        Step::Retire(kid) => format!("retire {kid}"),
        Step::Revoke(kid) => format!("revoke {kid}"),
        Step::Remove(kid) => format!("remove {kid}"),
        Step::RotateAfter(Some(at)) => format!("rotate {name}again after {at}"),
        Step::RotateAfter(None) => format!("cancel the second {name}rotation"),
    }
}
