//! Signing keys, and the single row of `key_ring` that all replicas agree on. The bounds of EdDSA
//! are in that row, where earlier releases look for them; those of other algorithms are in
//! `key_slots`. `model::key::slots::plan` decides which step to take.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::FromRow;

use crate::model::kernel::time::{Timestamp, millis};
use crate::model::key::algorithm::Algorithm;
use crate::model::key::key::{Key, State};
use crate::model::key::ring_id::RingId;
use crate::model::key::slots::{Bounds, Slots};

use crate::store::{Conn, Error, Result, on};

/// A key with its material: the public JWK, and the sealed private key unless the key is a
/// tombstone or that of another issuer.
pub struct Stored {
    /// The state and times of the key.
    pub key: Key,
    /// The RFC 7638 thumbprint of the public JWK; mostly also the kid.
    pub thumbprint: String,
    /// The public JWK as JSON.
    pub public_jwk: String,
    /// The sealed private key as compact JWE.
    pub private_jwe: Option<String>,
}

/// The key ring as stored.
pub struct StoredRing {
    /// The state of the ring; every change gets a new one.
    pub id: RingId,
    /// The version of the current master key; `None` before the first start.
    pub master_version: Option<i64>,
    /// The bounds of each algorithm that are stored.
    pub bounds: BTreeMap<Algorithm, Bounds>,
    /// All keys of algorithms that this program knows, including tombstones.
    pub keys: Vec<Stored>,
    /// The number of sealed keys of algorithms that only a later release knows.
    pub unknown: usize,
}

impl StoredRing {
    /// Returns the part that decisions depend on.
    pub fn slots(&self) -> Slots {
        Slots::new(self.keys.iter().map(|k| k.key.clone()), &self.bounds)
    }
}

#[derive(FromRow)]
struct Row {
    kid: String,
    algorithm: String,
    state: String,
    public_jwk: String,
    private_jwe: Option<String>,
    published_at: i64,
    activated_at: Option<i64>,
    retired_at: Option<i64>,
    ended_at: Option<i64>,
    reason: Option<String>,
    max_ttl: i64,
    thumbprint: Option<String>,
}

/// What `private_jwe` holds of a published key of another issuer; a tombstone has NULL.
const NO_PRIVATE_HALF: &str = "";

fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Stored {
    /// Converts a row; `None` for a key of an algorithm that only a later release knows.
    fn of(row: Row) -> Result<Option<Self>> {
        let Ok(algorithm) = row.algorithm.parse() else {
            return Ok(None);
        };
        let state = State::parse(&row.state).ok_or(Error::Corrupt {
            table: "signing_keys",
            column: "state",
        })?;
        let thumbprint = row.thumbprint.unwrap_or_else(|| row.kid.clone());
        let key = Key {
            kid: row.kid,
            algorithm,
            state,
            published_at: Timestamp(row.published_at),
            activated_at: row.activated_at.map(Timestamp),
            retired_at: row.retired_at.map(Timestamp),
            ended_at: row.ended_at.map(Timestamp),
            reason: row.reason,
            max_ttl: duration(row.max_ttl),
        };
        Ok(Some(Self {
            key,
            thumbprint,
            public_jwk: row.public_jwk,
            private_jwe: row.private_jwe.filter(|jwe| jwe != NO_PRIVATE_HALF),
        }))
    }
}

/// Returns only the state of the ring, which replicas poll.
pub async fn id(conn: &mut Conn) -> Result<RingId> {
    let (version, identity) = on!(conn, c => sqlx::query_as("SELECT version, COALESCE(identity, 0) FROM key_ring WHERE id = 1").fetch_one(c).await)?;
    Ok(RingId { version, identity })
}

/// Returns the version of the current master key.
pub async fn master_version(conn: &mut Conn) -> Result<Option<i64>> {
    let row: (Option<i64>,) = on!(conn, c => sqlx::query_as("SELECT master_version FROM key_ring WHERE id = 1").fetch_one(c).await)?;
    Ok(row.0)
}

