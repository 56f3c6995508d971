//! Access tokens: as they come, and with any header and any claims under a good signature.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::crypto::jws::Verifier;
use countersign::crypto::keypair::Keypair;
use countersign::model::token::claims::Audience;
use ed25519_dalek::{Signer, SigningKey};
use libfuzzer_sys::fuzz_target;

const SEED: [u8; 32] = [7; 32];
const ISSUER: &str = "https://auth.example.com";

static VERIFIER: LazyLock<(String, Verifier)> = LazyLock::new(|| {
    let pair = Keypair::from_seed(&SEED).expect("a key");
    let keys = [(pair.kid().to_owned(), pair.public())];
    (
        pair.kid().to_owned(),
        Verifier::new(
            keys.into_iter(),
            ISSUER,
            &Audience::One(ISSUER.into()),
            "at+jwt",
        ),
    )
});

fn sign(header: &[u8], claims: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = SigningKey::from_bytes(&SEED).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fuzz_target!(|data: &[u8]| {
    let (kid, verifier) = &*VERIFIER;
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(
            verifier.verify(text).is_err(),
            "a signature cannot be guessed"
        );
    }
    let ours = format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#);
    if let Ok(claims) = verifier.verify(&sign(ours.as_bytes(), data)) {
        assert_eq!(claims.iss, ISSUER);
    }
    let (header, claims) = data.split_at(data.len() / 2);
    drop(verifier.verify(&sign(header, claims)));
});
