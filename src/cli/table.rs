//! Lays out tables for people so that no line is wider than the terminal: first times and then ids
//! are shortened, and what still does not fit is wrapped inside its cell. `output` prints them.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::{Map, Value};

/// What a column holds, which says how its values may be shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Name,
    Id,
    Time,
}

/// A column of a table: a member of the objects that are listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    kind: Kind,
}

/// Makes a column of texts, which are wrapped if they do not fit.
pub(super) const fn text(name: &'static str) -> Column {
    let kind = Kind::Text;
    Column { name, kind }
}

/// Makes a column of names that are one word, which are wrapped only if the others leave no space.
pub(super) const fn name(name: &'static str) -> Column {
    let kind = Kind::Name;
    Column { name, kind }
}

/// Makes a column of ids, which are shortened if they do not fit.
pub(super) const fn id(name: &'static str) -> Column {
    let kind = Kind::Id;
    Column { name, kind }
}

/// Makes a column of times, which lose their seconds if they do not fit.
pub(super) const fn time(name: &'static str) -> Column {
    let kind = Kind::Time;
    Column { name, kind }
}

/// The space between two columns: the padding of both, and one between them.
const GAP: u16 = 3;
/// The width of a date, into which a time is wrapped.
const DATE: u16 = 10;
/// The width that a column of other texts gets at least.
const LEAST: u16 = 8;
/// Ids of at most this many characters are never shortened.
const SHORT_ID: usize = 16;

/// How much of a table is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shortened {
    Nothing,
    Times,
    TimesAndIds,
}

/// A table, and whether it holds shortened ids.
pub(super) struct Laid {
    /// The lines of the table.
    pub(super) text: String,
    /// Whether ids were shortened, so that commands do not accept them as printed.
    pub(super) short_ids: bool,
}

/// Lays out a table; `None` for a width without limit.
pub(super) fn rows(columns: &[Column], items: &[Map<String, Value>], width: Option<u16>) -> Laid {
    let levels = [Shortened::Nothing, Shortened::Times, Shortened::TimesAndIds];
    let mut last = None;
    for level in levels {
        let table = table(columns, items, level);
        let fits = width.is_none_or(|width| natural_width(&table) <= u32::from(width));
        last = Some((table, level));
        if fits {
            break;
        }
    }
    let Some((mut table, level)) = last else {
        return Laid {
            text: String::new(),
            short_ids: false,
        };
    };
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
        keep_whole(columns, &mut table, width);
    }
    let is_long = |c: &Column, item: &Map<String, Value>| {
        c.kind == Kind::Id
            && item
                .get(c.name)
                .is_some_and(|id| shorten(&cell(id)).is_some())
    };
    let short_ids = level == Shortened::TimesAndIds
        && items
            .iter()
            .any(|item| columns.iter().any(|c| is_long(c, item)));
    Laid {
        text: trimmed(&table),
        short_ids,
    }
}

/// Lays out the members of one object, each in a line of its own; `None` for a width without limit.
pub(super) fn members(members: &[(&str, Value)], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    for (name, value) in members {
        table.add_row([(*name).to_owned(), cell(value)]);
    }
    trimmed(&table)
}

fn table(columns: &[Column], items: &[Map<String, Value>], level: Shortened) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(columns.iter().map(|c| c.name));
    for item in items {
        table.add_row(columns.iter().map(|column| {
            let text = item.get(column.name).map_or_else(missing, cell);
            let short = match column.kind {
                Kind::Time if level >= Shortened::Times => without_seconds(&text),
                Kind::Id if level >= Shortened::TimesAndIds => shorten(&text),
                _ => None,
            };
            short.unwrap_or(text)
        }));
    }
    table
}

/// Gives columns of ids and names the width that they need, as long as enough is left for every
/// other column.
fn keep_whole(columns: &[Column], table: &mut Table, width: u16) {
    let needed = table.column_max_content_widths();
    let least = |column: &Column| match column.kind {
        Kind::Time => DATE,
        Kind::Text | Kind::Name | Kind::Id => LEAST,
    };
    let count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
    let gaps = GAP.saturating_mul(count).saturating_sub(1);
    let others: u16 = columns.iter().map(least).sum();
    let mut left = width.saturating_sub(gaps).saturating_sub(others);
    for (index, column) in columns.iter().enumerate() {
        let Some(needed) = needed.get(index) else {
            return;
        };
        let more = needed.saturating_sub(least(column));
        if matches!(column.kind, Kind::Id | Kind::Name)
            && more <= left
            && let Some(column) = table.column_mut(index)
        {
            column.set_constraint(ColumnConstraint::ContentWidth);
            left -= more;
        }
    }
}

