//! Replaces a lost master key: what was sealed under it can never be opened again. A new master key
//! and new signing keys take over, and every session ends.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::master_key::MasterKey;
use crate::model::audit::event::{Kind, Requester};
use crate::model::key::key::State;
use crate::store::{self, Conn, work};

use crate::flows::key::change_keys;
use crate::flows::key::rewrap::next_version;
use crate::flows::permit::{Permitted, to};
use crate::flows::session::manage_sessions;
use crate::flows::session::manage_sessions::Which;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// The reason in the tombstones of the former keys.
const REASON: &str = "the master key was lost";

/// The result of abandoning a master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// The public id of the lost key.
    pub lost: String,
    /// The public id of the new key.
    pub key_id: String,
    /// The version of the new key, which is the first byte of refresh tokens from now on.
    pub version: u8,
    /// The number of signing keys that were given up.
    pub keys: usize,
    /// The number of sessions whose rows are already marked as ended; every session has ended,
    /// however many there are.
    pub sessions: usize,
}

/// Makes the primary master key of this process the current one. The former signing keys become
/// tombstones and leave the JWKS, the former master keys are not accepted any more. Refused if this
/// process holds the current master key, because then it is not lost.
pub async fn abandon(
    app: &App,
    _: Permitted<'_, to::ChangeKeys>,
    requester: &Requester,
) -> Result<Abandoned> {
    let new = app
        .loaded_keys
        .first()
        .cloned()
        .ok_or_else(|| Error::KeyUnusable("there is no new master key".into()))?;
    let work = Abandon {
        new,
        loaded: app
            .loaded_keys
            .iter()
            .map(|key| key.id().to_owned())
            .collect(),
    };
    let look = work.clone();
    app.db
        .read_or_refuse(work!(conn: Error => look.check(conn).await))
        .await?;
    // First, so that a run that was interrupted is repeated as a whole. The tokens of these
    // sessions cannot be checked any more.
    let sessions =
        manage_sessions::revoke(app, Permitted::as_operator(), Which::Everybody, requester)
            .await?
            .marked
            .len();
    let done = app
        .transaction(requester, tx!(tx => work.run(tx).await))
        .await?;
    change_keys::ensure_keys(app).await?;
    Ok(Abandoned { sessions, ..done })
}

#[derive(Clone)]
struct Abandon {
    new: Arc<MasterKey>,
    loaded: Vec<String>,
}

impl Abandon {
    /// Returns the public id of the lost key and the version of the new one.
    async fn check(&self, conn: &mut Conn) -> Result<(String, u8)> {
        let current = store::key::signing_keys::master_version(conn).await?;
        let versions = store::key::master_keys::list(conn).await?;
        let Some(lost) = versions
            .iter()
            .find(|v| Some(i64::from(v.version)) == current)
        else {
            return Err(Error::WrongDatabase(
                "the database names no master key; start `countersign serve` once".into(),
            ));
        };
        if self.loaded.contains(&lost.key_id) {
            return Err(Error::KeyUnusable(format!(
                "the master key {} is loaded, so it is not lost; use `keys rewrap` to replace it",
                lost.key_id
            )));
        }
        if versions.iter().any(|v| v.key_id == self.new.id()) {
            return Err(Error::KeyUnusable(format!(
                "the master key {} was in use before; make a new one",
                self.new.id()
            )));
        }
        Ok((lost.key_id.clone(), next_version(&versions)?))
    }

    async fn run(self, tx: &mut Tx<'_>) -> Result<Abandoned> {
        let (lost, version) = self.check(tx.conn).await?;
        let stored = store::key::signing_keys::load(tx.conn).await?;
        let (now, identity) = (tx.now(), tx.recorder.ring_identity());
        if !store::key::signing_keys::advance(tx.conn, stored.id, identity).await? {
            return Err(Error::AlreadyRotated);
        }
        let published: Vec<_> = stored
            .keys
            .iter()
            .filter(|k| k.key.state.is_published())
            .collect();
        for stored in &published {
            store::key::signing_keys::tombstone(
                tx.conn,
                &stored.key.kid,
                State::Revoked,
                Some(REASON),
                now,
            )
            .await?;
        }
        store::key::master_keys::adopt(tx.conn, version, self.new.id(), now).await?;
        store::key::master_keys::mark_compromised_before(tx.conn, version, now).await?;
        let key_id = self.new.id().to_owned();
        let keys = published.len();
        let said = detail([
            ("lost", lost.clone().into()),
            ("key_id", key_id.clone().into()),
            ("version", version.into()),
            ("keys", keys.into()),
        ]);
        tx.record(Kind::MasterKeyAbandoned, None, None, said)
            .await?;
        Ok(Abandoned {
            lost,
            key_id,
            version,
            keys,
            sessions: 0,
        })
    }
}
