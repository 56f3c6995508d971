//! Rows of one JSON object a line.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::json::Object;
use super::{MAX_ROW, ParseObject, ReadOptions, Row, Rows, Unreadable, checked};
use crate::model::import::reason::{Place, Reason, RowError};

/// Returns the rows of a file with one JSON object a line; empty lines are none.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other kinds of file can be refused by their beginning"
)]
pub(super) fn rows(
    file: impl Read + Send + 'static,
    options: &ReadOptions,
    parse: ParseObject,
) -> Result<Rows, Unreadable> {
    let lines = Lines {
        file: BufReader::new(file),
        line: 0,
    };
    let drop = Arc::new(options.drop.clone());
    let mut number = 0;
    let row = move |(line, text): (u64, Result<Vec<u8>, Reason>)| {
        number += 1;
        let place = Place { number, line };
        let draft = text
            .and_then(|bytes| Object::parse(&bytes, &drop))
            .and_then(parse);
        match draft {
            Ok(Some(draft)) => Some(checked(draft, place, &drop)),
            Ok(None) => {
                number -= 1;
                None
            }
            Err(reason) => Some(Row::Err(RowError {
                place,
                foreign_id: None,
                reason,
            })),
        }
    };
    let mut row = row;
    Ok(Box::new(lines.filter_map(move |line| match line {
        Ok(line) => row(line).map(Ok),
        Err(error) => Some(Err(error)),
    })))
}

/// The lines that are not empty, with their numbers. Of a line that is too long only its length is
/// kept.
struct Lines<R> {
    file: BufReader<R>,
    line: u64,
}

impl<R: Read> Iterator for Lines<R> {
    type Item = Result<(u64, Result<Vec<u8>, Reason>), Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = match self.read() {
                Ok(Some(text)) => text,
                Ok(None) => return None,
                Err(error) => return Some(Err(error.into())),
            };
            self.line += 1;
            match text {
                Ok(bytes) => {
                    let bytes = if self.line == 1 {
                        without_mark(&bytes)
                    } else {
                        &bytes
                    };
                    if !bytes.trim_ascii().is_empty() {
                        return Some(Ok((self.line, Ok(bytes.to_vec()))));
                    }
                }
                Err(reason) => return Some(Ok((self.line, Err(reason)))),
            }
        }
    }
}

impl<R: Read> Lines<R> {
    /// Reads up to the end of a line; `None` at the end of the file.
    fn read(&mut self) -> std::io::Result<Option<Result<Vec<u8>, Reason>>> {
        let mut line = Vec::new();
        let (mut length, mut is_empty) = (0_usize, true);
        loop {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            is_empty = false;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = end.map_or(buffer, |end| &buffer[..end]);
            length = length.saturating_add(part.len());
            if length <= MAX_ROW {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.file.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(if is_empty {
            None
        } else if length > MAX_ROW {
            Some(Err(Reason::RowTooLong))
        } else {
            Some(Ok(line))
        })
    }
}

/// Returns the text without the byte order mark of UTF-8 at its beginning.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
