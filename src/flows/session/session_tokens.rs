//! Two uses of tokens that this service made: `GET /token` mints an access token for a session
//! cookie, `keys verify` explains an access token.

use crate::app::App;
use crate::config::MintFromSession;
use crate::crypto::{self, jwk, keypair};
use crate::model::audit::event::Requester;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Delivery;
use crate::model::token::claims::AccessClaims;
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
            auth_time: who.session.auth_time,
            ends_at,
            ring_id: who.ring_id,
        };
        issue_token::issue(app, &who.user, &who.powers, &grounds).await?
    } else {
        let token = refresh_token.ok_or(Error::RefreshTokenMissing)?;
        let (opened, _) = refresh_token::open(app, token).await?;
        if opened.session() != who.session.id {
            return Err(Error::RefreshTokenInvalid);
        }
        refresh::refresh(app, token, Delivery::Cookie, Purpose::Vouch, requester)
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
    if member("alg").as_deref() != Some("EdDSA") {
        report.problems.push(format!(
            "alg is {}, only EdDSA is ever issued",
            member("alg").unwrap_or_else(|| "missing".into())
        ));
    }
    if member("typ").is_none_or(|t| !t.eq_ignore_ascii_case(&app.config.tokens.typ)) {
        report.problems.push(format!(
            "typ is {}, expected {}",
            member("typ").unwrap_or_else(|| "missing".into()),
            app.config.tokens.typ
        ));
    }
    check_signature(app, &mut report, &format!("{header}.{payload}"), signature).await?;
    check_claims(app, &mut report);
    Ok(report)
}

async fn check_signature(
    app: &App,
    report: &mut Report,
    message: &str,
    signature: &str,
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
    let public = jwk::public_key(&key.public_jwk, &kid);
    let signature = crypto::decode(signature);
    let good = public.zip(signature).is_some_and(|(public, signature)| {
        keypair::verify_strict(&public, message.as_bytes(), &signature)
    });
    if !good {
        report.problems.push(
            "the signature does not match: the token was changed, or another key signed it".into(),
        );
    }
    Ok(())
}

fn check_claims(app: &App, report: &mut Report) {
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
    if claims.iss != app.config.tokens.issuer.as_str() {
        report.problems.push(format!(
            "iss is {}, ours is {}",
            claims.iss, app.config.tokens.issuer
        ));
    }
    if !app
        .config
        .tokens
        .audience
        .all()
        .iter()
        .any(|a| claims.aud.contains(a))
    {
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
