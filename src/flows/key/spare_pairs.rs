//! The key pairs of a change, made before its transaction: an RSA pair takes up to a second, and for
//! that long no transaction should be open.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::App;
use crate::crypto::keypair::Keypair;
use crate::flows::{Error, Result};
use crate::model::key::algorithm::Algorithm;
use crate::model::key::plan::Step;
use crate::model::key::slots::SlotStep;

/// Key pairs that are not in use yet, by algorithm.
#[derive(Clone)]
pub(super) struct SparePairs(BTreeMap<Algorithm, Vec<Arc<Keypair>>>);

/// Returns the algorithm of each key that the steps create.
fn created(steps: &[SlotStep]) -> impl Iterator<Item = Algorithm> {
    let creates = steps
        .iter()
        .filter(|slot| matches!(slot.step, Step::Create(_)));
    creates.map(|slot| slot.algorithm)
}

impl SparePairs {
    /// Makes exactly the pairs that the steps create.
    pub(super) async fn make(app: &App, steps: &[SlotStep]) -> Result<Self> {
        let mut spare = BTreeMap::<_, Vec<_>>::new();
        for algorithm in created(steps) {
            let pair = make_pair(app, algorithm).await?;
            spare.entry(algorithm).or_default().push(Arc::new(pair));
        }
        Ok(Self(spare))
    }

    /// Returns whether there is a pair for each key that the steps create.
    pub(super) fn suffices(&self, steps: &[SlotStep]) -> bool {
        Algorithm::ALL.into_iter().all(|algorithm| {
            let needed = created(steps).filter(|of| *of == algorithm).count();
            needed <= self.0.get(&algorithm).map_or(0, Vec::len)
        })
    }

    /// Takes a pair of this algorithm.
    pub(super) fn take(&mut self, algorithm: Algorithm) -> Option<Arc<Keypair>> {
        self.0.get_mut(&algorithm)?.pop()
    }
}

async fn make_pair(app: &App, algorithm: Algorithm) -> Result<Keypair> {
    let size = app.config.keys.rsa_size;
    let random = Arc::clone(&app.random);
    let make = move || Keypair::generate(algorithm, size, &*random);
    let outcome = match algorithm {
        Algorithm::Rs256 => tokio::task::spawn_blocking(make)
            .await
            .map_err(|error| Error::Internal(error.to_string()))?,
        Algorithm::EdDsa | Algorithm::Ed25519 | Algorithm::Es256 => make(),
    };
    outcome.map_err(|error| Error::Internal(error.to_string()))
}
