//! `[passwords]`: their length, the cost of hashing, and which are refused.

use std::path::PathBuf;

use url::Url;
use zeroize::Zeroizing;

use crate::model::account::password;
use crate::model::account::password::Length;
use crate::model::kernel::loopback::is_loopback;

use super::Secret;
use super::reader::Reader;

/// `[passwords]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Passwords {
    pub length: password::Length,
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    pub threads: usize,
    pub queue: usize,
    pub blocklist: bool,
    pub breached_file: Option<PathBuf>,
    pub pepper: Option<Secret>,
}

/// The value of `passwords.blocklist`.
#[derive(Clone, Copy)]
enum Choice {
    Auto,
    On,
    Off,
}

/// Decides whether common passwords are refused. `auto` allows them if the public URL is a loopback
/// address: that is a developer's machine, with passwords such as `password123`.
fn blocklist(r: &mut Reader, public_url: &Url) -> bool {
    let choices = [
        ("auto", Choice::Auto),
        ("true", Choice::On),
        ("false", Choice::Off),
    ];
    match r.choice("passwords.blocklist", &choices) {
        Choice::On => true,
        Choice::Off => false,
        Choice::Auto => {
            let is_local = is_loopback(public_url.host_str().unwrap_or_default());
            let (value, reason) = if is_local {
                ("false", "the public URL is loopback")
            } else {
                ("true", "the public URL is not loopback")
            };
            r.became("passwords.blocklist", value, reason);
            !is_local
        }
    }
}

/// Reads the pepper of hashes that were imported from a service which had one.
fn pepper(r: &mut Reader) -> Option<Secret> {
    let pepper = Zeroizing::new(r.text("passwords.pepper", ""));
    (!pepper.is_empty()).then_some(Secret(pepper))
}

pub(super) fn read(r: &mut Reader, public_url: &Url) -> Passwords {
    let cores =
        std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2));
    let passwords = Passwords {
        length: Length {
            min: r.number("passwords.min_length", 8, 8..=128) as usize,
            max: r.number("passwords.max_length", 128, 64..=1024) as usize,
        },
        memory_kib: r.number("passwords.argon2_memory_kib", 19_456, 8..=262_144),
        iterations: r.number("passwords.argon2_iterations", 2, 1..=16),
        parallelism: r.number("passwords.argon2_parallelism", 1, 1..=16),
        threads: r.number("passwords.threads", cores, 1..=1024) as usize,
        queue: r.number("passwords.queue", 256, 1..=100_000) as usize,
        blocklist: blocklist(r, public_url),
        breached_file: r.path("passwords.breached_file", ""),
        pepper: pepper(r),
    };
    if passwords.length.min > passwords.length.max {
        r.problem(
            "passwords.min_length",
            "must not exceed passwords.max_length".into(),
        );
    }
    if passwords.memory_kib < 8 * passwords.parallelism {
        r.problem(
            "passwords.argon2_memory_kib",
            "argon2 needs at least 8 KiB for each lane".into(),
        );
    }
    passwords
}
