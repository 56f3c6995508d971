//! The layers around every route, in one order: the request's id and log line outermost, then the
//! form of errors, then the limits of time and of concurrent requests, then the checks of text and
//! origin. Errors of any layer, panics and timeouts pass all layers outside of it, so that each has
//! the form that its client reads.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::Semaphore;

use crate::app::App;

use crate::http::edge::{blocks, concurrency_limit, cookies, origin, outermost, text};
use crate::http::pages;

/// Makes the permits for concurrent requests, which the API and the pages share.
pub fn permits(app: &App) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(app.config.server.max_requests))
}

/// Adds the layers of the API. A browser that navigates to it, by the link of a mail or by a form,
/// gets errors as pages.
pub fn of_api(
    app: &Arc<App>,
    permits: &Arc<Semaphore>,
    routes: Router<Arc<App>>,
) -> Router<Arc<App>> {
    bounded(app, permits, routes)
        .layer(from_fn_with_state(
            Arc::clone(app),
            pages::failures::show_to_people,
        ))
        .layer(origin::cors(&app.config.server.trusted_origins))
        .layer(from_fn_with_state(Arc::clone(app), origin::requested))
        .layer(from_fn(outermost::edge))
}

/// Adds the layers of the pages: as for the API, but every error is a page, and there is no CORS,
/// because no other origin needs to read a page.
pub fn of_pages(
    app: &Arc<App>,
    permits: &Arc<Semaphore>,
    routes: Router<Arc<App>>,
) -> Router<Arc<App>> {
    bounded(app, permits, routes)
        .layer(from_fn_with_state(Arc::clone(app), pages::failures::show))
        .layer(from_fn(outermost::edge))
}

/// Adds the layers of routes that only refuse. A page of a trusted origin must be able to read the
/// refusal: without CORS it would see a network error, and neither the status nor `Retry-After`.
pub(in crate::http) fn of_refusals(app: &Arc<App>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes
        .layer(from_fn_with_state(
            Arc::clone(app),
            pages::failures::show_to_people,
        ))
        .layer(origin::cors(&app.config.server.trusted_origins))
        .layer(from_fn_with_state(Arc::clone(app), origin::requested))
        .layer(from_fn(outermost::edge))
}

fn bounded(app: &Arc<App>, permits: &Arc<Semaphore>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes
        .layer(from_fn_with_state(Arc::clone(app), origin::guard))
        .layer(from_fn_with_state(Arc::clone(app), cookies::every_variant))
        .layer(from_fn_with_state(
            Arc::clone(permits),
            concurrency_limit::limit,
        ))
        .layer(from_fn_with_state(Arc::clone(app), blocks::guard))
        .layer(from_fn(text::guard))
        .layer(from_fn(outermost::bounded))
}
