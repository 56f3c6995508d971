//! The signature of webhook messages (Standard Webhooks, `v1`): HMAC-SHA256 of the message's id,
//! time and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::audit::webhook::SECRET_PREFIX;
use crate::random::{self, Random};

/// Returns the value of the header `webhook-signature`: a signature by each secret, separated by
/// spaces. `None` if a secret is not a valid key.
pub fn sign_by_all<'s>(
    secrets: impl IntoIterator<Item = &'s str>,
    id: &str,
    seconds: i64,
    body: &str,
) -> Option<String> {
    let signatures: Option<Vec<String>> = secrets
        .into_iter()
        .map(|secret| sign(secret, id, seconds, body))
        .collect();
    Some(signatures?.join(" "))
}

/// Returns a new secret of 32 random bytes, as the setting `webhooks.secret` takes it.
pub fn new_secret(random: &dyn Random) -> Zeroizing<String> {
    let key = Zeroizing::new(random::bytes::<32>(random));
    Zeroizing::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(*key)))
}

/// Returns the signature `v1,…`; `None` if the secret is not a valid key.
pub fn sign(secret: &str, id: &str, seconds: i64, body: &str) -> Option<String> {
    let key = Zeroizing::new(STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id, ".", &seconds.to_string(), ".", body] {
        mac.update(part.as_bytes());
    }
    Some(format!(
        "v1,{}",
        STANDARD.encode(mac.finalize().into_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_says() {
        let signed = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signed.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
        assert_eq!(sign("another", "x", 0, ""), None);
    }

    #[test]
    fn a_new_secret_signs_beside_the_former_one() {
        let random = random::SeededRandom::new(1);
        let (new, former) = (new_secret(&random), new_secret(&random));
        assert_ne!(new, former);
        let both = sign_by_all([new.as_str(), former.as_str()], "id", 7, "{}").unwrap();
        let one = |secret| sign(secret, "id", 7, "{}").unwrap();
        assert_eq!(both, format!("{} {}", one(&new), one(&former)));
        assert_eq!(sign_by_all([new.as_str(), "another"], "id", 7, "{}"), None);
    }
}
