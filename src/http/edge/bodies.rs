//! The bodies of a connection: that of a request reports when its handler waits for the client,
//! that of an answer when it is complete.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};

use super::connection::Watch;

/// The body of a request on a watched connection.
pub(in crate::http) struct Asked {
    body: Incoming,
    watch: Watch,
}

impl Asked {
    pub(in crate::http) fn new(body: Incoming, watch: Watch) -> Self {
        Self { body, watch }
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() {
            self.watch.waits_for_body(true);
        } else if self.body.is_end_stream() || !matches!(frame, Poll::Ready(Some(Ok(_)))) {
            self.watch.waits_for_body(false);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.watch.waits_for_body(false);
    }
}

/// The body of an answer on a watched connection.
pub(in crate::http) struct Answer {
    body: Body,
    watch: Watch,
}

impl Answer {
    pub(in crate::http) fn new(body: Body, watch: Watch) -> Self {
        Self { body, watch }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.watch.is_answered();
    }
}
