//! A new master key: every private key is sealed anew and the new version becomes current, in one
//! transaction. Never writes a key file.

use std::path::Path;
use std::sync::Arc;

use crate::app::App;
use crate::crypto::master_key::{MasterKey, MasterKeys};
use crate::crypto::seal;
use crate::model::audit::event::{Kind, Peer};
use crate::model::key::ring_id::RingId;
use crate::store::{self, Conn};

use super::load_keys;
use crate::flows::audit::recorder::{Recorder, detail};
use crate::flows::ops::processes;
use crate::flows::ops::processes::{LIVE, Running};
use crate::flows::{Error, Result};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// The new key's public name.
    pub key_id: String,
    /// Its version, the first byte of refresh tokens from now on.
    pub version: u8,
    /// How many private keys were sealed anew.
    pub keys: usize,
}

/// How the new key takes over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The old key leaked: nothing that it made is accepted any more, so every refresh token and
    /// cookie ends.
    pub compromised: bool,
    /// Do everything but the writing.
    pub dry_run: bool,
    /// Go on although running processes lack the new key: from then on they cannot sign and are not
    /// ready. The audit trail names them.
    pub although_processes_lack_it: bool,
}

/// Seals everything under the key in this file.
///
/// # Errors
/// [`Error::KeyUnusable`] while a process that serves does not hold the new key, and where the key
/// was in use before.
pub async fn rewrap(app: &App, file: &Path, options: Options, peer: &Peer) -> Result<Rewrapped> {
    let new = Arc::new(load_keys::named_key(file)?);
    let stored = app
        .db
        .read(|conn| Box::pin(store::key::signing_keys::load(conn)))
        .await?;
    let masters = load_keys::loaded_versions(app, &stored).await?;
    let work = Rewrap {
        new,
        masters,
        options,
        recorder: Recorder::new(app, peer),
    };
    if options.dry_run {
        return app.db.read(move |conn| Box::pin(work.run(conn))).await?;
    }
    app.db
        .write_unless_refused(move |conn| Box::pin(work.run(conn)))
        .await?
}

#[derive(Clone)]
struct Rewrap {
    new: Arc<MasterKey>,
    masters: MasterKeys,
    options: Options,
    recorder: Recorder,
}

impl Rewrap {
    async fn run(self, conn: &mut Conn) -> store::Result<Result<Rewrapped>> {
        let stored = store::key::signing_keys::load(conn).await?;
        let versions = store::key::master_keys::list(conn).await?;
        if stored.master_version != Some(i64::from(self.masters.current().version)) {
            return Ok(Err(Error::AlreadyRotated));
        }
        if versions.iter().any(|v| v.key_id == self.new.id()) {
            return Ok(Err(Error::KeyUnusable(format!(
                "the master key {} was in use before; make a new one",
                self.new.id()
            ))));
        }
        let running = processes::running(conn).await?;
        let lacking: Vec<_> = running
            .into_iter()
            .filter(|process| !process.holds(self.new.id()))
            .collect();
        if !lacking.is_empty() && !self.options.although_processes_lack_it {
            return Ok(Err(Error::KeyUnusable(refusal(self.new.id(), &lacking))));
        }
        let Some(version) = versions
            .iter()
            .map(|v| v.version)
            .max()
            .unwrap_or(0)
            .checked_add(1)
        else {
            return Ok(Err(Error::KeyUnusable(
                "the 255 versions of the master key are used up".into(),
            )));
        };
        let sealed: Vec<_> = stored
            .keys
            .iter()
            .filter_map(|k| Some((&k.key.kid, k.private_jwe.as_ref()?)))
            .collect();
        let done = Rewrapped {
            key_id: self.new.id().to_owned(),
            version,
            keys: sealed.len(),
        };
        for (kid, jwe) in sealed {
            let pair = match seal::open(jwe, kid, self.masters.iter().map(|m| &*m.key)) {
                Ok(pair) => pair,
                Err(error) => return Ok(Err(error.into())),
            };
            if !self.options.dry_run {
                store::key::signing_keys::reseal(conn, kid, &seal::seal(&pair, &self.new)).await?;
            }
        }
        if !self.options.dry_run {
            self.adopt(conn, &done, stored.id, &lacking).await?;
        }
        Ok(Ok(done))
    }

    async fn adopt(
        &self,
        conn: &mut Conn,
        done: &Rewrapped,
        seen: RingId,
        lacking: &[Running],
    ) -> store::Result<()> {
        let now = conn.now();
        store::key::master_keys::adopt(conn, done.version, &done.key_id, now).await?;
        if self.options.compromised {
            store::key::master_keys::mark_compromised_before(conn, done.version, now).await?;
        }
        if !store::key::signing_keys::advance(conn, seen, self.recorder.ring_identity()).await? {
            return Err(store::Error::Conflict);
        }
        let mut said = detail([
            ("key_id", done.key_id.clone().into()),
            ("version", done.version.into()),
            ("compromised", self.options.compromised.into()),
        ]);
        if !lacking.is_empty() {
            said.extend(detail([(
                "lacked_by",
                lacking.iter().map(Running::name).collect::<Vec<_>>().into(),
            )]));
        }
        self.recorder
            .record(conn, Kind::MasterKeyChanged, None, None, said)
            .await
    }
}

/// Which processes lack the key, and what to do about it.
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
