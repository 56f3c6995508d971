//! Two uses of tokens that this service made: `GET /token` mints an access token for a session
//! cookie, `keys verify` explains an access token.

use std::sync::Arc;

use crate::app::App;
use crate::config::MintFromSession;
use crate::crypto;
use crate::crypto::public_key::PublicKey;
use crate::model::audit::event::Requester;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Delivery;
use crate::model::token::claims::AccessClaims;
use crate::model::token::target::Target;
use crate::store::{self, work};

use crate::flows::authenticated::Authenticated;
use crate::flows::limit::rate_limit;
use crate::flows::session::refresh;
use crate::flows::session::refresh_token;
use crate::flows::session::refresh_token::Purpose;
use crate::flows::token::issue_token;
use crate::flows::token::issue_token::{Issued, TokenContext};
use crate::flows::{Error, Result};

/// Mints an access token. Once a session has refreshed, its cookie alone is not sufficient: the
/// refresh token is required, too.
pub async fn mint(
    app: &App,
    who: &Authenticated,
    refresh_token: Option<&str>,
    target: &Target,
    requester: &Requester,
) -> Result<Issued> {
    let vouched = match app.config.tokens.mint_from_session {
        MintFromSession::Always => true,
        MintFromSession::UntilRefresh => who.generation == 1,
        MintFromSession::Never => false,
    };
    let issued = if vouched {
        let ends_at = who.ends_at();
        let grounds = TokenContext {
            session: who.session.id,
            proofs: who.session.proofs,
            auth_time: who.session.auth_time,
            ends_at,
            ring_id: who.ring_id,
        };
        issue_token::issue(app, &who.user, &who.powers, &grounds, target).await?
    } else {
        let token = refresh_token.ok_or(Error::RefreshTokenMissing)?;
        let (opened, _) = refresh_token::open(app, token).await?;
        if opened.session() != who.session.id {
            return Err(Error::RefreshTokenInvalid);
        }
        let channel = Delivery::Cookie;
        refresh::refresh(app, token, channel, Purpose::Vouch, target, requester)
            .await?
            .access
    };
    // Last, so that a limit does not hide a stolen refresh token.
    rate_limit::mint(app, who.session.id)?;
    Ok(issued)
}

/// The findings of `keys verify`.
#[derive(Debug, Clone)]
pub struct Report {
    /// The kid in the token's header.
    pub kid: Option<String>,
    /// The state of that key, if it ever existed here.
    pub key_state: Option<&'static str>,
    /// The claims, if the token can be parsed.
    pub claims: Option<serde_json::Value>,
    /// The audience of the settings whose tokens are like this one: its name, or `default`.
    pub audience: Option<String>,
    /// Why the token is not valid; empty if it is.
    pub problems: Vec<String>,
}

/// Explains a token: its key, its claims, and whether it is valid or why not. Every key that ever
/// existed here is tried, so that a refusal can be explained.
pub async fn explain(app: &App, token: &str) -> Result<Report> {
    let mut report = Report {
        kid: None,
        key_state: None,
        claims: None,
        audience: None,
        problems: vec![],
    };
    let parts: Vec<&str> = token.trim().split('.').collect();
    let json = |part: &str| {
        crypto::decode(part)
            .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
    };
    let [header, payload, signature] = parts[..] else {
        report
            .problems
            .push("a token has three parts, header.payload.signature".into());
        return Ok(report);
    };
    let header_json = json(header);
    let member = |name: &str| {
        header_json
            .as_ref()
            .and_then(|h| h.get(name))
            .and_then(|v| v.as_str())
            .map(ToOwned::to_owned)
    };
    report.claims = json(payload);
    report.kid = member("kid");
    let is_plain = header_json.as_ref().and_then(|h| h.as_object());
    if is_plain.is_some_and(|h| {
        h.keys()
            .any(|name| !["alg", "typ", "kid"].contains(&&**name))
    }) {
        report
            .problems
            .push("the header has members that are never written here".into());
    }
    let target = find_target(app, report.claims.as_ref());
    report.audience = target.as_ref().map(|target| target.name.label().to_owned());
    let target = target.unwrap_or_else(|| Arc::clone(app.config.tokens.targets.default()));
    let is_type = |typ: String| {
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == target.typ.as_str().to_ascii_lowercase()
    };
    if !member("typ").is_some_and(is_type) {
        report.problems.push(format!(
            "typ is {}, expected {}",
            member("typ").unwrap_or_else(|| "missing".into()),
            target.typ.as_str()
        ));
    }
    let signed = Signed {
        algorithm: member("alg"),
        message: format!("{header}.{payload}"),
        signature: crypto::decode(signature),
    };
    check_signature(app, &mut report, &signed, &target).await?;
    check_claims(app, &mut report, &target);
    Ok(report)
}

/// Returns the audience of the settings that the claims name.
fn find_target(app: &App, claims: Option<&serde_json::Value>) -> Option<Arc<Target>> {
    let claims: AccessClaims = serde_json::from_value(claims?.clone()).ok()?;
    let names = |target: &&Arc<Target>| {
        let audiences = target.audience.all();
        audiences.iter().any(|one| claims.aud.contains(one))
    };
    app.config.tokens.targets.all().find(names).cloned()
}

/// What a token says about its signature.
struct Signed {
    algorithm: Option<String>,
    message: String,
    signature: Option<Vec<u8>>,
}

async fn check_signature(
    app: &App,
    report: &mut Report,
    signed: &Signed,
    target: &Target,
) -> Result<()> {
    let Some(kid) = report.kid.clone() else {
        report
            .problems
            .push("the header does not name a key (kid)".into());
        return Ok(());
    };
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let Some(key) = stored.keys.iter().find(|k| k.key.kid == kid) else {
        report
            .problems
            .push(format!("there was never a key with the kid {kid}"));
        return Ok(());
    };
    report.key_state = Some(key.key.state.as_str());
    if !key.key.state.is_published() {
        report
            .problems
            .push(format!("the key {kid} is {}", key.key.state.as_str()));
    }
    let algorithm = key.key.algorithm;
    if signed.algorithm.as_deref() != Some(algorithm.as_str()) {
        report.problems.push(format!(
            "alg is {}, and the key {kid} signs {algorithm} only",
            signed.algorithm.as_deref().unwrap_or("missing")
        ));
    }
    if target.algorithm != algorithm {
        report.problems.push(format!(
            "tokens of its audience are signed with {}, and the key {kid} is one of {algorithm}",
            target.algorithm
        ));
    }
    let public = PublicKey::stored(&key.public_jwk, algorithm, &key.thumbprint);
    let signature = signed.signature.as_ref();
    let good = public
        .zip(signature)
        .is_some_and(|(public, signature)| public.verify(signed.message.as_bytes(), signature));
    if !good {
        report.problems.push(
            "the signature does not match: the token was changed, or another key signed it".into(),
        );
    }
    Ok(())
}

fn check_claims(app: &App, report: &mut Report, target: &Target) {
    let claims = report
        .claims
        .clone()
        .and_then(|c| serde_json::from_value::<AccessClaims>(c).ok());
    let Some(claims) = claims else {
        report
            .problems
            .push("the claims are not those of an access token".into());
        return;
    };
    let now = app.now();
    if claims.iss != target.issuer.as_str() {
        report
            .problems
            .push(format!("iss is {}, ours is {}", claims.iss, target.issuer));
    }
    if report.audience.is_none() {
        report
            .problems
            .push("aud is not an audience of this service".into());
    }
    let expires = Timestamp(
        i64::try_from(claims.exp)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000),
    );
    if expires <= now {
        report.problems.push(format!("expired at {expires}"));
    }
}
