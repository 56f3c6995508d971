//! A refresh token is ours to the last bit or it is refused.
#![no_main]

use std::sync::LazyLock;

use countersign::crypto::master_key::{MasterKey, MasterKeys, Versioned};
use countersign::crypto::token::RefreshToken;
use countersign::model::kernel::id::SessionId;
use libfuzzer_sys::fuzz_target;

static MASTERS: LazyLock<MasterKeys> = LazyLock::new(|| {
    MasterKeys::new(
        Versioned {
            version: 1,
            key: std::sync::Arc::new(MasterKey::new([7; 32])),
        },
        Vec::new(),
    )
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(
            RefreshToken::open(text, &MASTERS).is_err(),
            "a tag of 128 bits cannot be guessed"
        );
    }
    let session = SessionId(uuid(data));
    let good = RefreshToken::first(session, [9; 32], &MASTERS).encode(&MASTERS);
    let mut bytes = good.as_bytes().to_vec();
    for (place, change) in data
        .chunks_exact(2)
        .map(|pair| (usize::from(pair[0]), pair[1]))
    {
        let length = bytes.len();
        bytes[place % length] ^= change;
    }
    if let Ok(text) = std::str::from_utf8(&bytes) {
        assert_eq!(RefreshToken::open(text, &MASTERS).is_ok(), text == &**good);
    }
});

fn uuid(data: &[u8]) -> uuid::Uuid {
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(data) {
        *byte = *from;
    }
    uuid::Uuid::from_bytes(bytes)
}
