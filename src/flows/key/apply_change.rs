//! Carrying out a change of the signing keys in the database: ask `model::key::slots::plan`, then
//! apply its steps in one transaction in which the state was read again. Loading what came of it is
//! `load_keys`' business.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::crypto::master_key::Versioned;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::audit::event::Kind;
use crate::model::key::algorithm::Algorithm;
use crate::model::key::key::State;
use crate::model::key::plan::{KeyOperation, Step};
use crate::model::key::slots::{Policies, SlotStep, plan};
use crate::store::key::signing_keys::{Stored, StoredRing};
use crate::store::{self, work};

use super::key_change::{Import, ImportedKey, KeyChange, describe};
use super::new_key::{NewKey, Origin};
use super::open_ring::loaded_versions;
use super::spare_pairs::SparePairs;

/// The result of a change; without steps if nothing was due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// The steps of the plan.
    pub steps: Vec<SlotStep>,
    /// The kids of new keys, in the order of the steps.
    pub created: Vec<String>,
}

/// How many times a change is tried: each time, another process changed the keys so that the change
/// needs other new keys than those that were made for it.
const ROUNDS: u32 = 3;

/// Applies a change in the database only.
pub(super) async fn apply(app: &App, request: KeyChange) -> Result<Changed> {
    for _ in 0..ROUNDS {
        if let Some(changed) = attempt(app, request.clone()).await? {
            return Ok(changed);
        }
    }
    Err(Error::Unavailable(
        "the keys are changing too fast; nothing was done".into(),
    ))
}

/// Tries a change once; `None` if the keys that it needs are not those that were made before.
async fn attempt(app: &App, request: KeyChange) -> Result<Option<Changed>> {
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    // The schedule asks every minute: if nothing is due, nothing is written.
    let policies = &app.config.keys.policies;
    let (operation, only) = (&request.operation, request.only);
    let steps = plan(app.now(), &stored.slots(), policies, operation, only)?;
    if request.imports.is_empty() && steps.is_empty() {
        return Ok(Some(Changed::default()));
    }
    let masters = loaded_versions(app, &stored).await?;
    let change = Change {
        sealer: masters.current().clone(),
        spare: SparePairs::make(app, &steps).await?,
        policies: policies.clone(),
        request,
    };
    let requester = change.request.requester.clone();
    app.transaction(&requester, tx!(tx => change.apply(tx).await))
        .await
}

#[derive(Clone)]
struct Change {
    request: KeyChange,
    sealer: Versioned,
    spare: SparePairs,
    policies: Policies,
}

impl Change {
    async fn apply(mut self, tx: &mut Tx<'_>) -> Result<Option<Changed>> {
        let stored = store::key::signing_keys::load(tx.conn).await?;
        let (operation, only) = (&self.request.operation, self.request.only);
        self.check(&stored, only)?;
        if let KeyOperation::Scheduled(now) = &self.request.operation
            && !store::engine::clock::holds(tx.conn, *now).await?
        {
            return Err(Error::Unavailable(
                "the clock is no longer confirmed".into(),
            ));
        }
        let steps = plan(tx.now(), &stored.slots(), &self.policies, operation, only)?;
        if steps.is_empty() && self.request.imports.is_empty() {
            return Ok(Some(Changed::default()));
        }
        if !self.spare.suffices(&steps) {
            return Ok(None);
        }
        let identity = tx.recorder.ring_identity();
        if !store::key::signing_keys::advance(tx.conn, stored.id, identity).await? {
            return Err(Error::AlreadyRotated);
        }
        let mut created = Vec::new();
        for step in &steps {
            created.extend(self.take(tx, step).await?);
        }
        for import in Arc::clone(&self.request.imports).iter() {
            created.extend(self.take_import(tx, &stored, import).await?);
        }
        self.record(tx, &steps, &created).await?;
        Ok(Some(Changed { steps, created }))
    }

    /// Checks, inside the transaction, that the state is still the one that the change was planned
    /// for.
    fn check(&self, stored: &StoredRing, only: Option<Algorithm>) -> Result<()> {
        if stored.master_version != Some(i64::from(self.sealer.version)) {
            return Err(Error::Unavailable(
                "the master key was changed meanwhile".into(),
            ));
        }
        let Some(expected) = &self.request.expect_active else {
            return Ok(());
        };
        let active = stored.slots().active_kids();
        let is_same = |algorithm: &Algorithm| active.get(algorithm) == expected.get(algorithm);
        let is_current = match only {
            Some(algorithm) => is_same(&algorithm),
            None => Algorithm::ALL.iter().all(is_same),
        };
        if is_current {
            Ok(())
        } else {
            Err(Error::AlreadyRotated)
        }
    }

