//! A passkey in software, by which a browser would answer: for what only its user may do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use countersign::crypto::{encode, sha256};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use crate::service::{SERVICE, Service, get, post_json};

const BEGIN: &str = "/api/auth/passkey/generate-register-options?delivery=body&conditional=true";
const ADD: &str = "/api/auth/passkey/verify-registration";
const REQUEST: &str = "/api/auth/passkey/generate-authenticate-options?delivery=body";

/// Numbers the passkeys of a run.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A passkey of a user of its own, and the handle of the user.
static OWN: LazyLock<Mutex<(SigningKey, String, String)>> = LazyLock::new(|| {
    let person = SERVICE.sign_up();
    let options = SERVICE.ask(get(BEGIN, &person.cookies)).json();
    let (key, id, response) = create(&options);
    let body = json!({ "response": response, "state": options["state"] });
    let answer = SERVICE.ask(post_json(ADD, &person.cookies, body.to_string()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let handle = options["user"]["id"].as_str().unwrap_or_default();
    Mutex::new((key, id, handle.to_owned()))
});

fn client(options: &Value, kind: &str) -> String {
    json!({
        "type": kind,
        "challenge": options["challenge"],
        "origin": crate::service::ORIGIN,
        "crossOrigin": false,
    })
    .to_string()
}

fn data(options: &Value, flags: u8) -> Vec<u8> {
    let domain = options["rpId"].as_str().or(options["rp"]["id"].as_str());
    let mut data = sha256(domain.unwrap_or_default().as_bytes()).to_vec();
    data.extend([flags, 0, 0, 0, 0]);
    data
}

/// Makes another passkey; returns its key, its id and what a browser would send.
fn create(options: &Value) -> (SigningKey, String, Value) {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let key = SigningKey::from_bytes(&sha256(&number));
    let mut inner = data(options, 0x45);
    inner.extend([0; 16]);
    inner.extend([0, 8]);
    inner.extend(number);
    // OKP, EdDSA, Ed25519 and the key.
    inner.extend([0xA4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20]);
    inner.extend(key.verifying_key().as_bytes());
    let mut object = vec![0xA3, 0x63];
    object.extend(b"fmt");
    object.push(0x64);
    object.extend(b"none");
    object.push(0x67);
    object.extend(b"attStmt");
    object.extend([0xA0, 0x68]);
    object.extend(b"authData");
    object.extend([0x58, u8::try_from(inner.len()).expect("a short text")]);
    object.extend(inner);
    let id = encode(&number);
    let response = json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "response": {
            "clientDataJSON": encode(client(options, "webauthn.create").as_bytes()),
            "attestationObject": encode(&object),
            "transports": ["internal"],
        },
        "clientExtensionResults": {},
    });
    (key, id, response)
}

/// Returns the members of a body that adds a passkey to the user.
pub fn registration(service: &Service) -> String {
    let options = service.ask(get(BEGIN, &service.user().cookies)).json();
    let (_, _, response) = create(&options);
    format!(r#""response":{response},"state":{}"#, options["state"])
}

/// Returns the members of a body that signs in with a passkey.
pub fn assertion(service: &Service) -> String {
    let options = service.ask(get(REQUEST, "")).json();
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let (key, id, handle) = &*own;
    let (client, data) = (client(&options, "webauthn.get"), data(&options, 0x05));
    let signed = [data.as_slice(), &sha256(client.as_bytes())].concat();
    let response = json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "response": {
            "clientDataJSON": encode(client.as_bytes()),
            "authenticatorData": encode(&data),
            "signature": encode(&key.sign(&signed).to_bytes()),
            "userHandle": handle,
        },
        "clientExtensionResults": {},
    });
    format!(r#""response":{response},"state":{}"#, options["state"])
}

/// Adds a passkey to the user, and returns the id of its row.
pub fn row(service: &Service) -> String {
    let cookies = service.user().cookies;
    let body = format!("{{{}}}", registration(service));
    let answer = service.ask(post_json(ADD, &cookies, body));
    let id = answer.json()["id"].as_str().map(ToOwned::to_owned);
    id.unwrap_or_else(|| "none".into())
}
