//! A readable name for the device of a session. A library parses the user agent; clients may send
//! anything there, so the name is for display only.

use woothee::parser::Parser;
use woothee::woothee::VALUE_UNKNOWN;

/// Returns the names of the browser and of the operating system, as far as they are recognised.
pub fn parts(user_agent: &str) -> (Option<String>, Option<String>) {
    let known = |name: &str| (name != VALUE_UNKNOWN && !name.is_empty()).then(|| name.to_owned());
    Parser::new()
        .parse(user_agent)
        .map_or((None, None), |found| (known(found.name), known(found.os)))
}

/// Returns a name such as `Firefox on Linux`; `None` if the text is not recognised.
pub fn device(user_agent: &str) -> Option<String> {
    match parts(user_agent) {
        (Some(name), Some(os)) => Some(format!("{name} on {os}")),
        (Some(only), None) | (None, Some(only)) => Some(only),
        (None, None) => None,
    }
}

/// Returns the same name, or words for a text that is not recognised.
pub fn device_in_english(user_agent: &str) -> String {
    device(user_agent).unwrap_or_else(|| "an unknown device".into())
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn is_what_people_say() {
        for (text, says) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                Some("Firefox on Linux"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                Some("Chrome on Windows 10"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                Some("Safari on iPhone"),
            ),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(device(text).as_deref(), says, "{text}");
        }
    }
}