/// Returns the width of a table whose cells are not wrapped.
fn natural_width(table: &Table) -> u32 {
    let widths = table.column_max_content_widths();
    let with_gaps = widths
        .iter()
        .map(|width| u32::from(*width) + u32::from(GAP));
    with_gaps.sum::<u32>().saturating_sub(1)
}

/// Returns the lines of a table without the spaces at their ends.
fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

fn missing() -> String {
    "–".into()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => missing(),
        Value::String(text) => text
            .chars()
            .map(|c| {
                if c.is_control() || turns_the_line(c) {
                    '\u{FFFD}'
                } else {
                    c
                }
            })
            .collect(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

/// Returns whether the character can reverse the direction of text (Unicode's embeddings, overrides
/// and isolates), so that a name could look like another cell.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Returns `2026-11-21 06:55Z` for `2026-11-21T06:55:07.050Z`; `None` for another text.
fn without_seconds(time: &str) -> Option<String> {
    let (day, rest) = time.split_once('T')?;
    let minute = rest.get(..5).filter(|_| rest.ends_with('Z'))?;
    Some(format!("{day} {minute}Z"))
}

/// Returns the beginning and the end of a long id; `None` for one that is short, and for a text
/// that is no id.
fn shorten(id: &str) -> Option<String> {
    let characters: Vec<char> = id.chars().collect();
    if characters.len() <= SHORT_ID || characters.iter().any(|c| c.is_whitespace()) {
        return None;
    }
    let text = |part: &[char]| part.iter().collect::<String>();
    let end = characters.len() - 4;
    Some(format!(
        "{}…{}",
        text(&characters[..8]),
        text(&characters[end..])
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 3] = [id("id"), text("name"), time("at")];

    fn items() -> Vec<Map<String, Value>> {
        let item = json!({
            "id": "019a9c1e-8f5b-7c3a-9d2e-1f4b5a6c7d8e",
            "name": "Ana",
            "at": "2026-11-21T06:55:07.050Z",
            "more": "only in JSON",
        });
        vec![item.as_object().unwrap().clone()]
    }

    #[test]
    fn first_times_and_then_ids_are_shortened_and_the_rest_is_wrapped() {
        let wide = rows(&COLUMNS, &items(), None);
        assert!(
            wide.text
                .contains("019a9c1e-8f5b-7c3a-9d2e-1f4b5a6c7d8e   Ana")
        );
        assert!(wide.text.contains("2026-11-21T06:55:07.050Z") && !wide.text.contains("only"));
        let without_seconds = rows(&COLUMNS, &items(), Some(70));
        assert!(
            without_seconds
                .text
                .contains("1f4b5a6c7d8e   Ana    2026-11-21 06:55Z")
        );
        assert!(!without_seconds.short_ids);
        let short = rows(&COLUMNS, &items(), Some(50));
        assert!(
            short
                .text
                .contains("019a9c1e…7d8e   Ana    2026-11-21 06:55Z")
        );
        assert!(short.short_ids);
        let wrapped = rows(&COLUMNS, &items(), Some(32)).text;
        assert!(
            wrapped.lines().all(|line| line.chars().count() <= 32),
            "{wrapped}"
        );
    }

    #[test]
    fn nothing_in_a_cell_can_turn_or_break_the_line() {
        let text = cell(&json!("a\u{202E}b\nc\u{1b}[31m"));
        assert_eq!(text, "a\u{FFFD}b\u{FFFD}c\u{FFFD}[31m");
        assert_eq!(cell(&json!(null)), "–");
        assert_eq!(cell(&json!({ "a": 1 })), r#"{"a":1}"#);
        assert_eq!(shorten("two words that are long enough"), None);
        assert_eq!(without_seconds("no Time"), None);
    }
}
