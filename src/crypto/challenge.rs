//! The secret of a pending sign-in: 32 random bytes, stored as their SHA-256.

use zeroize::Zeroizing;

use super::{decode_array, encode, sha256};

/// The secret that the browser or the native client of a pending sign-in holds.
#[derive(Clone)]
pub struct ChallengeToken(Zeroizing<[u8; 32]>);

impl ChallengeToken {
    /// Makes one from random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the text that a client sends; `None` if it has another form.
    pub fn read(text: &str) -> Option<Self> {
        decode_array(text).map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Returns the text for the client.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(&*self.0))
    }

    /// Returns the hash that is stored.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_is_not_its_hash() {
        let token = ChallengeToken::new([7; 32]);
        let read = ChallengeToken::read(&token.expose()).unwrap();
        assert_eq!(read.hash(), token.hash());
        assert_ne!(encode(&token.hash()), *token.expose());
        for text in ["", "AAAA", &"A".repeat(44), "no base64 at all"] {
            assert!(ChallengeToken::read(text).is_none(), "{text}");
        }
    }
}
