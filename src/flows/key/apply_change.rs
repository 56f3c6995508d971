//! Carrying out a change of the signing keys in the database: ask `model::key::plan::plan`, then
//! apply its steps in one transaction in which the state was read again. Loading what came of it is
//! `load_keys`' business.

use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::crypto::keypair::Keypair;
use crate::crypto::master_key::Versioned;
use crate::crypto::{jwk, seal};
use crate::flows::error::if_conflict;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::audit::event::Kind;
use crate::model::key::key::{Key, Policy, State};
use crate::model::key::plan::{KeyOperation, Step, plan};
use crate::random;
use crate::store::key::signing_keys::{Stored, StoredRing};
use crate::store::{self, work};

use super::key_change::{KeyChange, describe};
use super::open_ring::loaded_versions;

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The steps of the plan.
    pub steps: Vec<Step>,
    /// The kids of new keys, in the order of the steps.
    pub created: Vec<String>,
}

/// Applies a change in the database only.
pub(super) async fn apply(app: &App, request: KeyChange) -> Result<Changed> {
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    // The schedule asks every minute: if nothing is due, nothing is written.
    let policy = &app.config.keys.policy;
    let steps = plan(app.now(), &stored.ring(), policy, &request.operation)?;
    if request.import.is_none() && steps.is_empty() {
        return Ok(Changed {
            steps: vec![],
            created: vec![],
        });
    }
    let masters = loaded_versions(app, &stored).await?;
    let change = Change {
        sealer: masters.current().clone(),
        spare: spare_pairs(app)?,
        policy: policy.clone(),
        imported: request.import.is_some(),
        request,
    };
    let requester = change.request.requester.clone();
    app.transaction(&requester, tx!(tx => change.apply(tx).await))
        .await
}

/// Prepares key pairs: a plan needs two at most, and they are made before the transaction.
fn spare_pairs(app: &App) -> Result<Vec<Arc<Keypair>>> {
    let make = || {
        Keypair::from_seed(&random::bytes(&*app.random))
            .map(Arc::new)
            .map_err(|e| Error::Internal(e.to_string()))
    };
    (0..2).map(|_| make()).collect()
}

#[derive(Clone)]
struct Change {
    request: KeyChange,
    sealer: Versioned,
    spare: Vec<Arc<Keypair>>,
    policy: Policy,
    imported: bool,
}

impl Change {
    async fn apply(mut self, tx: &mut Tx<'_>) -> Result<Changed> {
        let stored = store::key::signing_keys::load(tx.conn).await?;
        self.check(&stored)?;
        if let KeyOperation::Scheduled(now) = &self.request.operation
            && !store::engine::clock::holds(tx.conn, *now).await?
        {
            return Err(Error::Unavailable(
                "the clock is no longer confirmed".into(),
            ));
        }
        let operation = &self.request.operation;
        let steps = plan(tx.now(), &stored.ring(), &self.policy, operation)?;
        if steps.is_empty() && self.request.import.is_none() {
            return Ok(Changed {
                steps,
                created: vec![],
            });
        }
        let identity = tx.recorder.ring_identity();
        if !store::key::signing_keys::advance(tx.conn, stored.id, identity).await? {
            return Err(Error::AlreadyRotated);
        }
        let mut created = Vec::new();
        for step in &steps {
            created.extend(self.take(tx, step).await?);
        }
        created.extend(self.take_import(tx).await?);
        self.record(tx, &steps, &created).await?;
        Ok(Changed { steps, created })
    }

    /// Checks, inside the transaction, that the state is still the one that the change was planned
    /// for.
    fn check(&self, stored: &StoredRing) -> Result<()> {
        if stored.master_version != Some(i64::from(self.sealer.version)) {
            return Err(Error::Unavailable(
                "the master key was changed meanwhile".into(),
            ));
        }
        let active = stored
            .keys
            .iter()
            .find(|k| k.key.state == State::Active)
            .map(|k| &k.key.kid);
        match &self.request.expect_active {
            Some(expected) if active != Some(expected) => Err(Error::AlreadyRotated),
            Some(_) | None => Ok(()),
        }
    }

    async fn take(&mut self, tx: &mut Tx<'_>, step: &Step) -> Result<Option<String>> {
        let now = tx.now();
        match step {
            Step::Create(state) => {
                let pair = self.spare.pop().ok_or_else(|| {
                    Error::Internal("the plan makes more keys than were prepared".into())
                })?;
                self.insert(tx, &pair, *state).await?;
                return Ok(Some(pair.kid().to_owned()));
            }
            Step::Activate(kid) => {
                store::key::signing_keys::activate(tx.conn, kid, self.policy.access_ttl, now)
                    .await?;
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
                store::key::signing_keys::set_rotate_after(tx.conn, *at).await?;
            }
        }
        Ok(None)
    }

    async fn take_import(&mut self, tx: &mut Tx<'_>) -> Result<Option<String>> {
        let Some(import) = self.request.import.take() else {
            return Ok(None);
        };
        self.insert(tx, &import.pair, import.state).await?;
        Ok(Some(import.pair.kid().to_owned()))
    }

    async fn insert(&self, tx: &mut Tx<'_>, pair: &Keypair, state: State) -> Result<()> {
        let now = tx.now();
        let signs = state == State::Active;
        // A retired key that is imported has signed tokens elsewhere; their lifetime is assumed to
        // be that of this service.
        let max_ttl = if state == State::Standby {
            std::time::Duration::ZERO
        } else {
            self.policy.access_ttl
        };
        let key = Key {
            kid: pair.kid().to_owned(),
            algorithm: "EdDSA".into(),
            state,
            published_at: now,
            activated_at: signs.then_some(now),
            retired_at: (state == State::Retired).then_some(now),
            ended_at: None,
            reason: None,
            max_ttl,
        };
        let public_jwk = jwk::public_jwk(&pair.public()).to_string();
        let stored = Stored {
            key,
            public_jwk,
            private_jwe: Some(seal::seal(pair, &self.sealer.key)),
        };
        let was_here = Error::KeyUnusable(
            "a key with this kid existed before; a kid cannot be used again".into(),
        );
        store::key::signing_keys::insert(tx.conn, &stored)
            .await
            .map_err(if_conflict(was_here))
    }

    async fn record(&self, tx: &mut Tx<'_>, steps: &[Step], created: &[String]) -> Result<()> {
        let kind = match &self.request.operation {
            KeyOperation::Revoke(_) | KeyOperation::ReplaceAll => Kind::KeyRevoked,
            KeyOperation::Missing | KeyOperation::ImportStandby if self.imported => {
                Kind::KeyImported
            }
            KeyOperation::Scheduled(_)
                if steps.iter().all(|s| matches!(s, Step::Remove(_))) && created.is_empty() =>
            {
                Kind::KeysRemoved
            }
            KeyOperation::Missing
            | KeyOperation::Scheduled(_)
            | KeyOperation::Rotate { .. }
            | KeyOperation::ImportStandby => Kind::KeysRotated,
        };
        let steps: Vec<Value> = steps.iter().map(|s| describe(s).into()).collect();
        let reason = self
            .request
            .reason
            .clone()
            .map_or(Value::Null, Value::String);
        let detail = detail([
            ("steps", steps.into()),
            ("created", created.into()),
            ("reason", reason),
        ]);
        tx.record(kind, None, None, detail).await
    }
}
