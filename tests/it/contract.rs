//! The documents are true: `openapi.yaml`, `docs/errors.md`, `docs/settings.md`.

use countersign::config::{Config, Sources};

use crate::support::contract::DOCUMENT;

#[test]
fn every_reference_in_openapi_resolves() {
    fn walk(value: &serde_json::Value, found: &mut usize) {
        if let Some(reference) = value.get("$ref").and_then(|r| r.as_str()) {
            assert!(DOCUMENT.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            *found += 1;
        }
        match value {
            serde_json::Value::Object(map) => map.values().for_each(|v| walk(v, found)),
            serde_json::Value::Array(items) => items.iter().for_each(|v| walk(v, found)),
            _ => {}
        }
    }
    let mut found = 0;
    walk(&DOCUMENT, &mut found);
    assert!(found > 100);
}

/// Codes stand in the two maps of `http/error.rs` as string literals in capitals.
#[test]
fn the_list_of_error_codes_is_complete() {
    let code = regex::Regex::new(r#""([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|UNAUTHORIZED)""#).unwrap();
    let in_code: std::collections::BTreeSet<&str> = code.captures_iter(include_str!("../../src/http/error.rs")).map(|c| c.get(1).unwrap().as_str()).collect();
    let row = regex::Regex::new(r"(?m)^\| `([A-Z0-9_]+)` \|").unwrap();
    let listed: std::collections::BTreeSet<&str> = row.captures_iter(include_str!("../../docs/errors.md")).map(|c| c.get(1).unwrap().as_str()).collect();
    assert_eq!(in_code, listed);
}

#[test]
fn the_table_of_settings_is_complete_and_has_the_right_defaults() {
    let row = regex::Regex::new(r"(?m)^\| `([a-z_.0-9]+)` \| `([^`]*)` \|").unwrap();
    let listed: std::collections::BTreeMap<&str, &str> =
        row.captures_iter(include_str!("../../docs/settings.md")).map(|c| (c.get(1).unwrap().as_str(), c.get(2).unwrap().as_str())).collect();
    let effective = Config::load(&Sources::default()).unwrap().effective;
    // How many threads there are depends on the machine.
    let known: std::collections::BTreeMap<&str, &str> =
        effective.iter().map(|e| (e.key.as_str(), if e.key == "passwords.threads" { "cores" } else { e.value.as_str() })).collect();
    assert_eq!(known, listed);
}
