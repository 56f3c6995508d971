//! The source of randomness. Owns the only call to the operating system's generator; all other code
//! is given a `Random`, so that a test with a seed repeats bit for bit. If the generator fails, the
//! process ends, so that no token is ever predictable.

use std::sync::Mutex;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A source of unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills the whole buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// Draws an array of `N` bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut buffer = [0; N];
    random.fill(&mut buffer);
    buffer
}

/// Draws a fraction in `0.0..1.0`.
pub fn fraction(random: &dyn Random) -> f64 {
    f64::from(u32::from_le_bytes(bytes(random))) / (f64::from(u32::MAX) + 1.0)
}

/// The random generator of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsRandom;

impl Random for OsRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for chance"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}

/// A generator for tests that repeats from its seed.
#[derive(Debug)]
pub struct SeededRandom(Mutex<ChaCha20Rng>);

impl SeededRandom {
    /// Makes a generator; the same seed gives the same bytes.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        self.0
            .lock()
            .expect("no holder of the lock panics")
            .fill_bytes(buffer);
    }
}
