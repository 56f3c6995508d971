//! The CBOR of a new passkey: the attestation object that a browser sends, and the public key inside
//! (RFC 9052). Only what this service asks for is taken: no attestation or one by the passkey itself, and
//! keys of the algorithms that it offered.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey};
use ciborium::Value;

/// The algorithms that are offered, by their COSE numbers: EdDSA, ES256, RS256.
pub const ALGORITHMS: [i32; 3] = [-8, -7, -257];

/// The position of the flags in authenticator data.
const FLAGS: usize = 32;

/// The flag of a user who was present.
pub(super) const PRESENT: u8 = 0x01;

/// The lengths of an RSA modulus that are taken, in bytes: 2048 to 4096 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;

/// More members than any map of an attestation or a key has.
const MOST_MEMBERS: usize = 16;

type Members = Vec<(Value, Value)>;

/// Reads one value and nothing behind it.
fn whole(bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let value: Value = ciborium::from_reader(&mut rest).ok()?;
    rest.is_empty().then_some(value)
}

/// Returns the members of a map in which no name occurs twice.
fn members(value: Value) -> Option<Members> {
    let Value::Map(members) = value else {
        return None;
    };
    if members.len() > MOST_MEMBERS {
        return None;
    }
    let is_single = |n: usize| !members[..n].iter().any(|(name, _)| *name == members[n].0);
    (0..members.len()).all(is_single).then_some(members)
}

/// An attestation object of a form that is taken.
pub(super) struct Attestation {
    members: Members,
    data: usize,
    /// Whether it is the form without a signature.
    is_none: bool,
}

impl Attestation {
    /// Reads it; `None` for any other form: another format, a chain of certificates, unknown members.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let members = members(whole(bytes)?)?;
        let find = |name: &str| members.iter().position(|(n, _)| n.as_text() == Some(name));
        let (format, statement, data) = (find("fmt")?, find("attStmt")?, find("authData")?);
        let statement = members[statement].1.as_map()?;
        let is_none = match members[format].1.as_text()? {
            "none" if statement.is_empty() => true,
            // An authenticator that signs with the passkey itself says nothing about its maker.
            "packed" if statement.len() == 2 => {
                let has = |name| statement.iter().any(|(n, _)| n.as_text() == Some(name));
                if !has("alg") || !has("sig") {
                    return None;
                }
                false
            }
            _ => return None,
        };
        let is_ours = members.len() == 3 && members[data].1.is_bytes();
        is_ours.then_some(Self {
            members,
            data,
            is_none,
        })
    }

    fn data(&self) -> &[u8] {
        self.members[self.data]
            .1
            .as_bytes()
            .map_or(&[], Vec::as_slice)
    }

    /// Returns the flags of the authenticator data.
    pub(super) fn flags(&self) -> Option<u8> {
        self.data().get(FLAGS).copied()
    }

    /// Returns the same object with the flag of a present user; `None` if it is signed. A browser that
    /// makes a passkey on the word of a password manager asks no user, and nothing of it is signed.
    pub(super) fn with_presence(mut self) -> Option<Vec<u8>> {
        if !self.is_none {
            return None;
        }
        let Value::Bytes(data) = &mut self.members[self.data].1 else {
            return None;
        };
        *data.get_mut(FLAGS)? |= PRESENT;
        let mut bytes = Vec::new();
        ciborium::into_writer(&Value::Map(self.members), &mut bytes).ok()?;
        Some(bytes)
    }
}

fn integer(value: &Value) -> Option<i64> {
    value.as_integer()?.try_into().ok()
}

/// Returns the algorithm of a public key in COSE form if it is one that a signature can be verified
/// with.
pub(super) fn algorithm(cose: &[u8]) -> Option<i32> {
    let members = members(whole(cose)?)?;
    let label = |label: i64| {
        let mut members = members.iter();
        members.find_map(|(name, value)| (integer(name) == Some(label)).then_some(value))
    };
    let number = |name| integer(label(name)?);
    let bytes = |name| label(name)?.as_bytes();
    let algorithm = number(3)?;
    let is_good = match (number(1)?, algorithm) {
        // OKP with the curve Ed25519.
        (1, -8) if number(-1)? == 6 => ParsedPublicKey::new(&ED25519, bytes(-2)?).is_ok(),
        // EC2 with the curve P-256.
        (2, -7) if number(-1)? == 1 => {
            let (x, y) = (bytes(-2)?, bytes(-3)?);
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            x.len() == 32 && ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).is_ok()
        }
        (3, -257) => {
            let (modulus, exponent) = (bytes(-1)?, bytes(-2)?);
            MODULUS.contains(&modulus.len())
                && modulus.first() != Some(&0)
                && (1..=4).contains(&exponent.len())
                && exponent.last().is_some_and(|last| last % 2 == 1)
                && exponent.as_slice() != [1]
        }
        _ => false,
    };
    let algorithm = i32::try_from(algorithm).ok()?;
    (is_good && ALGORITHMS.contains(&algorithm)).then_some(algorithm)
}

/// Returns whether the bytes are a map of extensions and nothing else.
pub(super) fn is_map(bytes: &[u8]) -> bool {
    whole(bytes).is_some_and(|value| value.is_map())
}
