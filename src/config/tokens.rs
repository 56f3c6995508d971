//! `[tokens]`: issuer, default audience, algorithm, lifetimes and claims of access tokens.

use std::time::Duration;

use url::Url;

use crate::config::units::{HOUR, MINUTE};
use crate::model::kernel::naming;
use crate::model::kernel::web_url::Issuer;
use crate::model::token::claims;
use crate::model::token::claims::{Audience, RESERVED};
use crate::model::token::target::{ClaimSet, Target, TargetName, Targets};

use super::audiences::{Audiences, Base};
use super::reader::Reader;
use super::token_values::{ALGORITHMS, TYPES, parse_issuer};
use super::{MintFromSession, Tokens};

/// Reads `[tokens]` and `[[audiences]]`.
pub(super) fn tokens(
    r: &mut Reader,
    public_url: &Url,
    allow_insecure: bool,
) -> (Tokens, Audiences) {
    let own = Issuer::of(public_url);
    let issuer = r.parsed("tokens.issuer", own.as_str(), |text| {
        parse_issuer(text, allow_insecure).map(|(issuer, _)| issuer)
    });
    let issuer = issuer.unwrap_or(own);
    let mut audiences = r.list("tokens.audience", naming::token);
    let audience = match audiences.len() {
        0 => Audience::One(issuer.as_str().to_owned()),
        1 => Audience::One(audiences.remove(0)),
        _ => Audience::Many(audiences),
    };
    r.became_if("tokens.audience", "", issuer.as_str(), "it is the issuer");
    let jitter = r.parsed("tokens.access_ttl_jitter", "0.1", |t| {
        t.parse::<f64>()
            .ok()
            .filter(|j| (0.0..=0.5).contains(j))
            .ok_or_else(|| format!("{t:?} is not a share from 0 to 0.5"))
    });
    // The client that tokens of this audience are for if the request names none.
    let client = r
        .parsed("tokens.client_id", "", client_id)
        .unwrap_or_default();
    let client = Some(client)
        .filter(|client| !client.is_empty())
        .or_else(|| audience.all().first().cloned());
    let client = client.unwrap_or_default();
    r.became_if("tokens.client_id", "", &client, "it is the first audience");
    let access_ttl = r.duration("tokens.access_ttl", "15m", MINUTE..=HOUR);
    let default = Target {
        name: TargetName::Default,
        audience: audience.clone(),
        algorithm: r.choice("tokens.algorithm", &ALGORITHMS),
        typ: r.choice("tokens.typ", &TYPES),
        access_ttl,
        claims: ClaimSet::Full,
        issuer: issuer.clone(),
    };
    let base = Base {
        default: &default,
        public_url,
        allow_insecure,
    };
    let audiences = Audiences::read(r, &base);
    let tokens = Tokens {
        issuer,
        audience,
        client_id: client,
        targets: Targets::new(default, audiences.targets()),
        access_ttl,
        access_ttl_jitter: jitter.unwrap_or_default(),
        iat_backdate: r.duration("tokens.iat_backdate", "5s", Duration::ZERO..=MINUTE),
        mint_from_session: r.choice(
            "tokens.mint_from_session",
            &[
                ("until_refresh", MintFromSession::UntilRefresh),
                ("always", MintFromSession::Always),
                ("never", MintFromSession::Never),
            ],
        ),
        claims: custom_claims(r),
    };
    (tokens, audiences)
}

/// Checks that a text has only visible ASCII characters and spaces (RFC 6749 appendix A.1).
pub(super) fn client_id(text: &str) -> Result<String, String> {
    let good = text.len() <= 255 && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    if good {
        Ok(text.to_owned())
    } else {
        Err("write up to 255 visible ASCII characters (RFC 6749 appendix A.1)".into())
    }
}

pub(super) fn custom_claims(r: &mut Reader) -> Vec<(String, claims::ClaimSource)> {
    let names = r.names_under("tokens.claims", naming::claim);
    let mut found = Vec::new();
    for name in names {
        let key = format!("tokens.claims.{name}");
        let parse = |text: &str| {
            if RESERVED.contains(&name.as_str()) {
                Err("this claim's meaning is registered; choose another name".to_owned())
            } else {
                text.parse()
                    .map_err(|e: claims::InvalidSource| e.to_string())
            }
        };
        found.extend(
            r.parsed(&key, "", parse)
                .map(|source| (name.clone(), source)),
        );
    }
    found
}
