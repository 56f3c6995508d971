//! Issues access tokens: claims from the session and the user, signature by the active key.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::crypto::jws::Signer;
use crate::crypto::key_ring::KeyRing;
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::key::ring_id::RingId;
use crate::model::login::proof::Proofs;
use crate::model::login::strength::level;
use crate::model::token::claims::{AccessClaims, Actor};
use crate::model::token::target::{ClaimSet, InvalidTarget, Requested, Target};
use crate::random;
use crate::store::{self, work};

use crate::flows::confirm_clock;
use crate::flows::key::inspect_keys;
use crate::flows::key::load_keys;
use crate::flows::{Error, Result};

/// A signed access token.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The token as compact JWS.
    pub token: String,
    /// `exp` − now, in seconds.
    pub expires_in: u64,
}

/// What a token is issued for.
#[derive(Debug, Clone, Copy)]
pub struct TokenContext {
    /// The id of the session, `sid`.
    pub session: SessionId,
    /// What was proven for the session.
    pub proofs: Proofs,
    /// When the user last proved anything.
    pub auth_time: Timestamp,
    /// The idle or absolute end of the session, whichever is earlier; no token outlives it.
    pub ends_at: Timestamp,
    /// The state of the key ring that the database has just returned.
    pub ring_id: RingId,
}

/// Finds the backend that a request asks for, before anything of the request is used up.
///
/// # Errors
/// [`Error::InvalidTarget`] if there is none; [`Error::KeysNotReady`] while its first key is not
/// known to every verifier.
pub fn target(app: &App, requested: &Requested) -> Result<Arc<Target>> {
    let found = app.config.tokens.targets.find(requested);
    let target = found.map_err(|InvalidTarget| {
        app.metrics.tokens.target_refused();
        Error::InvalidTarget
    })?;
    admit(app, &*inspect_keys::loaded(app)?, &target)?;
    Ok(target)
}

/// Refuses what would end in a token for the default audience while its first key is not known to
/// every verifier; before anything is written.
///
/// # Errors
/// [`Error::KeysNotReady`] until then.
pub fn admit_default(app: &App, ring: &KeyRing) -> Result<()> {
    admit(app, ring, app.config.tokens.targets.default()).map(|_| ())
}

/// Returns what signs for a backend.
fn admit<'r>(app: &App, ring: &'r KeyRing, target: &Target) -> Result<&'r Signer> {
    ring.signer(target.algorithm).ok_or_else(|| {
        let opens = ring
            .slots
            .opens_at(target.algorithm, &app.config.keys.policies);
        // The job of the keys looks once a minute.
        let wait = opens.map_or(Duration::ZERO, |at| at.since(app.now()));
        Error::KeysNotReady(wait + Duration::from_secs(60))
    })
}

/// Signs a token that allows no more than the powers of its session.
pub async fn issue(
    app: &App,
    user: &User,
    powers: &Powers,
    grounds: &TokenContext,
    target: &Target,
) -> Result<Issued> {
    confirm_clock::admit_issuing(app)?;
    let ring = current_ring(app, grounds.ring_id).await?;
    let signer = admit(app, &ring, target)?;
    let now = app.now();
    let exp = now.seconds() + lifetime(app, target, now, grounds.ends_at);
    let claims = claims(app, user, powers, grounds, target, now, exp);
    let begun = app.uptime();
    let token = signer
        .sign(&claims, target.typ)
        .ok_or_else(|| Error::Unavailable("signing failed".into()))?;
    let signing = app.uptime().saturating_sub(begun);
    app.metrics
        .tokens
        .issued(target.name.label(), target.algorithm, signing);
    Ok(Issued {
        token,
        expires_in: unsigned(exp - now.seconds()),
    })
}

/// Returns the user at this version, from the short-lived cache or the database.
pub async fn user_facts(app: &App, id: UserId, version: i64) -> Result<Arc<User>> {
    let uptime = app.uptime();
    if let Some(user) = app.users.get(id, version, uptime) {
        return Ok(user);
    }
    let found = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?;
    // The user was deleted between two statements, and the session as well.
    let user = Arc::new(found.ok_or(Error::RefreshTokenRevoked)?.user);
    app.users.put(&user, uptime);
    Ok(user)
}

/// Returns the current ring: a process that learns from the result of a statement that the database
/// has another ring reloads before it signs, whichever of the two has the higher version.
async fn current_ring(app: &App, told: RingId) -> Result<Arc<KeyRing>> {
    let loaded = || inspect_keys::loaded(app);
    let ring = loaded()?;
    if ring.id == told {
        return Ok(ring);
    }
    load_keys::follow(app, Some(told)).await?;
    loaded()
}

/// Returns the lifetime in whole seconds, shortened at random so that tabs do not refresh at the
/// same time, and never past the session's end.
fn lifetime(app: &App, target: &Target, now: Timestamp, ends_at: Timestamp) -> i64 {
    let t = &app.config.tokens;
    let shortened = target.access_ttl.as_secs_f64()
        * (1.0 - t.access_ttl_jitter * random::fraction(&*app.random));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an access token lives for an hour at most"
    )]
    let seconds = shortened.ceil() as i64;
    seconds.min(ends_at.seconds() - now.seconds()).max(1)
}

fn claims(
    app: &App,
    user: &User,
    powers: &Powers,
    grounds: &TokenContext,
    target: &Target,
    now: Timestamp,
    exp: i64,
) -> AccessClaims {
    let t = &app.config.tokens;
    let is_full = target.claims == ClaimSet::Full;
    AccessClaims {
        iss: target.issuer.as_str().to_owned(),
        sub: user.id.to_string(),
        aud: target.audience.clone(),
        client_id: t.client_id.clone(),
        iat: unsigned((now - t.iat_backdate).seconds()),
        exp: unsigned(exp),
        jti: EventId::at(now, random::bytes(&*app.random)).to_string(),
        sid: grounds.session.to_string(),
        auth_time: unsigned(grounds.auth_time.seconds()),
        acr: level(&grounds.proofs, app.config.policies.general()).map(|level| level.acr().into()),
        amr: grounds.proofs.amr().into_iter().map(Into::into).collect(),
        email: is_full.then(|| user.email.to_string()),
        email_verified: is_full.then_some(user.email_verified),
        name: is_full.then(|| user.name.clone()),
        role: powers.roles().join(","),
        permissions: powers.granted().map(ToOwned::to_owned).collect(),
        act: powers.actor().map(|actor| Actor {
            sub: actor.user().to_string(),
        }),
        roles: powers.roles().to_vec(),
        custom: t
            .claims
            .iter()
            .filter(|_| is_full)
            .filter_map(|(name, source)| Some((name.clone(), source.of(user)?)))
            .collect(),
    }
}

fn unsigned(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}
