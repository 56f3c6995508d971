//! How many requests are worked on at once. One more than the settings allow is refused before it
//! costs anything, so that those under way are answered in time. Who is still sending a body takes
//! no place: a thousand slow clients leave all of them to the others.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::flows;

use super::error::Error;

/// The place of one request, from when its body has come until it is answered.
#[derive(Clone)]
pub(in crate::http) struct RequestPermit {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl RequestPermit {
    /// Takes one of those that are free, unless it has one.
    pub(in crate::http) fn take(&self) -> Result<(), Error> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_none() {
            *taken = Some(
                Arc::clone(&self.all)
                    .try_acquire_owned()
                    .map_err(|_| Error::Flow(flows::Error::Busy))?,
            );
        }
        Ok(())
    }
}

/// The layer; `body::read` takes the place of a request that has a body.
pub(in crate::http) async fn limit(
    State(all): State<Arc<Semaphore>>,
    mut request: Request,
    next: Next,
) -> Response {
    let place = RequestPermit {
        all,
        taken: Arc::default(),
    };
    // A body is waited for where one is read, and nowhere else.
    if (*request.method() != Method::POST || request.body().is_end_stream())
        && let Err(error) = place.take()
    {
        return error.into_response();
    }
    request.extensions_mut().insert(place.clone());
    let response = next.run(request).await;
    drop(place);
    response
}
