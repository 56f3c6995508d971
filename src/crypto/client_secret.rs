//! The client secret of Sign in with Apple: a JWT that this service signs with the key that Apple gave
//! (ES256), made anew for each exchange.

use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::encode_into;
use super::import::Stated;
use super::jws::compact;
use super::keypair::{InvalidKey, Keypair, SigningPair};
use crate::model::kernel::time::Timestamp;
use crate::model::key::algorithm::Algorithm;

/// How long a client secret is good. Apple allows up to six months.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// Who signs client secrets. It has no `Debug`.
pub struct ClientSecretSigner {
    pair: SigningPair,
    /// The first part of every secret, encoded, with its full stop.
    header: String,
    team_id: String,
}

impl ClientSecretSigner {
    /// Reads the private key: PEM, on P-256.
    ///
    /// # Errors
    /// See [`InvalidKey`].
    pub fn new(pem: &str, key_id: &str, team_id: &str) -> Result<Self, InvalidKey> {
        let stated = Stated {
            algorithm: Some(Algorithm::Es256),
            kid: None,
        };
        let pair = Keypair::import(pem, &stated)?;
        let mut header = String::new();
        let json = json!({ "alg": "ES256", "kid": key_id });
        encode_into(&mut header, json.to_string().as_bytes());
        header.push('.');
        Ok(Self {
            pair: pair.signing_pair(),
            header,
            team_id: team_id.to_owned(),
        })
    }

    /// Makes the secret of a client for an issuer. `None` if the library fails.
    pub fn sign(&self, client_id: &str, issuer: &str, now: Timestamp) -> Option<Zeroizing<String>> {
        let claims = json!({
            "iss": self.team_id,
            "sub": client_id,
            "aud": issuer,
            "iat": now.seconds(),
            "exp": (now + LIFETIME).seconds(),
        });
        compact(&self.pair, &self.header, claims.to_string().as_bytes()).map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use der::pem::{LineEnding, encode_string};
    use serde_json::Value;

    use super::*;
    use crate::crypto::{decode, encode};

    #[test]
    fn a_client_secret_is_signed_for_the_issuer_and_good_for_an_hour() {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pem = encode_string("PRIVATE KEY", LineEnding::LF, pair.as_ref()).unwrap();
        let signer = ClientSecretSigner::new(&pem, "KEY1", "TEAM1").unwrap();
        let at = Timestamp(1_800_000_000_500);
        let secret = signer.sign("com.example.web", "https://appleid.apple.com", at);
        let secret = secret.unwrap();
        let (message, signature) = secret.rsplit_once('.').unwrap();
        let public = Keypair::import(&pem, &Stated::default()).unwrap();
        let public = public.public();
        let signature = decode(signature).unwrap();
        assert!(public.verify(message.as_bytes(), &signature));
        assert!(!public.verify(format!("{message}x").as_bytes(), &signature));
        let (header, claims) = message.split_once('.').unwrap();
        let read = |part: &str| serde_json::from_slice::<Value>(&decode(part).unwrap()).unwrap();
        assert_eq!(read(header), json!({ "alg": "ES256", "kid": "KEY1" }));
        assert_eq!(
            read(claims),
            json!({
                "iss": "TEAM1",
                "sub": "com.example.web",
                "aud": "https://appleid.apple.com",
                "iat": 1_800_000_000,
                "exp": 1_800_003_600,
            })
        );
    }

    #[test]
    fn only_a_key_on_p_256_signs_client_secrets() {
        let seed = [7; 32];
        // PKCS #8 of an Ed25519 key (RFC 8410).
        let prefix = decode("MC4CAQAwBQYDK2VwBCIEIA").unwrap();
        let der = [&prefix[..], &seed].concat();
        let ed25519 = encode_string("PRIVATE KEY", LineEnding::LF, &der).unwrap();
        for bad in [ed25519, "x".into(), String::new(), encode(&seed)] {
            assert!(ClientSecretSigner::new(&bad, "KEY1", "TEAM1").is_err());
        }
    }
}