/// Loads the ring and all keys.
pub async fn load(conn: &mut Conn) -> Result<StoredRing> {
    type RingRow = (i64, Option<i64>, Option<i64>, i64, i64);
    let row: RingRow = on!(conn, c => sqlx::query_as("SELECT version, master_version, rotate_after, verifier_cache, COALESCE(identity, 0) FROM key_ring WHERE id = 1").fetch_one(c).await)?;
    let (version, master_version, rotate_after, verifier_cache, identity) = row;
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(
        "SELECT kid, algorithm, state, public_jwk, private_jwe, published_at, activated_at, retired_at, ended_at, reason, max_ttl, thumbprint
           FROM signing_keys ORDER BY published_at, kid")
        .fetch_all(c).await)?;
    let keys = rows.into_iter().map(Stored::of);
    let keys: Vec<Option<Stored>> = keys.collect::<Result<_>>()?;
    let unknown = keys.iter().filter(|key| key.is_none()).count();
    let bounds = |rotate_after: Option<i64>, verifier_cache| Bounds {
        rotate_after: rotate_after.map(Timestamp),
        verifier_cache: duration(verifier_cache),
    };
    let slots: Vec<(String, Option<i64>, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT algorithm, rotate_after, verifier_cache FROM key_slots").fetch_all(c).await)?;
    let others = slots
        .into_iter()
        .filter_map(|(name, after, cache)| Some((name.parse().ok()?, bounds(after, cache))));
    let own = (Algorithm::EdDsa, bounds(rotate_after, verifier_cache));
    Ok(StoredRing {
        id: RingId { version, identity },
        master_version,
        bounds: others.chain([own]).collect(),
        keys: keys.into_iter().flatten().collect(),
        unknown,
    })
}

/// Advances the ring from the state `seen` to the next version, with the random number `identity`.
/// Returns `false` if another change was first.
pub async fn advance(conn: &mut Conn, seen: RingId, identity: i64) -> Result<bool> {
    let changed = on!(conn, c => sqlx::query(
        "UPDATE key_ring SET version = version + 1, identity = $3 WHERE id = 1 AND version = $1 AND COALESCE(identity, 0) = $2")
        .bind(seen.version).bind(seen.identity).bind(identity).execute(c).await.map(|done| done.rows_affected()))?;
    if changed == 1 {
        crate::store::engine::listener::announce(conn).await?;
    }
    Ok(changed == 1)
}

/// Inserts a key; `Conflict` if its kid was ever used, or if the same key was ever here.
pub async fn insert(conn: &mut Conn, stored: &Stored) -> Result<()> {
    let k = &stored.key;
    on!(conn, c => sqlx::query(
        "INSERT INTO signing_keys (kid, algorithm, state, public_jwk, private_jwe, published_at, activated_at, retired_at, ended_at, reason, max_ttl, thumbprint)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, NULL, $9, $10)")
        .bind(k.kid.as_str()).bind(k.algorithm.as_str()).bind(k.state.as_str()).bind(stored.public_jwk.as_str()).bind(stored.private_jwe.as_deref().unwrap_or(NO_PRIVATE_HALF))
        .bind(k.published_at.0).bind(k.activated_at.map(|t| t.0)).bind(k.retired_at.map(|t| t.0)).bind(millis(k.max_ttl))
        .bind(Some(stored.thumbprint.as_str()).filter(|thumbprint| *thumbprint != k.kid))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Makes a standby key the active one.
pub async fn activate(conn: &mut Conn, kid: &str, max_ttl: Duration, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE signing_keys SET state = 'active', activated_at = $1, max_ttl = CASE WHEN max_ttl < $2 THEN $2 ELSE max_ttl END WHERE kid = $3")
        .bind(now.0).bind(millis(max_ttl)).bind(kid).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Retires an active key, or a standby key that is replaced.
pub async fn retire(conn: &mut Conn, kid: &str, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE signing_keys SET state = 'retired', retired_at = $1 WHERE kid = $2").bind(now.0).bind(kid).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Turns a key into a tombstone without its private part.
pub async fn tombstone(
    conn: &mut Conn,
    kid: &str,
    state: State,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE signing_keys SET state = $1, private_jwe = NULL, ended_at = $2, reason = $3 WHERE kid = $4")
        .bind(state.as_str()).bind(now.0).bind(reason).bind(kid).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Raises the longest lifetime of the tokens of one key, which decides how long it stays published.
pub async fn extend(conn: &mut Conn, kid: &str, longest_ttl: Duration) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE signing_keys SET max_ttl = $1 WHERE kid = $2 AND max_ttl < $1")
        .bind(millis(longest_ttl)).bind(kid).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Replaces the sealed private key.
pub async fn reseal(conn: &mut Conn, kid: &str, private_jwe: &str) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE signing_keys SET private_jwe = $1 WHERE kid = $2").bind(private_jwe).bind(kid).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Sets when the second rotation after an emergency of an algorithm is due.
pub async fn set_rotate_after(
    conn: &mut Conn,
    algorithm: Algorithm,
    at: Option<Timestamp>,
) -> Result<()> {
    let at = at.map(|t| t.0);
    if algorithm == Algorithm::EdDsa {
        on!(conn, c => sqlx::query("UPDATE key_ring SET rotate_after = $1 WHERE id = 1").bind(at).execute(c).await.map(|_| ()))?;
    } else {
        on!(conn, c => sqlx::query("INSERT INTO key_slots (algorithm, rotate_after, verifier_cache) VALUES ($1, $2, 0) ON CONFLICT (algorithm) DO UPDATE SET rotate_after = excluded.rotate_after")
            .bind(algorithm.as_str()).bind(at).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}

/// Raises the longest access token lifetime of the active keys of an algorithm; it never falls.
pub async fn raise_lifetime(
    conn: &mut Conn,
    algorithm: Algorithm,
    access_ttl: Duration,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE signing_keys SET max_ttl = $1 WHERE state = 'active' AND max_ttl < $1 AND algorithm = $2")
        .bind(millis(access_ttl)).bind(algorithm.as_str()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Raises the largest verifier cache of an algorithm; it never falls.
pub async fn raise_cache(
    conn: &mut Conn,
    algorithm: Algorithm,
    verifier_cache: Duration,
) -> Result<()> {
    let cache = millis(verifier_cache);
    if algorithm == Algorithm::EdDsa {
        on!(conn, c => sqlx::query("UPDATE key_ring SET verifier_cache = $1 WHERE id = 1 AND verifier_cache < $1")
            .bind(cache).execute(c).await.map(|_| ()))?;
    } else {
        on!(conn, c => sqlx::query("INSERT INTO key_slots (algorithm, rotate_after, verifier_cache) VALUES ($1, NULL, $2) ON CONFLICT (algorithm) DO UPDATE SET verifier_cache = excluded.verifier_cache WHERE key_slots.verifier_cache < excluded.verifier_cache")
            .bind(algorithm.as_str()).bind(cache).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}
