//! The twins of a target, and the choice of an entry of its table.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Keeps an input that the service has accepted, in the folder that `FUZZ_TWINS` names, for libFuzzer
/// to begin with. Without the variable nothing is kept.
pub fn keep(input: &[u8]) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    if let Ok(folder) = std::env::var("FUZZ_TWINS") {
        let file = Path::new(&folder).join(format!("twin-{number}"));
        fs::write(file, input).expect("the folder of the twins can be written");
    }
}

/// Splits an input into its first line and the rest.
pub fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, b""),
    }
}

/// Returns the entry that `line` names. A line that names none still chooses one, by its bytes, so
/// that no input is wasted.
///
/// # Panics
/// If the table is empty.
pub fn chosen<'t, T>(table: &'t [T], line: &[u8], name: impl Fn(&T) -> &str) -> &'t T {
    let named = table.iter().find(|entry| name(entry).as_bytes() == line);
    named.unwrap_or_else(|| {
        let sum = line.iter().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31) + usize::from(*byte)
        });
        &table[sum % table.len()]
    })
}
