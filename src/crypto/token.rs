//! Opaque tokens: refresh tokens (`csr_…`) and session tokens (`css_…`). Owns their format and the
//! derivation of one token from another. `model::session::refresh::decide` decides whether a token
//! is still valid.
//!
//! A refresh token is 101 bytes: key version (1), session id (16), generation (4, big endian),
//! secret (32), parent's secret (32), tag (16). The tag is checked first, in constant time and
//! without the database, so garbage costs a microsecond and only a token that was issued can ever
//! count as reuse. The successor is computed instead of drawn at random: the same parent always
//! gets the same successor.

use std::fmt;

use hmac::Mac;
use zeroize::Zeroizing;

use crate::model::kernel::id::SessionId;
use crate::model::session::refresh::{Child, Presented, SuccessorHashes};

use super::master_key::{MasterKey, MasterKeys};
use super::{decode, encode, sha256};

const PREFIX: &str = "csr_";
const LENGTH: usize = 101;
const TAGGED: usize = 85;
/// The prefix by which secret scanners find leaked session tokens.
const SESSION_PREFIX: &str = "css_";

/// A refresh token whose tag was valid. Its `Debug` output is `RefreshToken(…)`.
#[derive(Clone)]
pub struct RefreshToken {
    version: u8,
    session: SessionId,
    generation: u32,
    secret: Zeroizing<[u8; 32]>,
    parent: Zeroizing<[u8; 32]>,
}

/// The reason why a text is not a refresh token of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidToken {
    /// It is malformed or forged, or its master key is not loaded any more.
    Unrecognised,
    /// It names a newer master key than any that is loaded.
    NewerKey(u8),
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

impl RefreshToken {
    /// Makes the first token of a session from 32 random bytes.
    pub fn first(session: SessionId, secret: [u8; 32], masters: &MasterKeys) -> Self {
        let version = masters.current().version;
        Self {
            version,
            session,
            generation: 1,
            secret: Zeroizing::new(secret),
            parent: Zeroizing::new([0; 32]),
        }
    }

    /// Parses a token and checks its tag, without the database.
    pub fn open(text: &str, masters: &MasterKeys) -> Result<Self, InvalidToken> {
        let bytes = text
            .strip_prefix(PREFIX)
            .filter(|t| t.len() == LENGTH.div_ceil(3) * 4 - 1)
            .and_then(decode)
            .map(Zeroizing::new);
        let bytes = bytes
            .filter(|b| b.len() == LENGTH)
            .ok_or(InvalidToken::Unrecognised)?;
        let version = bytes[0];
        let Some(master) = masters.version(version) else {
            return Err(if version > masters.current().version {
                InvalidToken::NewerKey(version)
            } else {
                InvalidToken::Unrecognised
            });
        };
        let (body, tag) = bytes.split_at(TAGGED);
        master
            .key
            .tag_mac()
            .chain_update(body)
            .verify_truncated_left(tag)
            .map_err(|_| InvalidToken::Unrecognised)?;
        let session = SessionId(uuid::Uuid::from_bytes(take(body, 1)));
        let generation = u32::from_be_bytes(take(body, 17));
        Ok(Self {
            version,
            session,
            generation,
            secret: Zeroizing::new(take(body, 21)),
            parent: Zeroizing::new(take(body, 53)),
        })
    }

    /// Encodes the token as text, with the tag and version of the current master key.
    pub fn encode(&self, masters: &MasterKeys) -> Zeroizing<String> {
        let current = masters.current();
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(current.version);
        bytes.extend_from_slice(self.session.as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&*self.secret);
        bytes.extend_from_slice(&*self.parent);
        let tag = current
            .key
            .tag_mac()
            .chain_update(&*bytes)
            .finalize()
            .into_bytes();
        bytes.extend_from_slice(&tag[..LENGTH - TAGGED]);
        Zeroizing::new(format!("{PREFIX}{}", &*Zeroizing::new(encode(&bytes))))
    }

