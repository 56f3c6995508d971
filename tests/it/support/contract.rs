//! Holds answers against `openapi.yaml`: the path and status must be there, the body must have the
//! shape.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use axum::http::{Method, header};
use jsonschema::Validator;
use serde_json::{Value, json};

use super::Answer;

pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut yaml: serde_norway::Value =
        serde_norway::from_str(include_str!("../../../openapi.yaml")).unwrap();
    yaml.apply_merge().unwrap();
    serde_json::to_value(yaml).unwrap()
});

type Key = (String, String, u16);

static VALIDATORS: LazyLock<Mutex<HashMap<Key, Option<std::sync::Arc<Validator>>>>> =
    LazyLock::new(Mutex::default);

/// Returns the path as the document writes it; four paths have a parameter.
pub fn template(path: &str) -> &str {
    if path.starts_with("/api/auth/reset-password/") {
        "/api/auth/reset-password/{token}"
    } else if path.starts_with("/api/auth/jwks/") {
        "/api/auth/jwks/{name}"
    } else if path.starts_with("/api/auth/callback/") {
        "/api/auth/callback/{id}"
    } else if path.starts_with("/api/auth/upstream/") {
        "/api/auth/upstream/{id}/logout"
    } else {
        path
    }
}

/// Returns the operation, if the document knows path and method.
pub fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = template(path);
    let method = if method == Method::HEAD {
        "get".to_owned()
    } else {
        method.as_str().to_lowercase()
    };
    DOCUMENT["paths"].get(path)?.get(method)
}

/// A page is for people: HTML under a strict policy, or a way on.
fn check_page(method: &Method, path: &str, answer: &Answer) {
    if answer.status.is_redirection() {
        return assert_eq!(answer.status, 303, "{method} {path}");
    }
    assert_eq!(
        answer.header("content-type"),
        "text/html; charset=utf-8",
        "{method} {path}: {}",
        answer.text
    );
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("frame-ancestors 'none'")
            && !policy.contains("unsafe"),
        "{method} {path}: {policy}"
    );
    assert!(
        answer.headers.get("access-control-allow-origin").is_none()
            && answer.header("cache-control") == "no-store",
        "{method} {path}"
    );
    assert_eq!(
        answer.header("cross-origin-opener-policy"),
        "same-origin",
        "{method} {path}"
    );
    for sign in ["<script>", " onclick=", " style=\"", "javascript:"] {
        assert!(!answer.text.contains(sign), "{method} {path} has {sign}");
    }
}

pub fn check(method: &Method, path: &str, answer: &Answer) {
    // Where pages are turned off there is nothing, in the words of the API.
    let is_page = answer.header("content-type") != "application/json";
    let is_html = answer.header("content-type").starts_with("text/html");
    // Any error is a page for a browser that asks for one.
    if is_html && answer.status.is_client_error() && operation(method, path).is_none() {
        return check_page(method, path, answer);
    }
    // The script of the pages alone reads it.
    if path == "/auth/password-strength" && answer.status == 200 {
        return assert!(answer.body["level"].is_i64() && answer.body["text"].is_string());
    }
    if is_page
        && (path == "/"
            || path == "/auth"
            || path.starts_with("/auth/") && !path.starts_with("/auth/assets/"))
    {
        return check_page(method, path, answer);
    }
    if path.starts_with("/auth/assets/") && answer.status == 200 {
        return assert!(
            answer.header("cache-control").starts_with("public"),
            "{path}"
        );
    }
    let status = answer.status.as_u16();
    // Any path may be asked for with what is no text.
    if matches!(status, 404 | 405 | 500)
        || path == "/auth/password-strength"
        || status == 400 && answer.body["code"] == "BAD_REQUEST"
    {
        return check_against(
            &json!({ "$ref": "#/components/schemas/Error" }),
            method,
            path,
            answer,
        );
    }
    if method == Method::OPTIONS {
        return;
    }
    let operation =
        operation(method, path).unwrap_or_else(|| panic!("{method} {path} is not in openapi.yaml"));
    let response = &operation["responses"][status.to_string()];
    assert!(
        response.is_object(),
        "{method} {path} answered {status}, which openapi.yaml does not know: {}",
        answer.text
    );
    let response = response["$ref"].as_str().map_or(response, |r| {
        DOCUMENT.pointer(r.trim_start_matches('#')).unwrap()
    });
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        assert!(
            header["required"] != json!(true) || answer.headers.contains_key(name),
            "{method} {path} answered {status} without {name}"
        );
    }
    match &response["content"]["application/json"]["schema"] {
        _ if response["content"]["text/html"].is_object()
            && answer
                .headers
                .get("content-type")
                .is_some_and(|t| t == "text/html; charset=utf-8") => {}
        Value::Null => assert!(
            answer.text.is_empty(),
            "{method} {path} has a body that openapi.yaml does not know: {}",
            answer.text
        ),
        _ if method == Method::HEAD => {}
        schema => {
            assert_eq!(
                answer.header(header::CONTENT_TYPE.as_str()),
                "application/json",
                "{method} {path}"
            );
            check_against(schema, method, path, answer);
        }
    }
}

fn check_against(schema: &Value, method: &Method, path: &str, answer: &Answer) {
    if method == Method::HEAD {
        return;
    }
    let key = (
        method.to_string(),
        if answer.status.as_u16() == 404 {
            "-".into()
        } else {
            path.to_owned()
        },
        answer.status.as_u16(),
    );
    let validator = VALIDATORS
        .lock()
        .unwrap()
        .entry(key)
        .or_insert_with(|| Some(compile(schema)))
        .clone()
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&answer.body)
        .map(|e| format!("{} at {}", e, e.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{method} {path} answered {} against openapi.yaml:\n{}\n{}",
        answer.status,
        errors.join("\n"),
        answer.text
    );
}

fn compile(schema: &Value) -> std::sync::Arc<Validator> {
    let mut whole = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "components": DOCUMENT["components"] });
    whole
        .as_object_mut()
        .unwrap()
        .extend(schema.as_object().unwrap().clone());
    std::sync::Arc::new(jsonschema::validator_for(&whole).unwrap())
}
