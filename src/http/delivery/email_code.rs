//! How the browser or the app that asks for a code is known again: in a browser by a cookie, in a
//! native client by the member `binding` of the answer.

use axum::http::HeaderMap;
use serde_json::Value;

use crate::app::App;
use crate::flows::login::email_code::{Asked, Holder};
use crate::http::delivery::session_delivery::token_delivery;
use crate::http::edge::body::Fields;
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::limits::{MAX_DEVICE_TOKEN, MAX_WORD};
use crate::http::edge::unchecked::Unchecked;
use crate::model::session::session::Delivery;

/// The bindings and devices of a request.
pub(in crate::http) struct Held<'c> {
    bindings: Vec<&'c str>,
    devices: Vec<&'c str>,
}

impl<'c> Held<'c> {
    /// Collects those of the cookies, and the ones that a native client sent in the body.
    pub(in crate::http) fn of(
        credentials: &'c Credentials,
        binding: Option<&'c str>,
        device: Option<&'c str>,
    ) -> Self {
        let codes = credentials.codes.iter().map(String::as_str);
        let devices = credentials.devices.iter().map(String::as_str);
        Self {
            bindings: binding.into_iter().chain(codes).collect(),
            devices: device.into_iter().chain(devices).collect(),
        }
    }

    pub(in crate::http) fn borrow(&self) -> Holder<'_> {
        Holder {
            bindings: &self.bindings,
            devices: &self.devices,
        }
    }
}

/// How a client that asks for a code wants its binding, and what a native client sends of an earlier one.
pub(in crate::http) struct Asking {
    /// Whether the binding travels in a cookie or in the body.
    pub(in crate::http) delivery: Delivery,
    binding: Option<String>,
    device: Option<String>,
}

impl Asking {
    /// Reads `tokenDelivery`, `binding` and `deviceToken`.
    pub(in crate::http) fn read(body: &mut Fields) -> Unchecked<Self> {
        let delivery = token_delivery(body);
        let binding = body.text_or_nothing("binding", MAX_WORD);
        let device = body.text_or_nothing("deviceToken", MAX_DEVICE_TOKEN);
        delivery
            .zip(binding)
            .zip(device)
            .map(|((delivery, binding), device)| Self {
                delivery,
                binding,
                device,
            })
    }

    /// Adds what the cookies of the request have.
    pub(in crate::http) fn held<'a>(&'a self, credentials: &'a Credentials) -> Held<'a> {
        Held::of(credentials, self.binding.as_deref(), self.device.as_deref())
    }
}

/// Keeps the binding in the browser.
pub(in crate::http) fn bind(app: &App, asked: &Asked, headers: &mut HeaderMap) {
    cookies::set(app, headers, Name::Code, &asked.binding, Some(asked.until));
}

/// Gives the binding to the client in the way that it chose.
pub(in crate::http) fn give(
    app: &App,
    asked: &Asked,
    delivery: Delivery,
    answer: &mut Value,
    headers: &mut HeaderMap,
) {
    match delivery {
        Delivery::Cookie => bind(app, asked, headers),
        Delivery::Body => answer["binding"] = asked.binding.as_str().into(),
    }
}
