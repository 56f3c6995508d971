//! Breached passwords: an operator's file of SHA-1 hashes in hexadecimal, sorted, one a line, each
//! with or without `:COUNT` after it. The hashes may be whole or truncated to their first digits.
//! The file is searched on disk: about forty short reads, however large it is.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::model::account::password::Password;

/// The fewest digits that a line may hold; shorter prefixes would match good passwords by chance.
const SHORTEST: usize = 10;
/// Longer than any valid line with its line end.
const LONGEST_LINE: usize = 80;

/// An open file of breached hashes.
#[derive(Debug)]
pub struct BreachedHashes {
    file: File,
    length: u64,
}

impl BreachedHashes {
    /// Opens a file and checks its first and last line.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let list = Self { file, length };
        let (first, end) = (list.line_at(0)?, list.line_at(length.saturating_sub(1))?);
        if first.hash > end.hash {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its hashes are not sorted",
            ));
        }
        Ok(list)
    }

    /// Returns whether the file contains the password. Blocks on disk reads.
    pub fn contains(&self, password: &Password) -> io::Result<bool> {
        let digits: Zeroizing<String> =
            Zeroizing::new(hex::encode_upper(Sha1::digest(password.expose())));
        let (mut from, mut to) = (0, self.length);
        while from < to {
            let line = self.line_at(from + (to - from) / 2)?;
            match line.hash.as_str().cmp(&digits[..line.hash.len()]) {
                Ordering::Equal => return Ok(true),
                Ordering::Less => from = line.end,
                Ordering::Greater => to = line.start,
            }
        }
        Ok(false)
    }

    /// Returns the line that contains the byte at this offset.
    fn line_at(&self, offset: u64) -> io::Result<Line> {
        let from = offset.saturating_sub(LONGEST_LINE as u64);
        let mut window = [0; 2 * LONGEST_LINE];
        let read = self.read(from, &mut window)?;
        let window = &window[..read];
        let here = usize::try_from(offset - from).unwrap_or(0);
        let is_end = |byte: &u8| *byte == b'\n';
        let begins = window
            .get(..here)
            .and_then(|before| before.iter().rposition(is_end))
            .map_or(0, |n| n + 1);
        let ends = window
            .get(here..)
            .and_then(|rest| rest.iter().position(is_end))
            .map_or(read, |n| here + n + 1);
        let text = window
            .get(begins..ends)
            .and_then(|line| std::str::from_utf8(line).ok())
            .unwrap_or_default()
            .trim_end();
        let (hash, count) = text.split_once(':').unwrap_or((text, "0"));
        let is_hash =
            (SHORTEST..=40).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hash || !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the line at byte {} has no SHA-1 hash",
                    from + begins as u64
                ),
            ));
        }
        Ok(Line {
            hash: hash.to_ascii_uppercase(),
            start: from + begins as u64,
            end: from + ends as u64,
        })
    }

    fn read(&self, from: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.file.read_at(&mut into[read..], from + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

struct Line {
    hash: String,
    start: u64,
    end: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::password::Length;

    fn password(text: &str) -> Password {
        Password::attempt(text, Length { min: 8, max: 128 }).unwrap()
    }

    fn list(lines: &str) -> io::Result<BreachedHashes> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hashes.txt");
        std::fs::write(&path, lines).unwrap();
        BreachedHashes::open(&path)
    }

    fn sha1(text: &str) -> String {
        hex::encode_upper(Sha1::digest(text))
    }

    #[test]
    fn every_listed_password_is_found_and_no_other_whatever_the_form_of_the_lines() {
        // The well-known hash of "password".
        assert_eq!(sha1("password"), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        for count in [1, 2, 3, 500] {
            let mut hashes: Vec<String> = (0..count)
                .map(|n| sha1(&format!("breached password {n}")))
                .collect();
            hashes.sort();
            for form in 0..6 {
                let line = |(n, hash): (usize, &String)| match form {
                    0 => format!("{hash}:{n}\r\n"),
                    1 => format!("{hash}:{}\n", n * 7_919),
                    2 => format!("{hash}\n"),
                    3 => format!("{}\n", hash.to_lowercase()),
                    4 => format!("{}:{n}\n", &hash[..20]),
                    _ => format!("{hash}:1\n"),
                };
                let mut text: String = hashes.iter().enumerate().map(line).collect();
                if form == 5 {
                    text.pop();
                }
                let list = list(&text).unwrap();
                for n in 0..count {
                    assert!(
                        list.contains(&password(&format!("breached password {n}")))
                            .unwrap(),
                        "{n} of {count}, form {form}"
                    );
                    assert!(
                        !list
                            .contains(&password(&format!("a secret password {n}")))
                            .unwrap(),
                        "{n} of {count}, form {form}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        let (low, high) = ("0".repeat(40), "F".repeat(40));
        for bad in [
            "",
            "\n",
            "hello\n",
            "0123456789ABCDEF0123456789ABCDEF01234567:x\n",
            "012345678\n",
        ] {
            assert_eq!(
                list(bad).unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "{bad:?}"
            );
        }
        assert!(list(&format!("{high}\n{low}\n")).is_err());
        assert!(list(&"0".repeat(5_000)).is_err());
        assert!(BreachedHashes::open(Path::new("/nonexistent")).is_err());
        // A folder opens and cannot be read.
        assert!(BreachedHashes::open(Path::new("/")).is_err());
        // Damage in the middle of a file is an error when it is reached, not a wrong answer.
        let damaged = list(&format!("{low}:1\n{}\n{high}:1\n", "x".repeat(60))).unwrap();
        assert!(damaged.contains(&password("any other password")).is_err());
    }
}
