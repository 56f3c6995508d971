//! Changes the master key: every private key is sealed again and the new version becomes current,
//! in one transaction; then the secrets of authenticator apps and the tokens of other issuers are sealed
//! again, piece by piece. Never writes a key file.

use std::path::Path;
use std::sync::Arc;

use crate::app::App;
use crate::crypto::master_key::{MasterKey, MasterKeys};
use crate::crypto::seal;
use crate::model::audit::event::{Kind, Requester};
use crate::model::key::ring_id::RingId;
use crate::store::key::master_keys::Version;
use crate::store::{self, Conn, work};

use super::bootstrap;
use super::open_ring;
pub use super::reseal_secrets::Resealed;
use super::reseal_secrets::{self, Table};
use crate::flows::key::processes;
use crate::flows::key::processes::{LIVE, Running};
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// The result of a rewrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// The public id of the new key.
    pub key_id: String,
    /// The version of the new key, which is the first byte of refresh tokens from now on.
    pub version: u8,
    /// The number of private keys that were sealed again.
    pub keys: usize,
    /// The secrets of authenticator apps, or why not all of them could be sealed again; a dry run does
    /// not count them.
    pub secrets: std::result::Result<Resealed, String>,
    /// The tokens of other issuers, in the same way.
    pub tokens: std::result::Result<Resealed, String>,
}

/// Options of a rewrap.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The old key leaked: nothing that was made with it is accepted any more, so every refresh
    /// token and cookie ends.
    pub compromised: bool,
    /// Checks everything but writes nothing.
    pub dry_run: bool,
    /// Continues although running processes lack the new key: from then on they cannot sign and are
    /// not ready. The audit trail names them.
    pub although_processes_lack_it: bool,
}

/// Seals all private keys under the master key in this file.
///
/// # Errors
/// [`Error::KeyUnusable`] if a serving process has not loaded the new key, or if the key was in use
/// before.
pub async fn rewrap(
    app: &App,
    _: Permitted<'_, to::ChangeKeys>,
    file: &Path,
    options: Options,
    requester: &Requester,
) -> Result<Rewrapped> {
    let new = Arc::new(bootstrap::named_key(file)?);
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let masters = open_ring::loaded_versions(app, &stored).await?;
    let work = Rewrap {
        new,
        masters,
        options,
    };
    if options.dry_run {
        let plan = app
            .db
            .read_or_refuse(work!(conn: Error => work.plan(conn).await))
            .await?;
        return Ok(plan.done);
    }
    let new = Arc::clone(&work.new);
    let held: Vec<Arc<MasterKey>> = work.masters.iter().map(|m| Arc::clone(&m.key)).collect();
    let done = app
        .transaction(requester, tx!(tx => work.run(tx).await))
        .await?;
    // The master key has changed: an error from here on is told beside that, and the schedule of a
    // process with both keys goes on.
    let told = |outcome: Result<Resealed>| outcome.map_err(|error| error.to_string());
    let secrets = told(reseal_secrets::reseal(app, Table::Secrets, &held, &new).await);
    let tokens = told(reseal_secrets::reseal(app, Table::Tokens, &held, &new).await);
    Ok(Rewrapped {
        secrets,
        tokens,
        ..done
    })
}

#[derive(Clone)]
struct Rewrap {
    new: Arc<MasterKey>,
    masters: MasterKeys,
    options: Options,
}

/// What is to be written.
struct Plan {
    done: Rewrapped,
    /// The state of the ring that the plan was made from.
    seen: RingId,
    /// Kids and their private keys, sealed under the new master key.
    resealed: Vec<(String, String)>,
    /// Running processes that have not loaded the new key.
    lacking: Vec<Running>,
}

