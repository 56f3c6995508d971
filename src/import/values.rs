//! Values as other software writes them: times and truth values.

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

use crate::model::import::reason::Reason;
use crate::model::kernel::time::Timestamp;

/// The number from which on a time is in milliseconds and not in seconds: 2001 in milliseconds, and
/// long after the year 9999 in seconds is 2.5e11.
const MILLISECONDS: i64 = 300_000_000_000;

/// Reads a time: RFC 3339, the forms of Postgres and MySQL (without a zone it is UTC), or seconds or
/// milliseconds since 1970. An empty text is none.
pub(super) fn time(text: &str, field: &'static str) -> Result<Option<Timestamp>, Reason> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let refused = Reason::InvalidField(field);
    if let Ok(number) = text.parse::<i64>() {
        return number_as_time(number).map(Some).ok_or(refused);
    }
    let zoned = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f %#z"))
        .map(|at| at.timestamp_millis());
    let plain = || {
        let text = text.trim_end_matches(" UTC");
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"))
            .map(|at| at.and_utc().timestamp_millis())
    };
    zoned
        .or_else(|_| plain())
        .map(|at| Some(Timestamp(at)))
        .map_err(|_| refused)
}

fn number_as_time(number: i64) -> Option<Timestamp> {
    if number.unsigned_abs() >= MILLISECONDS.unsigned_abs() {
        Some(Timestamp(number))
    } else {
        number.checked_mul(1_000).map(Timestamp)
    }
}

/// Reads a time of JSON: a text, a number, or `{"$date": …}`.
pub(super) fn json_time(
    value: Option<&Value>,
    field: &'static str,
) -> Result<Option<Timestamp>, Reason> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => time(text, field),
        Some(Value::Number(number)) => match number.as_i64().and_then(number_as_time) {
            Some(at) => Ok(Some(at)),
            None => Err(Reason::InvalidField(field)),
        },
        Some(Value::Object(members)) if members.contains_key("$date") => {
            json_time(members.get("$date"), field)
        }
        Some(_) => Err(Reason::InvalidField(field)),
    }
}

/// Reads a truth value; an empty text is false.
pub(super) fn truth(text: &str, field: &'static str) -> Result<bool, Reason> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "f" | "false" | "no" | "n" => Ok(false),
        "1" | "t" | "true" | "yes" | "y" => Ok(true),
        _ => Err(Reason::InvalidField(field)),
    }
}

/// Joins a first and a last name.
pub(super) fn full_name(first: &str, last: &str) -> String {
    format!("{} {}", first.trim(), last.trim())
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_read_in_the_forms_of_databases_and_exports() {
        let at = Some(Timestamp(1_672_913_472_000));
        for text in [
            "2023-01-05T10:11:12Z",
            "2023-01-05T12:11:12+02:00",
            "2023-01-05 10:11:12+00",
            "2023-01-05 10:11:12.000000+00",
            "2023-01-05 10:11:12 +0000",
            "2023-01-05 10:11:12",
            "2023-01-05 10:11:12 UTC",
            "2023-01-05T10:11:12.000",
            "1672913472",
            "1672913472000",
        ] {
            assert_eq!(time(text, "x"), Ok(at), "{text}");
            assert_eq!(json_time(Some(&json!(text)), "x"), Ok(at), "{text}");
        }
        assert_eq!(json_time(Some(&json!(1_672_913_472)), "x"), Ok(at));
        let mongo = json!({ "$date": "2023-01-05T10:11:12Z" });
        assert_eq!(json_time(Some(&mongo), "x"), Ok(at));
        assert_eq!(time(" ", "x"), Ok(None));
        assert_eq!(json_time(Some(&Value::Null), "x"), Ok(None));
        for bad in ["x", "2023-13-05", "2023-01-05 25:00:00", "yesterday"] {
            assert_eq!(time(bad, "x"), Err(Reason::InvalidField("x")), "{bad}");
        }
        for bad in [json!(true), json!(1.5), json!({}), json!([])] {
            assert!(json_time(Some(&bad), "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_truth_value_is_one_of_few_words() {
        for text in ["1", "t", "TRUE", "yes"] {
            assert_eq!(truth(text, "x"), Ok(true), "{text}");
        }
        for text in ["", "0", "f", "False", "no"] {
            assert_eq!(truth(text, "x"), Ok(false), "{text}");
        }
        assert!(truth("maybe", "x").is_err());
    }
}
