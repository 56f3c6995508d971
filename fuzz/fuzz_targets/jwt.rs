//! Access tokens: as they come, with any claims under a good signature, and with any header too: the
//! first line of the input is the header then, the rest the claims.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::crypto::jws::{Expected, Verifier};
use countersign::crypto::keypair::Keypair;
use countersign::model::token::claims::Audience;
use countersign::model::token::target::TokenType;
use countersign_fuzz::twins;
use ed25519_dalek::{Signer, SigningKey};
use libfuzzer_sys::fuzz_target;

const SEED: [u8; 32] = [7; 32];
const ISSUER: &str = "https://auth.example.com";

static VERIFIER: LazyLock<(String, Verifier)> = LazyLock::new(|| {
    let pair = Keypair::from_seed(&SEED).expect("a key");
    let expected = Expected {
        issuer: ISSUER.into(),
        audience: Audience::One(ISSUER.into()),
        typ: TokenType::AtJwt,
    };
    let keys = std::iter::once((pair.kid(), pair.public()));
    let verifier = Verifier::new(keys, expected);
    (pair.kid().to_owned(), verifier)
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

/// The header that the service writes.
fn own_header() -> String {
    format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#, VERIFIER.0)
}

/// Claims that are accepted. In the header that goes with them `$KID` is the id of the key.
const CLAIMS: &str = r#"{"iss":"https://auth.example.com","sub":"u","aud":"https://auth.example.com","iat":1,"exp":9999999999,"client_id":"c","jti":"j","sid":"s","auth_time":1,"email":"a@example.com","email_verified":true,"name":"A","role":"user","roles":["user"],"permissions":[]}"#;

fuzz_target!(init: check_twins(), |data: &[u8]| {
    let verifier = &VERIFIER.1;
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(verifier.verify(text).is_err(), "a signature was guessed");
    }
    if let Ok(claims) = verifier.verify(&sign(own_header().as_bytes(), data)) {
        assert_eq!(claims.iss, ISSUER);
    }
    let (header, claims) = twins::first_line(data);
    let header = String::from_utf8_lossy(header).replace("$KID", &VERIFIER.0);
    if verifier.verify(&sign(header.as_bytes(), claims)).is_ok() {
        // JSON in another order or with other blanks is the same header; nothing may be added. The
        // name of a media type has no case (RFC 7515 section 4.1.9).
        let mut header: serde_json::Value = serde_json::from_str(&header).expect("JSON");
        let typ = header["typ"].as_str().expect("a type").to_ascii_lowercase();
        header["typ"] = typ.into();
        let own: serde_json::Value = serde_json::from_str(&own_header()).expect("JSON");
        assert_eq!(header, own);
    }
});

fn check_twins() {
    let verifier = &VERIFIER.1;
    let token = sign(own_header().as_bytes(), CLAIMS.as_bytes());
    let accepted = verifier.verify(&token);
    assert!(accepted.is_ok(), "{accepted:?}");
    twins::keep(CLAIMS.as_bytes());
    let header = own_header().replace(&VERIFIER.0, "$KID");
    twins::keep(format!("{header}\n{CLAIMS}").as_bytes());
}
