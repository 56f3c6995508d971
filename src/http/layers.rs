//! The steps around every route, in one order: the request's id and log line outermost, then the
//! form of errors, then the limits of time and of concurrent requests, then the checks of text and
//! origin. Errors of any step, panics and timeouts pass all steps outside of it, so that each has
//! the form that its client reads.
//!
//! The steps are functions that a few layers call one after another, not a layer each: axum boxes
//! and clones every layer below for each request, which costs more than the steps do.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::app::App;

use crate::http::edge::client::Proxies;
use crate::http::edge::cookies::Carried;
use crate::http::edge::counted::Counted;
use crate::http::edge::headers::Budget;
use crate::http::edge::origin::MayOutdateCache;
use crate::http::edge::outermost::Arrival;
use crate::http::edge::{blocks, concurrency_limit, origin, outermost, outside, text};
use crate::http::pages::failures::ErrorPage;

/// Makes the permits for concurrent requests, which the API and the pages share.
pub fn permits(app: &App) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(app.config.server.max_requests))
}

/// What the layers know besides the request.
#[derive(Clone)]
struct Shared {
    app: Arc<App>,
    permits: Arc<Semaphore>,
}

/// Adds the layers of the API. A browser that navigates to it, by the link of a mail or by a form,
/// gets errors as pages.
pub fn of_api(
    app: &Arc<App>,
    permits: &Arc<Semaphore>,
    routes: Router<Arc<App>>,
) -> Router<Arc<App>> {
    let shared = Shared {
        app: Arc::clone(app),
        permits: Arc::clone(permits),
    };
    routes
        .layer(from_fn_with_state(shared, around_api))
        .layer(origin::cors(&app.config.server.trusted_origins))
        .layer(from_fn_with_state(Arc::clone(app), around_cors))
}

/// Adds the layers of the pages: as for the API, but every error is a page, and there is no CORS,
/// because no other origin needs to read a page.
pub fn of_pages(
    app: &Arc<App>,
    permits: &Arc<Semaphore>,
    routes: Router<Arc<App>>,
) -> Router<Arc<App>> {
    let shared = Shared {
        app: Arc::clone(app),
        permits: Arc::clone(permits),
    };
    routes.layer(from_fn_with_state(shared, around_pages))
}

/// Adds the layers of routes that only refuse. A page of a trusted origin must be able to read the
/// refusal: without CORS it would see a network error, and neither the status nor `Retry-After`.
pub(in crate::http) fn of_refusals(app: &Arc<App>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes
        .layer(from_fn_with_state(Arc::clone(app), around_refusals))
        .layer(origin::cors(&app.config.server.trusted_origins))
        .layer(from_fn_with_state(Arc::clone(app), around_cors))
}

/// Adds what every answer passes last, also the answers of keys, discovery and health. `proxies`
/// finds those that the settings do not name.
pub(in crate::http) fn of_everything(
    app: &Arc<App>,
    proxies: Option<Proxies>,
    routes: Router<Arc<App>>,
) -> Router<Arc<App>> {
    routes.layer(from_fn_with_state(
        (Arc::clone(app), proxies.map(Arc::new)),
        around_everything,
    ))
}

async fn around_everything(
    State((app, proxies)): State<(Arc<App>, Option<Arc<Proxies>>)>,
    request: Request,
    next: Next,
) -> Response {
    let counted = Counted::begin(&request);
    let budget = Budget::of(&app, request.headers());
    if let Some(proxies) = proxies {
        proxies.notice_untrusted(&request);
    }
    let mut response = next.run(request).await;
    if app.config.is_https() {
        outermost::require_https(response.headers_mut());
    }
    let mut response = outside::outward(&app.config.server.mount, response).await;
    budget.keep(&app, response.headers_mut());
    counted.end(&app, &response);
    response
}

async fn around_cors(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let arrival = Arrival::of(&mut request);
    let work = async {
        origin::limit_requested(&app, &mut request);
        next.run(request).await
    };
    arrival.answer(work).await
}

async fn around_api(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (page, request) = ErrorPage::for_people(&shared.app, request).await;
    let response = outermost::bounded(checked(&shared, request, next)).await;
    match page {
        Some(page) => page.show(&shared.app, response),
        None => response,
    }
}

async fn around_refusals(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (page, request) = ErrorPage::for_people(&app, request).await;
    let response = next.run(request).await;
    match page {
        Some(page) => page.show(&app, response),
        None => response,
    }
}

async fn around_pages(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let arrival = Arrival::of(&mut request);
    let work = async {
        let (page, request) = ErrorPage::of(&shared.app, request).await;
        let response = outermost::bounded(checked(&shared, request, next)).await;
        page.show(&shared.app, response)
    };
    arrival.answer(work).await
}

/// Handles a request that passes every check; each check may refuse it.
async fn checked(shared: &Shared, mut request: Request, next: Next) -> Response {
    let Shared { app, permits } = shared;
    if let Err(error) = text::check(request.uri()).and_then(|()| blocks::check(app, &request)) {
        return error.into_response();
    }
    let permit = match concurrency_limit::admit(permits, &mut request) {
        Ok(permit) => permit,
        Err(error) => return error.into_response(),
    };
    let carried = Carried::by(app, request.headers());
    let cache = MayOutdateCache::by(app, &request);
    let mut response = match origin::guard(app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    cache.forget(app, &mut response);
    carried.clear_variants(app, response.headers_mut());
    drop(permit);
    response
}
