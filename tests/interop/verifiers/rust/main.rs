//! A verifier with the crate jsonwebtoken, for EdDSA:
//!
//! ```text
//! verifier JWKS_URL ISSUER AUDIENCE
//! ```
//!
//! The crate fetches nothing: the set is fetched once, and again when a token names an unknown kid. It
//! reads tokens from standard input, one a line, and prints a line for each: `taken SUB` or
//! `refused ERROR`.
#![expect(
    clippy::print_stdout,
    reason = "the lines are the answers of this program"
)]

use std::io::BufRead;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

/// The last set that was fetched.
struct Keys {
    url: String,
    set: JwkSet,
}

impl Keys {
    fn key(&mut self, kid: &str) -> Result<DecodingKey, String> {
        if self.set.find(kid).is_none() {
            self.set = fetch(&self.url).map_err(|_| "FetchError".to_owned())?;
        }
        let jwk = self.set.find(kid).ok_or("UnknownKid")?;
        DecodingKey::from_jwk(jwk).map_err(name)
    }
}

fn fetch(url: &str) -> Result<JwkSet, Box<dyn std::error::Error>> {
    let answer = reqwest::blocking::get(url)?.error_for_status()?;
    Ok(serde_json::from_slice(&answer.bytes()?)?)
}

fn name(error: jsonwebtoken::errors::Error) -> String {
    let kind = format!("{:?}", error.into_kind());
    // What a variant holds is in brackets behind its name.
    kind.split('(').next().unwrap_or_default().to_owned()
}

fn verify(keys: &mut Keys, validation: &Validation, token: &str) -> Result<String, String> {
    let kid = decode_header(token).map_err(name)?.kid.ok_or("NoKid")?;
    let token = decode::<serde_json::Value>(token, &keys.key(&kid)?, validation).map_err(name)?;
    Ok(token.claims["sub"].as_str().ok_or("NoSub")?.to_owned())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, issuer, audience] = &arguments[..] else {
        return Err("verifier JWKS_URL ISSUER AUDIENCE".into());
    };
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let mut keys = Keys {
        url: url.clone(),
        set: JwkSet { keys: vec![] },
    };
    for line in std::io::stdin().lock().lines() {
        match verify(&mut keys, &validation, line?.trim()) {
            Ok(sub) => println!("taken {sub}"),
            Err(error) => println!("refused {error}"),
        }
    }
    Ok(())
}
