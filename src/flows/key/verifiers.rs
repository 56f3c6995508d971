//! Which verifiers have fetched the JWKS since the last rotation: the table of a running process,
//! and how the command line requests it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};
use url::Url;

use crate::app::App;
use crate::config::Config;
use crate::model::key::key::State;
use crate::outbound_http;

/// The path on the operations listener.
pub const PATH: &str = "/verifiers";

/// Returns the answer of the operations listener.
pub fn seen(app: &App) -> Value {
    let since = app.ring().and_then(|ring| {
        let keys = ring.slots.keys();
        let active = keys.filter(|key| key.state == State::Active);
        active.filter_map(|key| key.activated_at).max()
    });
    let row = |verifier: crate::metrics::verifiers::Verifier| {
        let knows = since.is_none_or(|since| verifier.fetches.last >= since);
        let mut row = json!(verifier);
        row["sinceRotation"] = knows.into();
        row
    };
    json!({ "rotatedAt": since, "verifiers": app.metrics.verifiers.list().into_iter().map(row).collect::<Vec<_>>() })
}

/// Requests the table from the running process. Returns `Err` with the reason and what to do.
pub async fn ask(config: &Config) -> Result<Value, String> {
    let Some(listen) = config.server.ops_listen else {
        return Err("server.ops_listen is off, so the running process cannot be asked".into());
    };
    let mut address = listen.address;
    // A listener on all addresses can be reached on loopback.
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    let url = Url::parse(&format!("http://{address}{PATH}")).map_err(|error| error.to_string())?;
    let answer = outbound_http::Client::new()?
        .get(&url)
        .await
        .map_err(|error| {
            format!("no running process answers at {url} (server.ops_listen): {error}")
        })?;
    serde_json::from_slice(&answer)
        .map_err(|_| format!("the program that answers at {url} is not countersign"))
}