impl Rewrap {
    /// Opens every private key and seals it again; writes nothing.
    async fn plan(&self, conn: &mut Conn) -> Result<Plan> {
        let stored = store::key::signing_keys::load(conn).await?;
        let versions = store::key::master_keys::list(conn).await?;
        if stored.master_version != Some(i64::from(self.masters.current().version)) {
            return Err(Error::AlreadyRotated);
        }
        if versions.iter().any(|v| v.key_id == self.new.id()) {
            return Err(Error::KeyUnusable(format!(
                "the master key {} was in use before; make a new one",
                self.new.id()
            )));
        }
        if stored.unknown > 0 {
            return Err(Error::KeyUnusable(
                "a later release has made keys of an algorithm that this one does not know, and could not seal them again; use that release".into(),
            ));
        }
        let running = processes::running(conn).await?;
        let lacking: Vec<_> = running
            .into_iter()
            .filter(|process| !process.holds(self.new.id()))
            .collect();
        if !lacking.is_empty() && !self.options.although_processes_lack_it {
            return Err(Error::KeyUnusable(refusal(self.new.id(), &lacking)));
        }
        let version = next_version(&versions)?;
        let mut resealed = Vec::new();
        for stored in &stored.keys {
            if let Some(jwe) = &stored.private_jwe {
                let masters = self.masters.iter().map(|m| &*m.key);
                let pair = seal::open(jwe, open_ring::row(stored), masters)?;
                let kid = stored.key.kid.clone();
                resealed.push((kid, seal::seal(&pair, &self.new)?));
            }
        }
        Ok(Plan {
            done: Rewrapped {
                key_id: self.new.id().to_owned(),
                version,
                keys: resealed.len(),
                secrets: Ok(Resealed::default()),
                tokens: Ok(Resealed::default()),
            },
            seen: stored.id,
            resealed,
            lacking,
        })
    }

    async fn run(self, tx: &mut Tx<'_>) -> Result<Rewrapped> {
        let Plan {
            done,
            seen,
            resealed,
            lacking,
        } = self.plan(tx.conn).await?;
        for (kid, jwe) in resealed {
            store::key::signing_keys::reseal(tx.conn, &kid, &jwe).await?;
        }
        let now = tx.now();
        store::key::master_keys::adopt(tx.conn, done.version, &done.key_id, now).await?;
        if self.options.compromised {
            store::key::master_keys::mark_compromised_before(tx.conn, done.version, now).await?;
        }
        let identity = tx.recorder.ring_identity();
        if !store::key::signing_keys::advance(tx.conn, seen, identity).await? {
            return Err(Error::AlreadyRotated);
        }
        let mut said = detail([
            ("key_id", done.key_id.clone().into()),
            ("version", done.version.into()),
            ("compromised", self.options.compromised.into()),
        ]);
        if !lacking.is_empty() {
            let names: Vec<_> = lacking.iter().map(Running::name).collect();
            said.extend(detail([("lacked_by", names.into())]));
        }
        tx.record(Kind::MasterKeyChanged, None, None, said).await?;
        Ok(done)
    }
}

/// Returns the version of the next master key.
///
/// # Errors
/// [`Error::KeyUnusable`] after 255 of them.
pub(in crate::flows) fn next_version(known: &[Version]) -> Result<u8> {
    let newest = known.iter().map(|v| v.version).max().unwrap_or(0);
    newest
        .checked_add(1)
        .ok_or_else(|| Error::KeyUnusable("the 255 versions of the master key are used up".into()))
}

/// Names the processes that lack the key, and says what to do about it.
fn refusal(key_id: &str, lacking: &[Running]) -> String {
    let listed: Vec<String> = lacking
        .iter()
        .map(|process| format!("  {process}\n"))
        .collect();
    format!(
        "these running processes do not hold the new master key {key_id} and could not sign any more:\n{}Give each of them the new key beside the old one \
         (COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE), restart it, and run this again; nothing was changed. A process that ended without saying so counts for {} s. \
         --although-processes-lack-it goes on all the same",
        listed.concat(),
        LIVE.as_secs()
    )
}
