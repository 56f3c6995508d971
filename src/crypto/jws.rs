//! Access tokens as JWS: signed and read through jsonwebtoken, whose own clock is never asked (the
//! caller compares the times). A header member that we do not write ourselves is refused, so key
//! material in a header (`jwk`, `jku`, `x5c`, …) is never looked at.

use std::collections::HashMap;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;

use crate::model::token::claims::{AccessClaims, Audience, RESERVED};

use super::decode;
use super::keypair::Keypair;

/// Longest access token that is looked at.
const MAX_LENGTH: usize = 8 * 1024;

/// A private key ready to sign; built once a key, not once a token.
pub struct Signer {
    header: Header,
    key: EncodingKey,
}

impl Signer {
    /// Signs as `kid` with the configured `typ`.
    pub fn new(pair: &Keypair, typ: &str) -> Self {
        let header = Header {
            typ: Some(typ.to_owned()),
            kid: Some(pair.kid().to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        Self {
            header,
            key: EncodingKey::from_ed_der(&pair.to_pkcs8_v1()),
        }
    }

    /// The key's name.
    pub fn kid(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }

    /// The signed token; `None` if the library fails, which a self-test at load rules out.
    pub fn sign(&self, claims: &AccessClaims) -> Option<String> {
        jsonwebtoken::encode(&self.header, claims, &self.key).ok()
    }
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Rejected {
    #[error("not a compact JWS of ours")]
    Malformed,
    #[error("signed by a key that is not published")]
    UnknownKey,
    #[error("the signature does not match")]
    BadSignature,
    #[error(
        "for another issuer or audience, or a claim is missing, of the wrong type or none of ours"
    )]
    BadClaims,
}

/// Public keys by kid, and what a token must say.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
    typ: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurHeader {
    alg: String,
    typ: String,
    kid: String,
}

impl Verifier {
    /// Accepts tokens of these keys, this issuer and any of these audiences.
    pub fn new(
        keys: impl Iterator<Item = (String, [u8; 32])>,
        issuer: &str,
        audience: &Audience,
        typ: &str,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_issuer(&[issuer]);
        validation.set_audience(audience.all());
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let keys = keys
            .map(|(kid, public)| (kid, DecodingKey::from_ed_der(&public)))
            .collect();
        Self {
            keys,
            validation,
            typ: typ.to_owned(),
        }
    }

    /// Everything but the times, which the caller compares.
    pub fn verify(&self, token: &str) -> Result<AccessClaims, Rejected> {
        let header = self.header(token).ok_or(Rejected::Malformed)?;
        let key = self.keys.get(&header.kid).ok_or(Rejected::UnknownKey)?;
        match jsonwebtoken::decode::<AccessClaims>(token, key, &self.validation) {
            // A registered claim that we never write, such as `nbf`, would mean something that
            // nobody here looks at.
            Ok(data)
                if RESERVED
                    .iter()
                    .any(|name| data.claims.custom.contains_key(*name)) =>
            {
                Err(Rejected::BadClaims)
            }
            Ok(data) => Ok(data.claims),
            Err(e) if matches!(e.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature) => {
                Err(Rejected::BadSignature)
            }
            Err(_) => Err(Rejected::BadClaims),
        }
    }

    fn header(&self, token: &str) -> Option<OurHeader> {
        let is_compact = token.len() <= MAX_LENGTH
            && token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let mut parts = token.split('.');
        let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if !is_compact
            || parts.next().is_some()
            || decode(payload).is_none()
            || decode(signature)?.len() != 64
        {
            return None;
        }
        let header: OurHeader = serde_json::from_slice(&decode(header)?).ok()?;
        let typ = header.typ.to_ascii_lowercase();
        let is_ours = header.alg == "EdDSA"
            && typ.strip_prefix("application/").unwrap_or(&typ) == self.typ.to_ascii_lowercase();
        is_ours.then_some(header)
    }
}
