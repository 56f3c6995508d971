//! Secrets at rest: a compact JWE, `dir` + `A256GCM`, `kid` = the id of the master key (RFC 7516).
//! The algorithms are fixed here and never taken from the text. With `row` in the header a secret
//! opens only in the row that it was sealed for.

use josekit::jwe::{self, JweHeader, alg::direct::DirectJweAlgorithm};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The header of a sealed secret, before it is opened.
pub(super) struct Header(Map<String, Value>);

impl Header {
    /// Reads the header; `None` if it is not one that [`seal`] writes.
    pub(super) fn read(jwe: &str) -> Option<Self> {
        let header = super::decode(jwe.split('.').next()?)?;
        let Value::Object(members) = serde_json::from_slice(&header).ok()? else {
            return None;
        };
        let header = Self(members);
        let has_row = usize::from(header.row().is_some());
        let is_ours = header.member("alg") == Some("dir")
            && header.member("enc") == Some("A256GCM")
            && header.member("kid").is_some()
            && header.0.len() == 3 + has_row;
        is_ours.then_some(header)
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns the id of the master key that it was sealed under.
    pub(super) fn sealed_under(&self) -> &str {
        self.member("kid").unwrap_or_default()
    }

    /// Returns the row that it was sealed for, if it is bound to one.
    pub(super) fn row(&self) -> Option<&str> {
        self.member("row")
    }
}

/// Seals a secret under a key that was derived from the master key `master`, bound to a row if
/// there is one.
pub(super) fn seal(plain: &[u8], key: [u8; 32], master: &str, row: Option<&str>) -> String {
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    header.set_key_id(master);
    if let Some(row) = row {
        header
            .set_claim("row", Some(row.into()))
            .expect("a text is a member");
    }
    let encrypter = DirectJweAlgorithm::Dir
        .encrypter_from_bytes(key)
        .expect("32 bytes are a key");
    jwe::serialize_compact(plain, &header, &encrypter).expect("sealing cannot fail with a good key")
}

/// Opens what [`seal`] sealed; `None` if it was damaged, or sealed under another key.
pub(super) fn open(jwe: &str, key: [u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
    let decrypter = DirectJweAlgorithm::Dir
        .decrypter_from_bytes(key)
        .expect("32 bytes are a key");
    let (plain, _) = jwe::deserialize_compact(jwe, &decrypter).ok()?;
    Some(Zeroizing::new(plain))
}
