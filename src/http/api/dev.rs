//! `/dev/…`: the API of `countersign dev` for tests of applications. `serve` has none of these
//! routes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::ops::dev::Dev;
use crate::model::kernel::loopback::LOOPBACK;

use crate::http::delivery::session_delivery::{deliver, session_options};
use crate::http::delivery::views;
use crate::http::edge::body::Fields;
use crate::http::edge::client::Client;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_EMAIL, MAX_WORD};
use crate::http::edge::origin::MayOutdateCache;
use crate::http::edge::query::Query;
use crate::http::edge::{error, origin, outermost};

/// Makes the routes under `/dev`, with the same check of the `Origin` as the API: a page of another
/// site cannot open sessions on a developer's machine.
pub fn router(app: &Arc<App>, dev: Dev) -> Router {
    Router::new()
        .route("/dev/inbox", get(inbox).delete(clear_inbox))
        .route("/dev/sessions", post(open_session))
        .route("/dev/clock", get(clock).post(move_clock))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(Extension(dev))
        .layer(from_fn(only_this_machine))
        .layer(from_fn_with_state(Arc::clone(app), of_trusted_origins))
        .layer(from_fn(outermost::edge))
        .layer(
            origin::cors(&app.config.server.trusted_origins).allow_methods([
                Method::GET,
                Method::POST,
                Method::DELETE,
            ]),
        )
        .with_state(Arc::clone(app))
}

/// Checks the `Origin` as the API does.
async fn of_trusted_origins(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let cache = MayOutdateCache::by(&app, &request);
    let mut response = match origin::guard(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    cache.forget(&app, &mut response);
    response
}

/// Refuses a `Host` that does not name this machine: a page whose host name resolves to 127.0.0.1
/// (DNS rebinding) would have the same origin.
async fn only_this_machine(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    if LOOPBACK.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        next.run(request).await
    } else {
        Error::InvalidOrigin(None).into_response()
    }
}

async fn inbox(
    State(app): State<Arc<App>>,
    Extension(dev): Extension<Dev>,
    mut query: Query,
) -> Result<Response, Error> {
    let to = query.text("to", MAX_EMAIL);
    let to = query.finish(to)?;
    let mails = dev.inbox(&app, to.as_deref()).await?;
    let items: Vec<Value> = mails
        .iter()
        .map(|mail| {
            json!({
                "id": mail.id,
                "to": mail.to,
                "subject": mail.content.subject,
                "text": mail.content.text,
                "html": mail.content.html,
                "links": mail.links(),
                "at": mail.at,
            })
        })
        .collect();
    Ok(Json(json!({ "items": items })).into_response())
}

async fn clear_inbox(State(app): State<Arc<App>>, Extension(dev): Extension<Dev>) -> Response {
    dev.clear_inbox(&app);
    Json(json!({ "success": true })).into_response()
}

async fn open_session(
    State(app): State<Arc<App>>,
    Extension(dev): Extension<Dev>,
    Client(requester): Client,
    body: Fields,
) -> Result<Response, Error> {
    let mut body = body.without_nulls();
    let user = body.text("user", MAX_EMAIL);
    let session = session_options(&mut body);
    let (user, (options, _)) = body.finish((user, session))?;
    let (user, grant) = dev.open_session(&app, &user, options, &requester).await?;
    let mut answer = json!({ "token": grant.session_token.expose(), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    deliver(&app, &grant, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

async fn clock(State(app): State<Arc<App>>) -> Response {
    Json(json!({ "now": app.now() })).into_response()
}

async fn move_clock(
    State(app): State<Arc<App>>,
    Extension(dev): Extension<Dev>,
    mut body: Fields,
) -> Result<Response, Error> {
    let text = body.text("advance", MAX_WORD);
    let problem = "expected a duration such as 15m, 7d or -1h";
    let by = body.check("advance", text, problem, |text| signed_ms(&text));
    let by = body.finish(by)?;
    let now = dev.move_clock(&app, by).await?;
    Ok(Json(json!({ "now": now })).into_response())
}

/// Parses `15m` and the like, with an optional sign, to milliseconds.
fn signed_ms(text: &str) -> Option<i64> {
    let (sign, length) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let length = humantime::parse_duration(length.strip_prefix('+').unwrap_or(length)).ok()?;
    i64::try_from(length.as_millis()).ok().map(|ms| sign * ms)
}
