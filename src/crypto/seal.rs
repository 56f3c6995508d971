//! Private keys at rest: a private JWK inside the JWE of `sealed`. A sealed key opens only in its
//! own row: the row's kid, thumbprint and algorithm must be those of the key.

use super::import::Stated;
use super::keypair::Keypair;
use super::master_key::MasterKey;
use super::sealed::{self, Header};
use crate::model::key::algorithm::Algorithm;

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
    #[error("the signing key {0} cannot be written as a JWK")]
    Unwritable(String),
}

/// What the row of a sealed key says about it in the clear.
#[derive(Debug, Clone, Copy)]
pub struct Row<'r> {
    /// The id of the key.
    pub kid: &'r str,
    /// The RFC 7638 thumbprint of its public JWK.
    pub thumbprint: &'r str,
    /// The algorithm that it signs by.
    pub algorithm: Algorithm,
}

/// Seals a key pair under a master key.
///
/// # Errors
/// [`Error::Unwritable`] if the library does not give the private key out.
pub fn seal(pair: &Keypair, master: &MasterKey) -> Result<String, Error> {
    let plain = pair
        .private_jwk()
        .ok_or_else(|| Error::Unwritable(pair.kid().to_owned()))?;
    Ok(sealed::seal(
        plain.as_bytes(),
        master.seal,
        master.id(),
        None,
    ))
}

/// Opens the pair of a row under one of the loaded master keys.
///
/// # Errors
/// [`Error::OtherMasterKey`], or [`Error::Damaged`] if it is not the sealed key of this row.
pub fn open<'k>(
    jwe: &str,
    row: Row<'_>,
    masters: impl Iterator<Item = &'k MasterKey>,
) -> Result<Keypair, Error> {
    let damaged = || Error::Damaged(row.kid.to_owned());
    let header = Header::read(jwe).ok_or_else(damaged)?;
    if header.row().is_some() {
        return Err(damaged());
    }
    let sealed_under = header.sealed_under();
    let mut masters = masters;
    let master = masters
        .find(|m| m.id() == sealed_under)
        .ok_or_else(|| Error::OtherMasterKey {
            kid: row.kid.to_owned(),
            sealed_under: sealed_under.to_owned(),
        })?;
    let plain = sealed::open(jwe, master.seal).ok_or_else(damaged)?;
    let plain = std::str::from_utf8(&plain).map_err(|_| damaged())?;
    let pair = Keypair::import(plain, &Stated::default()).map_err(|_| damaged())?;
    // A JWE that was copied from another row can be decrypted, but its key is another one. A key
    // with a kid of its own or with another algorithm than EdDSA says so in the sealed JWK.
    let is_of_row = pair.kid() == row.kid
        && pair.thumbprint() == row.thumbprint
        && pair.algorithm() == row.algorithm;
    if is_of_row { Ok(pair) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use josekit::jwe::{self, JweHeader, alg::direct::DirectJweAlgorithm};

    use super::*;
    use crate::model::key::algorithm::RsaSize;
    use crate::random::SeededRandom;

    fn row(pair: &Keypair) -> Row<'_> {
        Row {
            kid: pair.kid(),
            thumbprint: pair.thumbprint(),
            algorithm: pair.algorithm(),
        }
    }

    fn opens(sealed: &str, row: Row<'_>, masters: &[&MasterKey]) -> Result<Keypair, Error> {
        open(sealed, row, masters.iter().copied())
    }

    #[test]
    fn opens_only_in_its_own_row_under_its_own_master_key() {
        let (a, b) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let (one, two) = (
            Keypair::from_seed(&[3; 32]).unwrap(),
            Keypair::from_seed(&[4; 32]).unwrap(),
        );
        let sealed = seal(&one, &a).unwrap();
        assert_eq!(
            opens(&sealed, row(&one), &[&b, &a]).unwrap().kid(),
            one.kid()
        );
        assert!(matches!(
            opens(&sealed, row(&one), &[&b]),
            Err(Error::OtherMasterKey { .. })
        ));
        assert_eq!(
            opens(&sealed, row(&two), &[&a]).err(),
            Some(Error::Damaged(two.kid().into())),
            "pasted into another row"
        );
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(opens(&changed, row(&one), &[&a]).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_key_of_every_algorithm_opens_again_and_only_as_what_it_was() {
        let master = MasterKey::new([1; 32]);
        let random = SeededRandom::new(7);
        for algorithm in Algorithm::ALL {
            let own = Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap();
            let text = own.private_jwk().unwrap();
            let stated = Stated {
                kid: Some("from-elsewhere".into()),
                algorithm: Some(algorithm),
            };
            let imported = Keypair::import(&text, &stated).unwrap();
            for pair in [own, imported] {
                let sealed = seal(&pair, &master).unwrap();
                let opened = opens(&sealed, row(&pair), &[&master]).unwrap();
                assert_eq!(opened.kid(), pair.kid());
                assert_eq!(opened.public(), pair.public());
                // Each fact of the row is checked by itself.
                for other in Algorithm::ALL.into_iter().filter(|o| *o != algorithm) {
                    let changed = Row {
                        algorithm: other,
                        ..row(&pair)
                    };
                    assert!(opens(&sealed, changed, &[&master]).is_err(), "{other}");
                }
                let changed = Row {
                    kid: "another",
                    ..row(&pair)
                };
                assert!(opens(&sealed, changed, &[&master]).is_err(), "{algorithm}");
                let changed = Row {
                    thumbprint: "another",
                    ..row(&pair)
                };
                assert!(opens(&sealed, changed, &[&master]).is_err(), "{algorithm}");
            }
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
            let plain = pair.private_jwk().unwrap();
            jwe::serialize_compact(plain.as_bytes(), &header, &encrypter).unwrap()
        };
        let is_opened = |jwe: &str| opens(jwe, row(&pair), &[&master]).is_ok();
        assert!(is_opened(&sealed("A256GCM", None)));
        assert!(
            !is_opened(&sealed("A128CBC-HS256", None)),
            "it takes 32 bytes too"
        );
        assert!(!is_opened(&sealed("A256GCM", Some("jwk+json"))));
    }
}
