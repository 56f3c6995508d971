//! The documents are true: `openapi.yaml`, `docs/errors.md`, `docs/settings.md`.

use countersign::config::{Config, Sources};

use crate::support::contract::DOCUMENT;

#[test]
fn every_reference_in_openapi_resolves() {
    fn walk(value: &serde_json::Value, found: &mut usize) {
        if let Some(reference) = value.get("$ref").and_then(|r| r.as_str()) {
            assert!(
                DOCUMENT
                    .pointer(reference.trim_start_matches('#'))
                    .is_some(),
                "{reference}"
            );
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

/// Codes stand in the maps of `http/edge/error/` as string literals in capitals.
#[test]
fn the_list_of_error_codes_is_complete() {
    let code = regex::Regex::new(r#""([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|UNAUTHORIZED)""#).unwrap();
    let maps = concat!(
        include_str!("../../src/http/edge/error/mod.rs"),
        include_str!("../../src/http/edge/error/codes.rs")
    );
    let in_code: std::collections::BTreeSet<&str> = code
        .captures_iter(maps)
        .map(|c| c.get(1).unwrap().as_str())
        .collect();
    let row = regex::Regex::new(r"(?m)^\| `([A-Z0-9_]+)` \|").unwrap();
    let listed: std::collections::BTreeSet<&str> = row
        .captures_iter(include_str!("../../docs/errors.md"))
        .map(|c| c.get(1).unwrap().as_str())
        .collect();
    assert_eq!(in_code, listed);
}

#[test]
fn the_table_of_settings_is_complete_and_has_the_right_defaults() {
    let row = regex::Regex::new(r"(?m)^\| `([a-z_.0-9]+)` \| `([^`]*)` \|").unwrap();
    let listed: std::collections::BTreeMap<&str, &str> = row
        .captures_iter(include_str!("../../docs/settings.md"))
        .map(|c| (c.get(1).unwrap().as_str(), c.get(2).unwrap().as_str()))
        .collect();
    let effective = Config::load(&Sources::default()).unwrap().effective;
    // How many threads there are depends on the machine.
    let known: std::collections::BTreeMap<&str, &str> = effective
        .iter()
        .map(|e| {
            (
                e.key.as_str(),
                if e.key == "passwords.threads" {
                    "cores"
                } else {
                    e.value.as_str()
                },
            )
        })
        .collect();
    assert_eq!(known, listed);
}

/// Every test that `docs/security.md` names is there.
#[test]
fn the_security_table_names_tests_that_exist() {
    fn gather(dir: &std::path::Path, all: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                None => gather(&path, all),
                Some("rs" | "py") => all.push_str(&std::fs::read_to_string(&path).unwrap()),
                Some(_) => {}
            }
        }
    }
    let mut all = String::new();
    gather(std::path::Path::new("tests"), &mut all);
    gather(std::path::Path::new("src"), &mut all);
    let definition = regex::Regex::new(r"\b(?:fn|def) (\w+)\(").unwrap();
    let defined: std::collections::BTreeSet<&str> = definition
        .captures_iter(&all)
        .map(|c| c.get(1).unwrap().as_str())
        .collect();
    let row = regex::Regex::new(r"(?m)^\| (?:[A-Z]{3}-\d\d|\d{1,2}) \| .* \| (.*) \|$").unwrap();
    let name = regex::Regex::new(r"`(\w+)`").unwrap();
    let table = concat!(
        include_str!("../../docs/security.md"),
        include_str!("../../docs/better-auth.md")
    );
    let mut rows = 0;
    for tests in row.captures_iter(table).map(|c| c.get(1).unwrap().as_str()) {
        rows += 1;
        let named: Vec<&str> = name
            .captures_iter(tests)
            .map(|c| c.get(1).unwrap().as_str())
            .collect();
        assert!(
            !named.is_empty() || matches!(tests, "–") || tests.starts_with("planned"),
            "{tests}"
        );
        for test in named {
            assert!(defined.contains(test), "there is no test {test}");
        }
    }
    assert_eq!(rows, 366, "rows of the checklist, and twelve defects");
}
