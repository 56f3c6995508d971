//! Signed values in the Better Auth form: `value.base64(HMAC-SHA256(key, value))` (contract section
//! 3.1). Each purpose has a key of its own, so that a value that was signed for one purpose is
//! never accepted for another, whatever it holds. The cookie library does the percent-encoding. The
//! signature saves database look-ups for garbage; the session token inside is a secret of its own.

pub use super::cookie_purpose::Purpose;
use super::master_key::{MasterKey, MasterKeys};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

/// Signs a value for this purpose under the current master key.
pub fn sign(purpose: Purpose, value: &str, masters: &MasterKeys) -> String {
    format!(
        "{value}.{}",
        signature(purpose, value, &masters.current().key)
    )
}

/// Returns the value if any loaded master key signed it for this purpose.
pub fn open<'v>(purpose: Purpose, signed: &'v str, masters: &MasterKeys) -> Option<&'v str> {
    let (value, signature) = signed.rsplit_once('.')?;
    let signature = STANDARD.decode(signature).ok()?;
    let mut keys = masters.iter();
    keys.any(|m| {
        m.key
            .cookie_mac(purpose)
            .chain_update(value)
            .verify_slice(&signature)
            .is_ok()
    })
    .then_some(value)
}

fn signature(purpose: Purpose, value: &str, master: &MasterKey) -> String {
    STANDARD.encode(
        master
            .cookie_mac(purpose)
            .chain_update(value)
            .finalize()
            .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::master_key::Versioned;
    use super::*;

    fn masters() -> MasterKeys {
        let versioned = |version: u8, byte: u8| Versioned {
            version,
            key: Arc::new(MasterKey::new([byte; 32])),
        };
        MasterKeys::new(versioned(2, 2), vec![versioned(1, 1)])
    }

    /// Values in the form of every purpose, and other values.
    const VALUES: [&str; 7] = [
        "hAD1-x_",
        "eyJvZiI6IiJ9",
        "true",
        "hAD1-x_:true",
        "device:0190:0:id:1",
        "form:0190",
        "",
    ];

    #[test]
    fn a_value_signed_for_one_purpose_is_refused_for_every_other() {
        let masters = masters();
        let old = MasterKeys::new(masters.version(1).unwrap().clone(), Vec::new());
        for signed_for in Purpose::ALL {
            for value in VALUES {
                // Under the current and the previous master key.
                for signed in [
                    sign(signed_for, value, &masters),
                    sign(signed_for, value, &old),
                ] {
                    for opened_for in Purpose::ALL {
                        let expected = (signed_for == opened_for).then_some(value);
                        assert_eq!(
                            open(opened_for, &signed, &masters),
                            expected,
                            "{value:?} signed for {signed_for:?}, opened for {opened_for:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn all_purposes_have_different_labels_and_sessions_keep_theirs() {
        let labels: std::collections::BTreeSet<_> =
            Purpose::ALL.into_iter().map(Purpose::label).collect();
        assert_eq!(labels.len(), Purpose::ALL.len());
        for (at, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, at, "the index of a purpose finds its key");
        }
        // Signed by a release in which all purposes shared one label.
        assert_eq!(Purpose::Session.label(), b"countersign/cookie/v1");
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_signature_is_refused() {
        let signed = sign(Purpose::Session, "value", &masters());
        let (value, text) = signed.rsplit_once('.').unwrap();
        let signature = STANDARD.decode(text).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{value}.{}", STANDARD.encode(flipped));
            assert_eq!(open(Purpose::Session, &forged, &masters()), None, "{bit}");
        }
        let short = format!("{value}.{}", STANDARD.encode(&signature[..31]));
        assert_eq!(open(Purpose::Session, &short, &masters()), None);
        assert_eq!(open(Purpose::Session, &signed, &masters()), Some("value"));
    }
}
