//! The alphabets in which hashes of passwords are written: four of base64, and that of `crypt`, whose
//! groups begin with the lowest bits.

use base64::Engine;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::unusable::Unusable;

const STRICT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::RequireNone);

const LENIENT: GeneralPurposeConfig = STRICT
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

const STORED: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, STRICT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BCRYPT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, LENIENT);
const PASSLIB: GeneralPurpose = {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./";
    match Alphabet::new(ALPHABET) {
        Ok(alphabet) => GeneralPurpose::new(&alphabet, LENIENT),
        Err(_) => panic!("64 different letters"),
    }
};

const CRYPT: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn decoded(engine: &GeneralPurpose, text: &str) -> Result<Vec<u8>, Unusable> {
    engine.decode(text).map_err(|_| Unusable::Malformed)
}

/// Encodes in the form of the stored text: the usual alphabet without padding.
pub(super) fn stored(bytes: &[u8]) -> String {
    STORED.encode(bytes)
}

/// Decodes the form of the stored text, of which there is one for each value.
pub(super) fn of_stored(text: &str) -> Result<Vec<u8>, Unusable> {
    decoded(&STORED, text)
}

/// Decodes base64 of either usual alphabet, with or without padding.
pub(super) fn of_standard(text: &str) -> Result<Vec<u8>, Unusable> {
    decoded(&STANDARD, &text.replace('-', "+").replace('_', "/"))
}

/// Decodes the base64 of passlib, which has a dot for the plus sign.
pub(super) fn of_passlib(text: &str) -> Result<Vec<u8>, Unusable> {
    decoded(&PASSLIB, &text.replace('+', "."))
}

/// Encodes in the alphabet of bcrypt.
pub(super) fn bcrypt(bytes: &[u8]) -> String {
    BCRYPT.encode(bytes)
}

/// Decodes the alphabet of bcrypt. Spare bits are ignored, as bcrypt does.
pub(super) fn of_bcrypt(text: &str) -> Result<Vec<u8>, Unusable> {
    decoded(&BCRYPT, text)
}

/// Decodes hexadecimal digits of either case.
pub(super) fn of_hex(text: &str) -> Result<Vec<u8>, Unusable> {
    hex::decode(text).map_err(|_| Unusable::Malformed)
}

/// Returns the value of a letter in the alphabet of `crypt`.
pub(super) fn crypt_value(letter: u8) -> Option<u32> {
    let at = CRYPT.iter().position(|known| *known == letter)?;
    u32::try_from(at).ok()
}

/// Decodes bytes that `crypt` wrote by groups of three, the lowest six bits of each first. `order` has
/// the place of each byte: the lowest one of a group first.
pub(super) fn of_crypt<const N: usize>(
    text: &str,
    order: &[usize; N],
) -> Result<[u8; N], Unusable> {
    let mut bytes = [0; N];
    let mut letters = text.bytes();
    for group in order.chunks(3) {
        let mut value = 0;
        for place in 0..=group.len() {
            let letter = letters.next().and_then(crypt_value);
            value |= letter.ok_or(Unusable::Malformed)? << (6 * place);
        }
        for place in group {
            bytes[*place] = value.to_le_bytes()[0];
            value >>= 8;
        }
        if value != 0 {
            return Err(Unusable::Malformed);
        }
    }
    match letters.next() {
        None => Ok(bytes),
        Some(_) => Err(Unusable::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alphabet_reads_its_own_letters_and_no_spare_ones() {
        assert_eq!(of_stored("+/8"), Ok(vec![0xfb, 0xff]));
        for odd in ["+/9", "+/8=", "-_8", "+/"] {
            let read = of_stored(odd);
            assert!(read.is_err() || odd == "+/", "{odd}: {read:?}");
        }
        for same in ["+/8", "+/8=", "-_8"] {
            assert_eq!(of_standard(same), Ok(vec![0xfb, 0xff]), "{same}");
        }
        assert_eq!(of_passlib("./8"), Ok(vec![0xfb, 0xff]));
        assert_eq!(of_bcrypt("9962").unwrap(), of_standard("//84").unwrap());
        assert_eq!(of_hex("fBfF"), Ok(vec![0xfb, 0xff]));
        assert_eq!(of_hex("fbf"), Err(Unusable::Malformed));
    }

    #[test]
    fn crypt_begins_with_the_lowest_bits() {
        assert_eq!(of_crypt("/...", &[0, 1, 2]), Ok([1, 0, 0]));
        assert_eq!(of_crypt("/...", &[2, 1, 0]), Ok([0, 0, 1]));
        assert_eq!(of_crypt("z1", &[0]), Ok([0xff]));
        for odd in ["z2", "z", "z1.", "z!"] {
            assert_eq!(of_crypt("z2", &[0]), Err(Unusable::Malformed), "{odd}");
            assert_eq!(of_crypt(odd, &[0]), Err(Unusable::Malformed), "{odd}");
        }
    }
}
