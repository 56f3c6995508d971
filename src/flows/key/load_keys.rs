//! Loads the key ring: reads the rows, opens the private keys, builds the JWKS. Runs at start, when a
//! poll or the result of a statement shows a newer version, and after every change by this process.

use super::apply_change::apply;
use super::key_change::KeyChange;
use super::open_ring::{loaded_versions, open, publics};
use crate::app::App;
use crate::crypto::jws::Expected;
use crate::crypto::key_ring::{KeyRing, Loaded, Naming};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::key::key::State;
use crate::model::key::plan::KeyOperation;
use crate::model::key::ring_id::{Losses, RingId};
use crate::model::key::slots::Slots;
use crate::store::key::signing_keys::StoredRing;
use crate::store::{self, work};

/// Reads the current state of the ring and reloads it if this process holds another one.
pub async fn confirm(app: &App) -> Result<()> {
    let id = app
        .db
        .read(work!(conn => store::key::signing_keys::id(conn).await))
        .await?;
    if app.ring().is_some_and(|ring| ring.id == id) {
        app.confirm_ring();
        return Ok(());
    }
    reload(app).await
}

/// Reloads whenever another replica announces a change of the ring; returns when the connection is
/// lost.
pub async fn listen(app: &App) -> Result<()> {
    let Some(listener) = app.db.listener() else {
        return Ok(());
    };
    let mut ear = listener.listen().await?;
    loop {
        ear.changed().await?;
        confirm(app).await?;
    }
}

/// Reads and opens the ring and puts it in place. If that fails permanently, the process is not
/// ready until it succeeds.
pub async fn reload(app: &App) -> Result<()> {
    follow(app, None).await
}

/// Reloads for a caller who was told the state of the database: if another task has loaded that
/// state meanwhile, nothing is read.
pub async fn follow(app: &App, told: Option<RingId>) -> Result<()> {
    let loaded = load(app, told).await;
    if let Err(Error::MasterKeyNotLoaded { .. } | Error::KeyUnusable(_)) = &loaded {
        app.mark_ring_unusable();
    }
    loaded
}

async fn load(app: &App, told: Option<RingId>) -> Result<()> {
    let _in_order = app.reloading.lock().await;
    if told.is_some() && app.ring().map(|ring| ring.id) == told {
        return Ok(());
    }
    let mut stored = read(app).await?;
    if let Some(held) = app.ring().filter(|held| held.id != stored.id) {
        tell_losses(held.id, &held.slots, &stored);
    }
    for _ in 0..ROUNDS {
        let revived = app.revoked_kids.learn(&stored.slots());
        if revived.is_empty() {
            return put_in_place(app, &stored).await;
        }
        // Until they are revoked again this process signs nothing, because its ring is not that of
        // the database any more.
        app.mark_ring_unusable();
        revoke_again(app, &revived).await?;
        stored = read(app).await?;
    }
    Err(Error::Unavailable(
        "revoked keys came back with the database and could not be revoked again".into(),
    ))
}

/// How many times keys that came back are revoked again while other processes change the ring at
/// the same time.
const ROUNDS: u32 = 5;

/// Logs that the database was restored to an earlier state, and the consequences.
fn tell_losses(held: RingId, slots: &Slots, stored: &StoredRing) {
    let losses = Losses::between(slots, &stored.slots());
    if losses.is_empty() && stored.id.version >= held.version {
        return;
    }
    tracing::error!(
        %held,
        found = %stored.id,
        missing = ?losses.missing,
        earlier = ?losses.earlier,
        "the database was restored to an earlier state of the key ring, as after a failover or a backup, and that state is adopted; tokens that the missing keys \
         signed are refused, and sign-outs, bans, passwords and revocations of that time may be lost too: see \"A promotion is a restore\" in docs/operations.md"
    );
}

/// Revokes keys that were revoked before and that the restored database publishes again.
async fn revoke_again(app: &App, revived: &[String]) -> Result<()> {
    for kid in revived {
        tracing::error!(
            kid,
            "a revoked key came back with the database and is revoked again"
        );
        let change = KeyChange::new(
            KeyOperation::Revoke(kid.clone()),
            Requester::named("process"),
        )
        .with_reason("revoked before the database was restored to an earlier state");
        match apply(app, change).await {
            // Another process was first, with this key or with another one: check again.
            Ok(_) | Err(Error::AlreadyRotated | Error::KeyRefused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the stored ring, after writing what must be known before the first signature.
async fn read(app: &App) -> Result<StoredRing> {
    let mut stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    // Before the first signature with a longer lifetime the row must know of it; otherwise the key
    // would leave the JWKS too early.
    let ttl = app.config.tokens.access_ttl;
    let mut raises = Vec::new();
    for (&algorithm, &cache) in &app.config.keys.policies.algorithms {
        let is_short = stored.keys.iter().any(|k| {
            k.key.algorithm == algorithm && k.key.state == State::Active && k.key.max_ttl < ttl
        });
        let known = stored.bounds.get(&algorithm).copied().unwrap_or_default();
        if is_short || known.verifier_cache < cache {
            raises.push((algorithm, cache));
        }
    }
    if !raises.is_empty() {
        let raise = tx!(tx => {
            for (algorithm, cache) in raises {
                store::key::signing_keys::raise_lifetime(tx.conn, algorithm, ttl).await?;
                store::key::signing_keys::raise_cache(tx.conn, algorithm, cache).await?;
            }
            Ok(())
        });
        app.transaction(&Requester::named("process"), raise).await?;
        stored = app
            .db
            .read(work!(conn => store::key::signing_keys::load(conn).await))
            .await?;
    }
    Ok(stored)
}

async fn put_in_place(app: &App, stored: &StoredRing) -> Result<()> {
    let masters = loaded_versions(app, stored).await?;
    let mut active = Vec::new();
    for key in stored.keys.iter().filter(|k| k.key.state == State::Active) {
        active.push(open(key, &masters)?.ok_or_else(|| {
            Error::KeyUnusable(format!(
                "the active signing key {} has no private part",
                key.key.kid
            ))
        })?);
    }
    if active.is_empty() {
        return Err(Error::Unavailable("there is no active signing key".into()));
    }
    let target = app.config.tokens.targets.default();
    let naming = Naming {
        default: target.algorithm,
        expected: Expected {
            issuer: target.issuer.as_str().to_owned(),
            audience: target.audience.clone(),
            typ: target.typ,
        },
    };
    let loaded = Loaded {
        id: stored.id,
        slots: stored.slots(),
        active,
        published: publics(stored)?,
        masters,
    };
    app.set_ring(KeyRing::new(loaded, &naming));
    Ok(())
}