    async fn take(&mut self, tx: &mut Tx<'_>, slot: &SlotStep) -> Result<Option<String>> {
        let (now, algorithm) = (tx.now(), slot.algorithm);
        match &slot.step {
            Step::Create(state) => {
                let pair = self.spare.take(algorithm).ok_or_else(|| {
                    Error::Internal("the plan makes more keys than were prepared".into())
                })?;
                let new = NewKey {
                    kid: pair.kid(),
                    public: pair.public(),
                    private: Some(&pair),
                    state: *state,
                    origin: Origin::Here,
                };
                new.insert(tx, &self.sealer.key, self.policies.base.access_ttl)
                    .await?;
                return Ok(Some(pair.kid().to_owned()));
            }
            Step::Activate(kid) => {
                let ttl = self.policies.base.access_ttl;
                store::key::signing_keys::activate(tx.conn, kid, ttl, now).await?;
            }
            Step::Retire(kid) => store::key::signing_keys::retire(tx.conn, kid, now).await?,
            Step::Revoke(kid) => {
                store::key::signing_keys::tombstone(
                    tx.conn,
                    kid,
                    State::Revoked,
                    self.request.reason.as_deref(),
                    now,
                )
                .await?;
            }
            Step::Remove(kid) => {
                store::key::signing_keys::tombstone(tx.conn, kid, State::Removed, None, now)
                    .await?;
            }
            Step::RotateAfter(at) => {
                store::key::signing_keys::set_rotate_after(tx.conn, algorithm, *at).await?;
            }
        }
        Ok(None)
    }

    /// Inserts an imported key and returns its kid. Another issuer's key set may be imported again:
    /// a key of it that is here already only stays longer.
    async fn take_import(
        &self,
        tx: &mut Tx<'_>,
        stored: &StoredRing,
        import: &Import,
    ) -> Result<Option<String>> {
        let (public, private) = match &import.key {
            ImportedKey::Pair(pair) => (pair.public(), Some(&**pair)),
            ImportedKey::Public(foreign) => (&foreign.public, None),
        };
        let is_here = |known: &&Stored| {
            let key = &known.key;
            key.kid == import.kid()
                && key.state == State::Retired
                && known.private_jwe.is_none()
                && known.thumbprint == public.thumbprint()
        };
        if let Some(longest) = import.longest_ttl.filter(|_| private.is_none())
            && let Some(known) = stored.keys.iter().find(is_here)
        {
            store::key::signing_keys::extend(tx.conn, &known.key.kid, longest).await?;
            return Ok(None);
        }
        let new = NewKey {
            kid: import.kid(),
            public,
            private,
            state: import.state,
            origin: Origin::Elsewhere(import.longest_ttl),
        };
        new.insert(tx, &self.sealer.key, self.policies.base.access_ttl)
            .await?;
        Ok(Some(import.kid().to_owned()))
    }

    async fn record(&self, tx: &mut Tx<'_>, steps: &[SlotStep], created: &[String]) -> Result<()> {
        let kind = match &self.request.operation {
            KeyOperation::Revoke(_) | KeyOperation::ReplaceAll => Kind::KeyRevoked,
            KeyOperation::Missing | KeyOperation::ImportStandby
                if !self.request.imports.is_empty() =>
            {
                Kind::KeyImported
            }
            KeyOperation::Scheduled(_)
                if steps.iter().all(|s| matches!(s.step, Step::Remove(_)))
                    && created.is_empty() =>
            {
                Kind::KeysRemoved
            }
            KeyOperation::Missing
            | KeyOperation::Scheduled(_)
            | KeyOperation::Rotate { .. }
            | KeyOperation::ImportStandby => Kind::KeysRotated,
            KeyOperation::Close => Kind::KeysClosed,
        };
        let imports = self.request.imports.iter().map(Import::algorithm);
        let slots = steps.iter().map(|s| s.algorithm).chain(imports);
        let slots: BTreeSet<Algorithm> = slots.collect();
        let is_plain = slots.iter().all(|slot| *slot == Algorithm::EdDsa);
        let slots: Vec<Value> = slots.into_iter().map(|a| a.as_str().into()).collect();
        let steps: Vec<Value> = steps.iter().map(|s| describe(s).into()).collect();
        let reason = self
            .request
            .reason
            .clone()
            .map_or(Value::Null, Value::String);
        let mut detail = detail([
            ("steps", steps.into()),
            ("created", created.into()),
            ("reason", reason),
        ]);
        // Without keys of other algorithms, an event is that of earlier releases.
        if !is_plain {
            detail.insert("algorithms".into(), slots.into());
        }
        tx.record(kind, None, None, detail).await
    }
}
