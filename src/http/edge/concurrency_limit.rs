//! Limits the number of requests that are processed at once. One more than the settings allow is
//! refused before it costs anything, so that the others are answered in time. A client that is
//! still sending a body takes no permit: a thousand slow clients leave all permits to the others.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::flows;

use super::error::Error;

/// The permit of one request, from when its body has arrived until it is answered.
#[derive(Clone)]
pub(in crate::http) struct RequestPermit {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl RequestPermit {
    /// Takes a free permit, unless the request has one already.
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

/// Limits concurrent requests. Requests with a body take their permit in `body::read`.
pub(in crate::http) async fn limit(
    State(all): State<Arc<Semaphore>>,
    mut request: Request,
    next: Next,
) -> Response {
    let permit = RequestPermit {
        all,
        taken: Arc::default(),
    };
    // Only requests with a body wait for it before they take a permit.
    if (*request.method() != Method::POST || request.body().is_end_stream())
        && let Err(error) = permit.take()
    {
        return error.into_response();
    }
    request.extensions_mut().insert(permit.clone());
    let response = next.run(request).await;
    drop(permit);
    response
}
