//! What browsers read and send in ceremonies with passkeys (WebAuthn level 3, section 5), and how the
//! state of a ceremony travels: in a cookie, or in a member of the body.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::encoding::{encode, encode_standard};
use crate::flows::login::passkey_ceremony::{Begun, Creation, Use};
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;
use crate::model::login::passkey::Passkey;
use crate::model::session::session::Delivery;

/// How long a browser waits for its user, in milliseconds.
const TIMEOUT: u32 = 60_000;

/// The algorithms in the order in which they are wished for: EdDSA, ES256, RS256.
const ALGORITHMS: [i32; 3] = [-8, -7, -257];

/// Returns a passkey as Better Auth shows it.
pub(in crate::http) fn view(passkey: &Passkey) -> Value {
    json!({
        "id": passkey.id,
        "name": passkey.name,
        "userId": passkey.user,
        "publicKey": encode_standard(&passkey.public_key),
        "credentialID": encode(&passkey.credential_id),
        "counter": passkey.counter,
        "deviceType": if passkey.backup_eligible { "multiDevice" } else { "singleDevice" },
        "backedUp": passkey.backed_up,
        "transports": passkey.transports,
        "createdAt": passkey.created_at,
        "aaguid": passkey.aaguid,
    })
}

/// Names a passkey to a browser.
fn descriptor(passkey: &Passkey) -> Value {
    let mut named = json!({ "id": encode(&passkey.credential_id), "type": "public-key" });
    let transports: Vec<&str> = passkey.transports.split(',').collect();
    if !passkey.transports.is_empty() {
        named["transports"] = json!(transports);
    }
    named
}

/// Makes the options of `navigator.credentials.create`.
pub(in crate::http) fn creation(
    app: &App,
    begun: &Begun<Creation>,
    attachment: Option<&str>,
) -> Value {
    let Creation {
        user_handle,
        email,
        display_name,
        exclude,
    } = &begun.options;
    let mut selection = json!({
        "residentKey": "required",
        "requireResidentKey": true,
        "userVerification": "preferred",
    });
    if let Some(attachment) = attachment {
        selection["authenticatorAttachment"] = attachment.into();
    }
    let algorithms = ALGORITHMS.map(|alg| json!({ "alg": alg, "type": "public-key" }));
    json!({
        "challenge": begun.challenge,
        "rp": { "name": app.config.mail.app_name.as_str(), "id": app.config.passkeys.rp_id },
        "user": { "id": user_handle, "name": email, "displayName": display_name },
        "pubKeyCredParams": algorithms,
        "timeout": TIMEOUT,
        "attestation": "none",
        "excludeCredentials": exclude.iter().map(descriptor).collect::<Vec<_>>(),
        "authenticatorSelection": selection,
        "extensions": { "credProps": true },
    })
}

/// Makes the options of `navigator.credentials.get`.
pub(in crate::http) fn request(app: &App, begun: &Begun<Use>) -> Value {
    let verification = if begun.options.needs_verification {
        "required"
    } else {
        "preferred"
    };
    let mut options = json!({
        "challenge": begun.challenge,
        "rpId": app.config.passkeys.rp_id,
        "timeout": TIMEOUT,
        "userVerification": verification,
    });
    // An empty list would mean the same to a browser as none.
    let allowed = begun.options.allow.as_ref();
    if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) {
        options["allowCredentials"] = allowed.iter().map(descriptor).collect();
    }
    options
}

/// Answers with the options, and with the state in a cookie or in the body.
pub(in crate::http) fn begun<O>(
    app: &App,
    begun: &Begun<O>,
    mut options: Value,
    delivery: Delivery,
) -> Response {
    let mut headers = HeaderMap::new();
    match delivery {
        Delivery::Body => options["state"] = begun.state.as_str().into(),
        Delivery::Cookie => keep(app, begun, &mut headers),
    }
    (headers, Json(options)).into_response()
}

/// Sets the cookie with the state of a ceremony.
pub(in crate::http) fn keep<O>(app: &App, begun: &Begun<O>, headers: &mut HeaderMap) {
    let until = Some(begun.expires_at);
    cookies::set(app, headers, Name::Ceremony, &begun.state, until);
}

/// Clears the cookie of a ceremony that was answered, if the request has one.
pub(in crate::http) fn forget(app: &App, came: &[String], headers: &mut HeaderMap) {
    if !came.is_empty() {
        cookies::clear_one(app, headers, Name::Ceremony);
    }
}
