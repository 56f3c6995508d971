//! Recovery codes: 80 random bits as 16 characters of Crockford's base32, in four groups. What is
//! stored is the SHA-256 of the user's id and the code, so that equal codes of two users differ.

use zeroize::Zeroizing;

use super::sha256;
use crate::model::kernel::id::UserId;

/// How many codes a user gets at once.
pub const COUNT: usize = 10;

/// The random bytes of one code.
pub const LENGTH: usize = 10;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Returns a code as it is shown.
pub fn make(bytes: &[u8; LENGTH]) -> Zeroizing<String> {
    let bits = bytes
        .iter()
        .fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut code = Zeroizing::new(String::with_capacity(19));
    for n in 0..16 {
        if n > 0 && n % 4 == 0 {
            code.push('-');
        }
        let index = (bits >> (5 * (15 - n))) & 31;
        code.push(char::from(ALPHABET[usize::try_from(index).unwrap_or(0)]));
    }
    code
}

/// Returns the hash by which the code of a user is stored. Case, spaces and dashes do not matter;
/// `I` and `L` are read as 1, and `O` as 0.
pub fn hash(user: UserId, code: &str) -> [u8; 32] {
    let plain: Zeroizing<String> = Zeroizing::new(
        code.chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| match c.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                other => other,
            })
            .collect(),
    );
    sha256(Zeroizing::new(format!("{user}:{}", *plain)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_sixteen_characters_in_four_groups_and_every_bit_counts() {
        assert_eq!(*make(&[0; LENGTH]), "0000-0000-0000-0000");
        assert_eq!(*make(&[255; LENGTH]), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        let mut seen = std::collections::BTreeSet::new();
        for bit in 0..LENGTH * 8 {
            let mut bytes = [0; LENGTH];
            bytes[bit / 8] = 1 << (bit % 8);
            seen.insert(make(&bytes).to_string());
        }
        assert_eq!(seen.len(), LENGTH * 8);
    }

    #[test]
    fn a_code_is_read_as_people_write_it_and_counts_for_its_user_alone() {
        let (ana, ben) = (UserId::random([1; 16]), UserId::random([2; 16]));
        let code = "AB10-CDEF-GHJK-MNPQ";
        let stored = hash(ana, code);
        for written in [
            "ab10cdefghjkmnpq",
            " AB1O-CDEF GHJK-MNPQ\n",
            "ABLO-CDEF-GHJK-MNPQ",
        ] {
            assert_eq!(hash(ana, written), stored, "{written}");
        }
        assert_ne!(hash(ben, code), stored);
        assert_ne!(hash(ana, "AB10-CDEF-GHJK-MNPR"), stored);
    }
}
