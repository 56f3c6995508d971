//! Refuses networks that an operator has blocked, before anything else is done. The JWKS, discovery
//! and health are exempt: verifiers and load balancers may have the same IP address.

use axum::extract::Request;

use crate::app::App;
use crate::flows;
use crate::flows::limit::operate_limits;

use super::client::address;
use super::error::Error;

/// Refuses a request from a blocked network: 429, with the time until the block ends.
pub(in crate::http) fn check(app: &App, request: &Request) -> Result<(), Error> {
    address(app, request.extensions(), request.headers())
        .and_then(|ip| operate_limits::blocked(app, &ip.to_string()))
        .map_or(Ok(()), |left| {
            Err(Error::Flow(flows::Error::TooManyRequests(left)))
        })
}
