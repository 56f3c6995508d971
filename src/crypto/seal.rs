//! Private keys at rest: a private JWK inside a compact JWE, `dir` + `A256GCM`, `kid` = the master
//! key's id (RFC 7516). The algorithm is fixed here and never taken from the text; a sealed key
//! opens only in the row of its own kid.

use josekit::jwe::{self, JweHeader, alg::direct::DirectJweAlgorithm};
use zeroize::Zeroizing;

use super::keypair::Keypair;
use super::master_key::MasterKey;

/// The reason why a sealed key could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Error {
    #[error(
        "the signing key {kid} was sealed under the master key {sealed_under}, which is not loaded"
    )]
    OtherMasterKey { kid: String, sealed_under: String },
    #[error("the signing key {0} cannot be decrypted: its row was damaged or changed")]
    Damaged(String),
}

/// Seals a key pair under a master key.
pub fn seal(pair: &Keypair, master: &MasterKey) -> String {
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    header.set_key_id(master.id());
    let encrypter = DirectJweAlgorithm::Dir
        .encrypter_from_bytes(master.seal)
        .expect("32 bytes are a key");
    jwe::serialize_compact(pair.private_jwk().as_bytes(), &header, &encrypter)
        .expect("sealing cannot fail with a good key")
}

/// Opens the pair of the row `kid` under one of the loaded master keys.
pub fn open<'k>(
    jwe: &str,
    kid: &str,
    masters: impl Iterator<Item = &'k MasterKey>,
) -> Result<Keypair, Error> {
    let damaged = || Error::Damaged(kid.to_owned());
    let header = jwe
        .split('.')
        .next()
        .and_then(super::decode)
        .ok_or_else(damaged)?;
    let header: serde_json::Value = serde_json::from_slice(&header).map_err(|_| damaged())?;
    let member = |name: &str| header.get(name).and_then(serde_json::Value::as_str);
    let sealed_under = member("kid").ok_or_else(damaged)?.to_owned();
    if member("alg") != Some("dir")
        || member("enc") != Some("A256GCM")
        || header.as_object().is_none_or(|h| h.len() != 3)
    {
        return Err(damaged());
    }
    let mut masters = masters;
    let master = masters
        .find(|m| m.id() == sealed_under)
        .ok_or(Error::OtherMasterKey {
            kid: kid.to_owned(),
            sealed_under,
        })?;
    let decrypter = DirectJweAlgorithm::Dir
        .decrypter_from_bytes(master.seal)
        .expect("32 bytes are a key");
    let (plain, _) = jwe::deserialize_compact(jwe, &decrypter).map_err(|_| damaged())?;
    let plain = Zeroizing::new(String::from_utf8(plain).map_err(|_| damaged())?);
    let pair = Keypair::import(&plain).map_err(|_| damaged())?;
    // A JWE that was copied from another row can be decrypted, but its key has another kid.
    if pair.kid() == kid {
        Ok(pair)
    } else {
        Err(damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_in_its_own_row_under_its_own_master_key() {
        let (a, b) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let (one, two) = (
            Keypair::from_seed(&[3; 32]).unwrap(),
            Keypair::from_seed(&[4; 32]).unwrap(),
        );
        let sealed = seal(&one, &a);
        assert_eq!(
            open(&sealed, one.kid(), [&b, &a].into_iter())
                .unwrap()
                .kid(),
            one.kid()
        );
        assert!(matches!(
            open(&sealed, one.kid(), [&b].into_iter()),
            Err(Error::OtherMasterKey { .. })
        ));
        assert_eq!(
            open(&sealed, two.kid(), [&a].into_iter()).err(),
            Some(Error::Damaged(two.kid().into())),
            "pasted into another row"
        );
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(
                open(
                    std::str::from_utf8(&bytes).unwrap(),
                    one.kid(),
                    [&a].into_iter()
                )
                .is_err(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn only_the_one_algorithm_with_the_one_encryption_and_no_other_member_opens() {
        let (pair, master) = (
            Keypair::from_seed(&[3; 32]).unwrap(),
            MasterKey::new([1; 32]),
        );
        let sealed = |encryption: &str, extra: Option<&str>| {
            let mut header = JweHeader::new();
            header.set_content_encryption(encryption);
            header.set_key_id(master.id());
            if let Some(content) = extra {
                header.set_content_type(content);
            }
            let encrypter = DirectJweAlgorithm::Dir
                .encrypter_from_bytes(master.seal)
                .unwrap();
            jwe::serialize_compact(pair.private_jwk().as_bytes(), &header, &encrypter).unwrap()
        };
        let opened = |jwe: &str| open(jwe, pair.kid(), [&master].into_iter()).is_ok();
        assert!(opened(&sealed("A256GCM", None)));
        assert!(
            !opened(&sealed("A128CBC-HS256", None)),
            "it takes 32 bytes too"
        );
        assert!(!opened(&sealed("A256GCM", Some("jwk+json"))));
    }
}
