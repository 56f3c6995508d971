//! `/sign-in/social` and `/link-social`: a sign-in at another issuer begins, or is done at once with an id
//! token that the client has got from the issuer itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::federation::Urls;
use crate::flows::federation::begin::{self, Begun, Wanted, may_be_added};
use crate::flows::federation::id_token::{self, Brought, Done};
use crate::flows::limit::known_device;
use crate::flows::permit::to;
use crate::flows::session::open_session::Options;
use crate::http::delivery::session_delivery::{Replaced, token_delivery};
use crate::http::delivery::{signed_in, upstream as delivery};
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::limits::{MAX_ACCESS_TOKEN, MAX_DEVICE_TOKEN, MAX_ID, MAX_NONCE, MAX_SCOPE};
use crate::http::edge::redirects::targets;
use crate::http::edge::unchecked::Unchecked;
use crate::model::session::ticket::Retry;

/// What a request asks for.
struct Asked {
    wanted: Wanted,
    native: Option<Native>,
    stays: bool,
}

/// An id token of the client.
struct Native {
    token: String,
    nonce: Option<String>,
}

impl Native {
    fn read(object: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str, longest: usize| match object.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) if text.len() <= longest => Some(Some(text.clone())),
            Some(_) => None,
        };
        Some(Self {
            token: text("token", MAX_ACCESS_TOKEN)??,
            nonce: text("nonce", MAX_NONCE)?,
        })
    }
}

/// Reads parameters for the issuer: texts, without those that this service sets.
fn parameters(object: &Map<String, Value>) -> Option<Vec<(String, String)>> {
    let pair = |(name, value): (&String, &Value)| {
        let value = value.as_str()?;
        let is_good = may_be_added(name) && name.len() + value.len() <= MAX_SCOPE;
        is_good.then(|| (name.clone(), value.to_owned()))
    };
    let all: Option<Vec<_>> = object.iter().map(pair).collect();
    all.filter(|all| all.len() <= 8)
}

/// Reads the fields of either request.
fn asked(app: &App, body: &mut Fields) -> Unchecked<Asked> {
    let provider = body.text("provider", MAX_ID);
    let targets = targets(body);
    let request_sign_up = body.optional_bool("requestSignUp").or(false);
    let stays = body.optional_bool("disableRedirect").or(false);
    let scopes = body.texts("scopes", MAX_SCOPE);
    let login_hint = body.optional_text("loginHint", MAX_SCOPE);
    let extra = body.object("additionalParams");
    let extra = body.check(
        "additionalParams",
        extra,
        "expected at most 8 short texts, no parameter that this service sets",
        |object| object.as_ref().map_or(Some(Vec::new()), parameters),
    );
    let native = body.object("idToken");
    let native = body.check(
        "idToken",
        native,
        "expected an object with the text token",
        |object| match object {
            None => Some(None),
            Some(object) => Native::read(&object).map(Some),
        },
    );
    let mount = app.config.server.mount.clone();
    provider
        .zip(targets)
        .zip(request_sign_up)
        .zip(stays)
        .zip(scopes)
        .zip(login_hint)
        .zip(extra)
        .zip(native)
        .map(
            move |(
                ((((((provider, urls), request_sign_up), stays), scopes), login_hint), extra),
                native,
            )| {
                let given = |url: Option<String>| url.map(|url| mount.given(&url));
                let wanted = Wanted {
                    provider,
                    urls: Urls {
                        done: given(urls.done),
                        new_user: given(urls.new_user),
                        failed: given(urls.failed),
                    },
                    request_sign_up,
                    scopes,
                    login_hint: login_hint.filter(|hint| !hint.is_empty()),
                    extra,
                };
                Asked {
                    wanted,
                    native,
                    stays,
                }
            },
        )
}

/// Answers with the URL of the issuer, and keeps the state in a cookie.
fn sent(app: &App, begun: &Begun, stays: bool) -> Response {
    let mut headers = HeaderMap::new();
    delivery::begun(app, begun, &mut headers);
    if !stays {
        headers.insert(header::LOCATION, header_text::location(begun.url.as_str()));
    }
    let answer = json!({ "url": begun.url.as_str(), "redirect": !stays });
    (headers, Json(answer)).into_response()
}

pub(in crate::http) async fn sign_in(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let asked = asked(&app, &mut body);
    let delivery = token_delivery(&mut body);
    let device = body.text_or_nothing("deviceToken", MAX_DEVICE_TOKEN);
    let remembered = body.text_or_nothing("trustedDeviceToken", MAX_DEVICE_TOKEN);
    let (asked, delivery, device, remembered) =
        body.finish((asked, delivery, device, remembered))?;
    let Some(native) = asked.native else {
        let begun = begin::sign_in(&app, asked.wanted, &requester).await?;
        return Ok(sent(&app, &begun, asked.stays));
    };
    let brought = Brought {
        provider: &asked.wanted.provider,
        token: &native.token,
        nonce: native.nonce.as_deref(),
    };
    let options = Options {
        delivery,
        remember: true,
        retry: Retry::Window,
    };
    let presented = Replaced::of(&credentials)
        .with_device(device.as_deref())
        .with_remembered(remembered.as_deref());
    let done = id_token::sign_in(
        &app,
        brought,
        asked.wanted.request_sign_up,
        options,
        presented.borrow(),
        &requester,
    )
    .await?;
    match done {
        Done::SignedIn(done) => Ok(signed_in::answer(
            &app,
            &done.signed_in,
            &presented,
            |answer| answer["redirect"] = false.into(),
        )),
        Done::Unverified { device } => Ok(unverified(&app, &credentials, device)),
    }
}

/// Refuses, because the mailbox of the new account has to be verified first. The device is known when its
/// user verifies it: by a cookie, or by `deviceToken` for a client that holds no cookies.
fn unverified(app: &App, credentials: &Credentials, device: Option<String>) -> Response {
    if !credentials.from_browser {
        return Error::MailboxToVerify(device).into_response();
    }
    let mut answer = Error::from(Refused::EmailNotVerified).into_response();
    if let Some(device) = device.filter(|_| credentials.devices.is_empty()) {
        let until = Some(app.now() + known_device::LIFETIME);
        cookies::set(app, answer.headers_mut(), Name::Device, &device, until);
    }
    answer
}

pub(in crate::http) async fn link(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account::<to::ResetFactors>()?;
    let asked = asked(&app, &mut body);
    let asked = body.finish(asked)?;
    let Some(native) = asked.native else {
        let begun = begin::link(&app, own, asked.wanted, &requester).await?;
        return Ok(sent(&app, &begun, asked.stays));
    };
    let brought = Brought {
        provider: &asked.wanted.provider,
        token: &native.token,
        nonce: native.nonce.as_deref(),
    };
    match id_token::link(&app, own, brought, &requester).await {
        Ok(()) => {
            let answer = json!({ "url": "", "status": true, "redirect": false });
            Ok(Json(answer).into_response())
        }
        Err(Refused::UpstreamRefused(_)) => Err(Refused::LinkingNotAllowed.into()),
        Err(error) => Err(error.into()),
    }
}