    /// Returns the session whose family it belongs to.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Returns its number in the family, counted from 1.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the hash that is stored.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&*self.secret)
    }

    /// Returns the input of `decide`. The successor is computed under every loaded master key, the
    /// token's own first.
    pub fn presented(&self, masters: &MasterKeys) -> Presented {
        let successors = self.makers(masters).map(|m| SuccessorHashes {
            successor: sha256(&*self.child_secret(m, false)),
            late_successor: sha256(&*self.child_secret(m, true)),
        });
        Presented {
            generation: self.generation,
            hash: self.hash(),
            parent_hash: sha256(&*self.parent),
            descends_from_parent: self.has_lineage(masters),
            successors: successors.collect(),
        }
    }

    /// Returns the child that `decide` chose.
    pub fn child(&self, child: Child, masters: &MasterKeys) -> Option<Self> {
        let maker = self.makers(masters).nth(child.key)?;
        let generation = self.generation.checked_add(1)?;
        let secret = self.child_secret(maker, child.late);
        Some(Self {
            version: masters.current().version,
            session: self.session,
            generation,
            secret,
            parent: self.secret.clone(),
        })
    }

    /// Returns the regular successor, under the master key that made this token.
    pub fn successor(&self, masters: &MasterKeys) -> Option<Self> {
        self.child(
            Child {
                key: 0,
                late: false,
            },
            masters,
        )
    }

    fn makers<'m>(&self, masters: &'m MasterKeys) -> impl Iterator<Item = &'m MasterKey> {
        let own = self.version;
        let (first, rest): (Vec<_>, Vec<_>) = masters.iter().partition(|m| m.version == own);
        first.into_iter().chain(rest).map(|m| &*m.key)
    }

    fn child_secret(&self, maker: &MasterKey, late: bool) -> Zeroizing<[u8; 32]> {
        derive(
            maker,
            late,
            self.session,
            self.generation.wrapping_add(1),
            &self.secret,
        )
    }

    fn has_lineage(&self, masters: &MasterKeys) -> bool {
        let born = |m: &MasterKey, late| {
            *derive(m, late, self.session, self.generation, &self.parent) == *self.secret
        };
        self.generation > 1
            && masters
                .iter()
                .any(|m| born(&m.key, false) || born(&m.key, true))
    }
}

/// Computes `HMAC(K, session id ‖ generation ‖ parent's secret)`.
fn derive(
    maker: &MasterKey,
    late: bool,
    session: SessionId,
    generation: u32,
    parent: &[u8; 32],
) -> Zeroizing<[u8; 32]> {
    let mac = if late {
        maker.late_mac()
    } else {
        maker.next_mac()
    };
    let mac = mac
        .chain_update(session.as_bytes())
        .chain_update(generation.to_be_bytes())
        .chain_update(parent);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn take<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    bytes[from..from + N]
        .try_into()
        .expect("the length was checked")
}

/// A session token: the credential in the session cookie, and `token` in answers to sign-ins.
#[derive(Clone)]
pub struct SessionToken(Zeroizing<String>);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

