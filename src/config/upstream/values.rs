//! The values of `[upstream.ID]` that have a form of their own: issuers, tenants, names, scopes and
//! the key of Apple.

use der::SecretDocument;
use uuid::Uuid;

use crate::model::kernel::loopback::LOOPBACK;
use crate::model::kernel::web_url::Issuer;

/// Reads where an issuer is: an https URL without user, query and fragment. It is http on loopback
/// alone, and only where `allow_private` is set.
pub(super) fn home(text: &str, allow_private: bool) -> Result<String, String> {
    let (issuer, url) = Issuer::parse(text)
        .map_err(|message| format!("{message}; write it such as https://id.example.com"))?;
    let is_near = url.host_str().is_some_and(|host| LOOPBACK.contains(&host));
    match url.scheme() {
        "https" => Ok(issuer.as_str().to_owned()),
        _ if is_near && allow_private => Ok(issuer.as_str().to_owned()),
        _ => Err("sign-ins would be sent unencrypted; write https://… (http is for an issuer on this machine, with allow_private = true)".into()),
    }
}

/// Reads a tenant of Microsoft: its id, or one of the three words for several.
pub(super) fn tenant(text: &str) -> Result<String, String> {
    let is_word = ["common", "organizations", "consumers"].contains(&text);
    if is_word {
        Ok(text.to_owned())
    } else if is_tenant_id(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!(
            "{text:?} is no tenant; write its id such as 8eaef023-2b34-4da1-9baa-8bc8c9d6a490, or organizations, consumers or common"
        ))
    }
}

/// Returns whether a text is the id of one tenant: a UUID with hyphens.
pub(super) fn is_tenant_id(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// Reads a client id, or another id that the provider has given: printable ASCII without spaces and
/// quotes.
pub(super) fn id(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"'\\<>,;".contains(c);
    if (1..=255).contains(&text.len()) && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("write the id as the provider shows it: 1 to 255 characters without spaces, commas and quotes".into())
    }
}

/// Reads one scope (RFC 6749 section 3.3).
pub(super) fn scope(text: &str) -> Result<String, String> {
    let is_token = |c: char| c.is_ascii_graphic() && !"\"\\".contains(c);
    if (1..=255).contains(&text.len()) && text.chars().all(is_token) {
        Ok(text.to_owned())
    } else {
        Err("write each scope by itself, without spaces and quotes, such as email".into())
    }
}

/// Reads the login of an organisation at GitHub.
pub(super) fn organization(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if (1..=100).contains(&text.len()) && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("write the name of the organisation as in the URL of its page, such as acme".into())
    }
}

/// Reads the name on buttons.
pub(super) fn name(text: &str) -> Result<String, String> {
    if text.chars().count() <= 64 {
        Ok(text.to_owned())
    } else {
        Err("write a name of at most 64 characters, such as Acme".into())
    }
}

/// Checks that a text is a private key on P-256 in PEM as Apple gives it (PKCS #8). Only the form is
/// checked here; `crypto` reads the key when the program is built.
pub(super) fn p256_key(pem: &str) -> Result<(), String> {
    /// `AlgorithmIdentifier` of an elliptic curve key on P-256 (RFC 5480), in DER.
    const P256: &[u8] = &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let is_good = SecretDocument::from_pem(pem).is_ok_and(|(label, der)| {
        // The outer header has at most four bytes, the version three.
        let start = der.as_bytes().get(..32).unwrap_or_default();
        label == "PRIVATE KEY" && start.windows(P256.len()).any(|part| part == P256)
    });
    if is_good {
        Ok(())
    } else {
        Err("the file holds no private key on P-256 in PEM (PKCS #8); write the path of the file that Apple gave, such as AuthKey_ABC123DEFG.p8".into())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair,
    };
    use der::pem::{self, LineEnding};

    use super::*;

    #[test]
    fn an_issuer_is_https_and_http_only_on_loopback_for_one_s_own_net() {
        for (text, allow_private, good) in [
            ("https://id.example.com", false, true),
            ("https://id.example.com/", false, true),
            ("https://id.example.com/realms/a", true, true),
            ("http://127.0.0.1:9000", true, true),
            ("http://localhost:9000", true, true),
            ("http://127.0.0.1:9000", false, false),
            ("http://id.example.com", true, false),
            ("http://10.0.0.1", true, false),
            ("https://user@id.example.com", false, false),
            ("https://id.example.com?x", false, false),
            ("id.example.com", false, false),
            ("", false, false),
        ] {
            let read = home(text, allow_private);
            assert_eq!(read.is_ok(), good, "{text} {allow_private}: {read:?}");
            if let Ok(read) = read {
                assert_eq!(read, text, "byte for byte");
            }
        }
    }

    #[test]
    fn a_tenant_is_an_id_or_one_of_three_words() {
        for good in [
            "common",
            "organizations",
            "consumers",
            "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
            "8EAEF023-2b34-4da1-9baa-8bc8c9d6a490",
        ] {
            assert_eq!(tenant(good).unwrap(), good.to_ascii_lowercase());
        }
        for bad in [
            "",
            "Common",
            "corp.example",
            "8eaef0232b344da19baa8bc8c9d6a490",
            "{8eaef023-2b34-4da1-9baa-8bc8c9d6a490}",
        ] {
            assert!(tenant(bad).unwrap_err().contains("such as"), "{bad}");
        }
    }

    #[test]
    fn only_a_key_on_p_256_in_pkcs_8_is_a_key_of_apple() {
        let pem = |der: &[u8]| pem::encode_string("PRIVATE KEY", LineEnding::LF, der).unwrap();
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random);
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let (p256, p384) = (pem(p256.unwrap().as_ref()), pem(p384.unwrap().as_ref()));
        let ed25519 = pem(ed25519.as_ref());
        assert_eq!(p256_key(&p256), Ok(()));
        let other_label = p256.replace("PRIVATE", "PUBLIC");
        for bad in ["", "x", &ed25519, &p384, &other_label, &p256[..100]] {
            assert!(p256_key(bad).is_err(), "{bad}");
        }
    }
}
