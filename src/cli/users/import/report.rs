//! What `users import` says about single rows: all of them in a file of its own, and the first ones
//! that are refused to standard error.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{Failure, Result, output};
use crate::flows;
use crate::flows::import::survey::Judged;
use crate::model::import::judge::Verdict;

/// The most refused rows that are printed.
const SHOWN: usize = 20;

/// Where the rows are written to.
pub(super) struct Report {
    file: Option<(PathBuf, BufWriter<File>)>,
    refused: Vec<String>,
    more: u64,
    wrapped: u64,
}

impl Report {
    /// Creates the file of the report, which must not exist.
    pub(super) fn create(path: Option<&Path>) -> Result<Self> {
        let create = |path: &Path| -> Result<(PathBuf, BufWriter<File>)> {
            let file = File::create_new(path)
                .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
            Ok((path.to_owned(), BufWriter::new(file)))
        };
        Ok(Self {
            file: path.map(create).transpose()?,
            refused: Vec::new(),
            more: 0,
            wrapped: 0,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`flows::Error::ImportRefused`] if the file cannot be written.
    pub(super) fn add(&mut self, row: &Judged) -> flows::Result<()> {
        let (verdict, reason) = (row.verdict.word(), row.verdict.reason());
        let creates = matches!(row.verdict, Verdict::Create(_));
        self.wrapped += u64::from(creates && row.is_wrapped);
        if matches!(row.verdict, Verdict::Refuse(_)) {
            if self.refused.len() < SHOWN {
                let line = row.place.line;
                self.refused.push(format!("line {line}: {reason}"));
            } else {
                self.more += 1;
            }
        }
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        let line = json!({
            "line": row.place.line,
            "foreignId": row.foreign_id,
            "verdict": verdict,
            "reason": reason,
            "hash": row.hash_kind,
            "wrapped": row.is_wrapped,
        });
        writeln!(file, "{line}").map_err(|error| unwritable(path, &error))
    }

    /// Ends the file, and prints the rows that are refused.
    pub(super) fn finish(self) -> Result<()> {
        if let Some((path, mut file)) = self.file {
            file.flush().map_err(|error| unwritable(&path, &error))?;
        }
        for line in self.refused {
            output::note(&line);
        }
        if self.more > 0 {
            output::note(&format!("and {} more", self.more));
        }
        if self.wrapped > 0 {
            output::note(&format!(
                "{} password hashes are too weak to be stored as they are; each is hashed once more, which takes as long as a sign-in.",
                self.wrapped
            ));
        }
        Ok(())
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> flows::Error {
    flows::Error::ImportRefused(format!("{}: {error}", path.display()))
}
