//! Limits the number of requests that are processed at once. One more than the settings allow is
//! refused before it costs anything, so that the others are answered in time. A client that is
//! still sending a body takes no permit: a thousand slow clients leave all permits to the others.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::Method;
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

/// Takes a permit for a request, or refuses it: 503. A request with a body takes its permit in
/// `body::read`. The permit is held for as long as the returned value lives.
pub(in crate::http) fn admit(
    all: &Arc<Semaphore>,
    request: &mut Request,
) -> Result<RequestPermit, Error> {
    let permit = RequestPermit {
        all: Arc::clone(all),
        taken: Arc::default(),
    };
    // Only requests with a body wait for it before they take a permit.
    if *request.method() != Method::POST || request.body().is_end_stream() {
        permit.take()?;
    }
    request.extensions_mut().insert(permit.clone());
    Ok(permit)
}
