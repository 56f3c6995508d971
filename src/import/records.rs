//! Rows of CSV (RFC 4180) below a header that names the columns.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use csv_core::ReadRecordResult;

use super::columns::{Columns, Parser};
use super::{MAX_ROW, ReadOptions, Row, Rows, Unreadable, checked};
use crate::model::import::reason::{Place, Reason, RowError};

/// The most columns of a file.
const MAX_COLUMNS: usize = 512;

/// Returns the rows of a file of CSV.
///
/// # Errors
/// [`Unreadable`] if the header lacks a column or has one that no rule names.
pub(super) fn rows(
    file: impl Read + Send + 'static,
    options: &ReadOptions,
    parser: Parser,
) -> Result<Rows, Unreadable> {
    let mut records = Records {
        file: BufReader::new(file),
        reader: csv_core::Reader::new(),
        output: vec![0; MAX_ROW],
        ends: vec![0; MAX_COLUMNS],
        line: 1,
        is_over: false,
    };
    records.skip_mark()?;
    let header = match records.next().transpose()? {
        Some((_, Ok(names))) => names,
        Some((_, Err(reason))) => {
            return Err(Unreadable::NotOfTheFormat(format!("the header: {reason}")));
        }
        None => return Err(Unreadable::NotOfTheFormat("the file is empty".into())),
    };
    let columns = Arc::new(Columns::of(header, &parser, &options.drop)?);
    let drop: BTreeSet<String> = options.drop.clone();
    let numbered = (1..).zip(records);
    Ok(Box::new(numbered.map(move |(number, record)| {
        let (line, values) = record?;
        let place = Place { number, line };
        let draft = values
            .and_then(|values| columns.record(values))
            .and_then(|record| (parser.parse)(record));
        Ok(match draft {
            Ok(draft) => checked(draft, place, &drop),
            Err(reason) => Row::Err(RowError {
                place,
                foreign_id: None,
                reason,
            }),
        })
    })))
}

/// The line of a record, and its fields or what is wrong with it.
type Record = (u64, Result<Vec<String>, Reason>);

/// The records, with the lines on which they begin.
struct Records<R> {
    file: BufReader<R>,
    reader: csv_core::Reader,
    /// The fields of a record one after another.
    output: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
    line: u64,
    is_over: bool,
}

/// How far a record has been read.
#[derive(Default)]
struct Progress {
    output: usize,
    ends: usize,
    quotes: u64,
    refused: Option<Reason>,
}

impl<R: Read> Records<R> {
    fn skip_mark(&mut self) -> std::io::Result<()> {
        let mark = self.file.fill_buf()?.starts_with(b"\xef\xbb\xbf");
        if mark {
            self.file.consume(3);
        }
        Ok(())
    }

    /// Skips empty lines; returns whether a record follows.
    fn skip_empty(&mut self) -> std::io::Result<bool> {
        loop {
            let Some(byte) = self.file.fill_buf()?.first().copied() else {
                return Ok(false);
            };
            match byte {
                b'\r' => {}
                b'\n' => self.line += 1,
                _ => return Ok(true),
            }
            self.file.consume(1);
        }
    }

    fn record(&mut self) -> std::io::Result<Option<Record>> {
        if !self.skip_empty()? {
            return Ok(None);
        }
        let line = self.line;
        let mut progress = Progress::default();
        loop {
            let input = self.file.fill_buf()?;
            let at_end = input.is_empty();
            let (result, read, written, ended) = self.reader.read_record(
                input,
                &mut self.output[progress.output..],
                &mut self.ends[progress.ends..],
            );
            let (mut lines, mut quotes) = (0, 0);
            for byte in &input[..read] {
                lines += u64::from(*byte == b'\n');
                quotes += u64::from(*byte == b'"');
            }
            self.file.consume(read);
            self.line += lines;
            progress.quotes += quotes;
            progress.output += written;
            progress.ends += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    progress.refused.get_or_insert(Reason::RowTooLong);
                    (progress.output, progress.ends) = (0, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    progress.refused.get_or_insert(Reason::FieldCount);
                    (progress.output, progress.ends) = (0, 0);
                }
                ReadRecordResult::Record => {
                    // A quote that is not closed makes the rest of the file one field.
                    if at_end && progress.quotes % 2 == 1 {
                        progress.refused.get_or_insert(Reason::Truncated);
                    }
                    return Ok(Some((line, self.fields(progress))));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn fields(&self, progress: Progress) -> Result<Vec<String>, Reason> {
        if let Some(reason) = progress.refused {
            return Err(reason);
        }
        let mut begin = 0;
        self.ends[..progress.ends]
            .iter()
            .map(|&end| {
                let field = &self.output[begin..end];
                begin = end;
                String::from_utf8(field.to_vec()).map_err(|_| Reason::NotUtf8)
            })
            .collect()
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Record, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let record = self.record();
        self.is_over = !matches!(record, Ok(Some(_)));
        record.map_err(Unreadable::from).transpose()
    }
}
