//! Rows that are the elements of one JSON array: the whole file, or a member of the object that the
//! file is. The elements are cut out without parsing what is around them, so that a file of any size
//! is read row by row.

use std::io::{BufReader, Bytes, Read};
use std::sync::Arc;

use super::json::Object;
use super::{MAX_ROW, ParseObject, ReadOptions, Row, Rows, Unreadable, checked};
use crate::model::import::reason::{Place, Reason, RowError};

/// The most bytes of a name of a member that is compared.
const MAX_NAME: usize = 64;

/// Returns the rows of the array that the file is or, with `member`, that this member of it is.
///
/// # Errors
/// [`Unreadable`] if there is no such array.
pub(super) fn rows(
    file: impl Read + Send + 'static,
    options: &ReadOptions,
    member: Option<&str>,
    parse: ParseObject,
) -> Result<Rows, Unreadable> {
    let mut elements = Elements {
        text: Text {
            bytes: BufReader::new(file).bytes(),
            next: None,
            line: 1,
        },
        is_over: false,
    };
    elements.enter(member)?;
    let drop = Arc::new(options.drop.clone());
    let mut number = 0;
    Ok(Box::new(elements.filter_map(move |element| {
        let (line, bytes) = match element {
            Ok(element) => element,
            Err(error) => return Some(Err(error)),
        };
        number += 1;
        let place = Place { number, line };
        let draft = bytes
            .and_then(|bytes| Object::parse(&bytes, &drop))
            .and_then(parse);
        let row = match draft {
            Ok(Some(draft)) => checked(draft, place, &drop),
            Ok(None) => {
                number -= 1;
                return None;
            }
            Err(reason) => Row::Err(RowError {
                place,
                foreign_id: None,
                reason,
            }),
        };
        Some(Ok(row))
    })))
}

/// The bytes of the file, with the line of the next one.
struct Text<R> {
    bytes: Bytes<BufReader<R>>,
    next: Option<u8>,
    line: u64,
}

impl<R: Read> Text<R> {
    fn peek(&mut self) -> std::io::Result<Option<u8>> {
        if self.next.is_none() {
            self.next = self.bytes.next().transpose()?;
        }
        Ok(self.next)
    }

    fn take(&mut self) -> std::io::Result<Option<u8>> {
        let byte = self.peek()?;
        self.next = None;
        self.line += u64::from(byte == Some(b'\n'));
        Ok(byte)
    }

    /// Skips white space and, where one stands between two values, a comma; returns the next byte.
    fn next_value(&mut self) -> std::io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() && byte != b',' {
                return Ok(Some(byte));
            }
            self.take()?;
        }
        Ok(None)
    }

    /// Reads one value whole and returns its bytes, or only as much as `longest`, and whether it
    /// ended before the file did.
    fn value(&mut self, longest: usize) -> std::io::Result<Cut> {
        let (mut bytes, mut length) = (Vec::new(), 0_usize);
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        loop {
            let Some(byte) = self.peek()? else {
                let ended = depth == 0 && !in_text;
                return Ok(Cut {
                    bytes,
                    length,
                    ended,
                });
            };
            let ends_outside = !in_text
                && depth == 0
                && length > 0
                && (matches!(byte, b',' | b']' | b'}' | b':') || byte.is_ascii_whitespace());
            if ends_outside {
                break;
            }
            self.take()?;
            length = length.saturating_add(1);
            if length <= longest {
                bytes.push(byte);
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => depth += 1,
                b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
                _ => continue,
            }
            let is_closed = !in_text && depth == 0 && matches!(byte, b'"' | b'}' | b']');
            if is_closed {
                break;
            }
        }
        Ok(Cut {
            bytes,
            length,
            ended: true,
        })
    }
}

/// A value that was cut out.
struct Cut {
    bytes: Vec<u8>,
    length: usize,
    ended: bool,
}

/// The line of an element, and its bytes or what is wrong with it.
type Element = (u64, Result<Vec<u8>, Reason>);

/// The elements of the array.
struct Elements<R> {
    text: Text<R>,
    is_over: bool,
}

impl<R: Read> Elements<R> {
    /// Goes to the first element.
    fn enter(&mut self, member: Option<&str>) -> Result<(), Unreadable> {
        self.skip_mark()?;
        if let Some(member) = member {
            self.enter_member(member)?;
        }
        match self.text.next_value()? {
            Some(b'[') => {
                self.text.take()?;
                Ok(())
            }
            _ => Err(not_there(member)),
        }
    }

    fn skip_mark(&mut self) -> Result<(), Unreadable> {
        if self.text.peek()? == Some(0xEF) {
            for _ in 0..3 {
                self.text.take()?;
            }
        }
        Ok(())
    }

    /// Goes to the value of a member of the object that the file is.
    fn enter_member(&mut self, member: &str) -> Result<(), Unreadable> {
        if self.text.next_value()? != Some(b'{') {
            return Err(not_there(Some(member)));
        }
        self.text.take()?;
        loop {
            if self.text.next_value()? != Some(b'"') {
                return Err(not_there(Some(member)));
            }
            let name = self.text.value(MAX_NAME)?;
            if self.text.next_value()? != Some(b':') {
                return Err(not_there(Some(member)));
            }
            self.text.take()?;
            let found: Option<String> = serde_json::from_slice(&name.bytes).ok();
            if found.as_deref() == Some(member) {
                return Ok(());
            }
            self.text.next_value()?;
            self.text.value(0)?;
        }
    }

    /// Returns the next element; `None` after the last one.
    fn element(&mut self) -> Result<Option<Element>, Unreadable> {
        let first = self.text.next_value()?;
        let line = self.text.line;
        match first {
            Some(b']') => return Ok(None),
            // The file ends, or the object around the array does, before the array.
            None | Some(b'}' | b':') => {
                self.is_over = true;
                return Ok(Some((line, Err(Reason::Truncated))));
            }
            Some(_) => {}
        }
        let cut = self.text.value(MAX_ROW)?;
        let bytes = if !cut.ended {
            self.is_over = true;
            Err(Reason::Truncated)
        } else if cut.length > MAX_ROW {
            Err(Reason::RowTooLong)
        } else {
            Ok(cut.bytes)
        };
        Ok(Some((line, bytes)))
    }
}

fn not_there(member: Option<&str>) -> Unreadable {
    Unreadable::NotOfTheFormat(match member {
        Some(member) => format!("the file is no JSON object with a list named {member}"),
        None => "the file is no JSON list".to_owned(),
    })
}

impl<R: Read> Iterator for Elements<R> {
    type Item = Result<Element, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.element() {
            Ok(element) => {
                self.is_over |= element.is_none();
                element.map(Ok)
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}