impl SessionToken {
    /// Makes a token from 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Zeroizing::new(format!(
            "{SESSION_PREFIX}{}",
            encode(secret)
        )))
    }

    /// Parses a token; only its form is checked.
    pub fn parse(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(SESSION_PREFIX)?;
        (secret.len() == 43 && decode(secret).is_some())
            .then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// Returns the token as text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the hash that is stored.
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::master_key::Versioned;
    use std::sync::Arc;

    fn masters(current: u8, others: &[u8]) -> MasterKeys {
        let versioned = |v: u8| Versioned {
            version: v,
            key: Arc::new(MasterKey::new([v; 32])),
        };
        MasterKeys::new(
            versioned(current),
            others.iter().map(|v| versioned(*v)).collect(),
        )
    }

    fn first() -> RefreshToken {
        RefreshToken::first(
            SessionId(uuid::Uuid::from_bytes([7; 16])),
            [8; 32],
            &masters(1, &[]),
        )
    }

    #[test]
    fn is_139_characters_and_reads_back() {
        let keys = masters(1, &[]);
        let text = first().encode(&keys);
        assert_eq!(text.len(), 139);
        let read = RefreshToken::open(&text, &keys).unwrap();
        assert_eq!(
            (read.session(), read.generation(), read.hash()),
            (first().session(), 1, sha256(&[8; 32]))
        );
        assert_eq!(format!("{read:?}"), "RefreshToken(…)");
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        let keys = masters(1, &[]);
        let text = first().encode(&keys);
        let bytes = decode(&text[4..]).unwrap();
        for bit in 0..LENGTH * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                RefreshToken::open(&format!("{PREFIX}{}", encode(&flipped)), &keys).is_err(),
                "bit {bit}"
            );
        }
        for text in [
            text.to_uppercase(),
            format!("{}=", *text),
            format!(" {}", *text),
            text[..138].to_owned(),
            text[4..].to_owned(),
            String::new(),
        ] {
            assert_eq!(
                RefreshToken::open(&text, &keys).err(),
                Some(InvalidToken::Unrecognised),
                "{text}"
            );
        }
    }

    #[test]
    fn the_successor_is_computed_and_proves_its_lineage() {
        let keys = masters(1, &[]);
        let second = first().successor(&keys).unwrap();
        assert_eq!(
            *second.encode(&keys),
            *first().successor(&keys).unwrap().encode(&keys)
        );
        let presented = second.presented(&keys);
        assert!(presented.descends_from_parent);
        assert_eq!(presented.parent_hash, first().hash());
        assert_eq!(
            first().presented(&keys).successors[0].successor,
            second.hash()
        );
        assert!(!first().presented(&keys).descends_from_parent);
    }

    #[test]
    fn a_new_master_key_still_knows_the_children_of_the_old() {
        let (old, both, new) = (masters(1, &[]), masters(2, &[1]), masters(2, &[]));
        let text = first().encode(&old);
        let read = RefreshToken::open(&text, &both).unwrap();
        let successor = read.successor(&both).unwrap();
        assert_eq!(
            successor.hash(),
            first().successor(&old).unwrap().hash(),
            "the parent's key makes the child"
        );
        assert!(
            successor.encode(&both).starts_with("csr_Ag"),
            "tagged by the new key"
        );
        assert!(RefreshToken::open(&successor.encode(&both), &new).is_ok());
        assert_eq!(
            RefreshToken::open(&text, &new).err(),
            Some(InvalidToken::Unrecognised),
            "the old key is gone"
        );
        assert_eq!(
            RefreshToken::open(&successor.encode(&both), &old).err(),
            Some(InvalidToken::NewerKey(2))
        );
        // The same secret under both version bytes: each finds the successor of the other.
        let (as_old, as_new) = (
            RefreshToken::open(&text, &both).unwrap(),
            RefreshToken::open(&read.encode(&both), &both).unwrap(),
        );
        let made_by_new = as_new.successor(&both).unwrap().hash();
        assert!(
            as_old
                .presented(&both)
                .successors
                .iter()
                .any(|k| k.successor == made_by_new)
        );
    }

    /// Tokens that clients hold were made so: computed with Python's `hmac` and `hashlib`.
    #[test]
    fn children_are_those_that_earlier_releases_made() {
        let keys = masters(1, &[]);
        let child = |late| first().child(Child { key: 0, late }, &keys).unwrap();
        for (late, hash) in [
            (
                false,
                "9dc5ccd9c93f08c6ffe643d0d780953b640ff84b8a0e42be1ab18b528607ff0a",
            ),
            (
                true,
                "a08c5667b44f384e11cf1e95684c8467ed769cdfe5d8e3ead8836392d902f677",
            ),
        ] {
            assert_eq!(hex::encode(child(late).hash()), hash);
            assert_eq!(child(late).generation(), 2);
            assert!(child(late).presented(&keys).descends_from_parent);
        }
        let last = RefreshToken {
            generation: u32::MAX,
            ..first()
        };
        assert!(last.successor(&keys).is_none());
    }

    #[test]
    fn only_a_child_of_a_loaded_master_key_descends_from_its_parent() {
        let keys = masters(1, &[]);
        let descends = |token: &RefreshToken| token.presented(&keys).descends_from_parent;
        let second = first().successor(&keys).unwrap();
        assert!(descends(&second));
        for forged in [
            RefreshToken {
                secret: Zeroizing::new([9; 32]),
                ..second.clone()
            },
            RefreshToken {
                parent: Zeroizing::new([9; 32]),
                ..second.clone()
            },
            RefreshToken {
                generation: 3,
                ..second.clone()
            },
            first().successor(&masters(2, &[])).unwrap(),
        ] {
            assert!(!descends(&forged));
        }
        // A first token has no parent, whatever its secret is.
        let master = &masters(1, &[]).current().key.clone();
        let orphan = first();
        let secret = derive(master, false, orphan.session, 1, &orphan.parent);
        assert!(!descends(&RefreshToken { secret, ..orphan }));
    }

    #[test]
    fn a_session_token_has_a_prefix_and_43_characters_and_does_not_print_itself() {
        let token = SessionToken::new(&[5; 32]);
        assert_eq!(token.expose().len(), 47);
        assert_eq!(token.hash(), sha256(token.expose().as_bytes()));
        let read = SessionToken::parse(token.expose()).unwrap();
        assert_eq!(read.expose(), token.expose());
        assert_eq!(format!("{token:?}"), "SessionToken(…)");
        let secret = &token.expose()[SESSION_PREFIX.len()..];
        for odd in [
            secret.to_owned(),
            format!("csr_{secret}"),
            format!("{SESSION_PREFIX}{}", &secret[1..]),
            format!("{SESSION_PREFIX}{secret}A"),
            format!("{SESSION_PREFIX}{}=", &secret[1..]),
            String::new(),
        ] {
            assert!(SessionToken::parse(&odd).is_none(), "{odd}");
        }
    }
}
