//! What stands around every route, in one order: the request's id and log line outside, then the
//! shape of a refusal, then the limits of time and of requests at once, then the checks of text and
//! origin. A refusal of any of them, a panic and a request that ran out of time pass all that is
//! outside of them, so each has the shape that its client reads.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::Semaphore;

use crate::app::App;

use super::{blocks, concurrency_limit, cookies, origin, outermost, text};
use crate::http::pages;

/// How many requests are worked on at once; the API and the pages share them.
pub fn places(app: &App) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(app.config.server.max_requests))
}

/// Around the API. A browser that navigates there, to the link of a mail or by a form, reads a page
/// where something is refused.
pub fn of_api(
    app: &Arc<App>,
    places: &Arc<Semaphore>,
    routes: Router<Arc<App>>,
) -> Router<Arc<App>> {
    bounded(app, places, routes)
        .layer(from_fn_with_state(
            Arc::clone(app),
            pages::failures::show_to_people,
        ))
        .layer(origin::cors(&app.config.server.trusted_origins))
        .layer(from_fn_with_state(Arc::clone(app), origin::requested))
        .layer(from_fn(outermost::edge))
}

/// Around the pages: as the API, but every refusal is a page, and there is no CORS, for no other
/// origin has business with a page.
pub fn of_pages(
    app: &Arc<App>,
    places: &Arc<Semaphore>,
    routes: Router<Arc<App>>,
) -> Router<Arc<App>> {
    bounded(app, places, routes)
        .layer(from_fn_with_state(Arc::clone(app), pages::failures::show))
        .layer(from_fn(outermost::edge))
}

/// Around what only refuses. A trusted page of another origin must be allowed to read the refusal:
/// without CORS it would see a network error, and neither the status nor `Retry-After`.
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

fn bounded(app: &Arc<App>, places: &Arc<Semaphore>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes
        .layer(from_fn_with_state(Arc::clone(app), origin::guard))
        .layer(from_fn_with_state(Arc::clone(app), cookies::every_variant))
        .layer(from_fn_with_state(
            Arc::clone(places),
            concurrency_limit::limit,
        ))
        .layer(from_fn_with_state(Arc::clone(app), blocks::guard))
        .layer(from_fn(text::guard))
        .layer(from_fn(outermost::bounded))
}
