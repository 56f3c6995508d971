//! One connection and its time limits. hyper has a single limit, for headers, which also runs while
//! a connection is idle. Here each phase has a limit of its own, and when the process stops, all of
//! them are short.

mod stream;

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::admission::ConnectionPermit;
use super::bodies::{Answer, Asked};
pub(in crate::http) use stream::Watched;

/// How long a connection may wait for its client.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct ClientTimeouts {
    /// For the first byte, and for the rest of a header.
    pub(in crate::http) header: Duration,
    /// For the next request.
    pub(in crate::http) rest: Duration,
}

/// For the whole request of a connection in the reserve.
const ASIDE: Duration = Duration::from_secs(5);
/// For a client that does not read the answer.
const UNREAD: Duration = Duration::from_secs(30);
/// For any client after the process has begun to stop.
const STOPPING: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte has arrived yet.
    New,
    /// A part of a header has arrived.
    Header,
    /// A request is being processed.
    Request,
    /// The request is answered, but not everything is sent.
    Answered,
    /// The connection waits for the next request.
    Rest,
}

struct State {
    phase: Phase,
    since: Instant,
    /// Since when a handler has been waiting for the rest of a body.
    body_since: Option<Instant>,
    /// Since when the client has not read anything.
    unread_since: Option<Instant>,
}

/// The state of a connection, shared by its stream, its bodies and the task that serves it.
#[derive(Clone)]
pub(in crate::http) struct Watch {
    state: Arc<Mutex<State>>,
    permit: Arc<ConnectionPermit>,
    timeouts: ClientTimeouts,
}

impl Watch {
    pub(in crate::http) fn new(permit: ConnectionPermit, timeouts: ClientTimeouts) -> Self {
        let state = State {
            phase: Phase::New,
            since: Instant::now(),
            body_since: None,
            unread_since: None,
        };
        let timeouts = if permit.aside {
            ClientTimeouts {
                header: timeouts.header.min(ASIDE),
                ..timeouts
            }
        } else {
            timeouts
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            permit: Arc::new(permit),
            timeouts,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether only keys, discovery and health are answered on this connection.
    pub(in crate::http) fn is_aside(&self) -> bool {
        self.permit.aside
    }

    /// Records that a request has arrived; its body reports when it waits for the client.
    pub(in crate::http) fn begin(&self, body: hyper::body::Incoming) -> Body {
        self.state().enter(Phase::Request);
        self.permit.works();
        Body::new(Asked::new(body, self.clone()))
    }

    /// Wraps the answer; when its body has ended, it only remains to be sent.
    pub(in crate::http) fn answer(&self, body: Body) -> Body {
        Body::new(Answer::new(body, self.clone()))
    }

    /// Records whether a handler waits for more of a body. The time counts from its first wait, so
    /// that sending a byte now and then does not extend it.
    pub(in crate::http) fn waits_for_body(&self, waits: bool) {
        let mut state = self.state();
        state.body_since = if waits {
            state.body_since.or_else(|| Some(Instant::now()))
        } else {
            None
        };
    }

    /// Records that the answer is complete and only remains to be sent.
    pub(in crate::http) fn is_answered(&self) {
        self.state().enter(Phase::Answered);
    }

    /// Returns when the connection has waited too long; `None` if it does not wait for its client.
    fn deadline(&self, stopping: Option<Instant>) -> Option<Instant> {
        let state = self.state();
        let waits = match state.phase {
            Phase::New | Phase::Header => Some((state.since, self.timeouts.header)),
            Phase::Rest => Some((state.since, self.timeouts.rest)),
            // The limit for a body is applied where it is read.
            Phase::Request | Phase::Answered => None,
        };
        let unread = state.unread_since.map(|since| (since, UNREAD));
        let body = state.body_since;
        let own = waits
            .into_iter()
            .chain(unread)
            .map(|(since, time)| since + time);
        let began = waits
            .into_iter()
            .chain(unread)
            .map(|(since, _)| since)
            .chain(body);
        let at_stop =
            stopping.and_then(|stopping| began.map(|since| since.max(stopping) + STOPPING).min());
        own.chain(at_stop).min()
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, Instant::now());
    }
}

/// A connection that can be told to accept no further requests.
pub(in crate::http) trait Graceful: Future {
    /// Stops accepting requests; the current one is still answered.
    fn stop(self: Pin<&mut Self>);
}

/// Serves a connection until it ends, has waited too long for its client or has to make room. After
/// `stopping`, it accepts no further request. Returns `Err` with the reason if it was closed early.
pub(in crate::http) async fn drive<C: Graceful>(
    connection: C,
    watch: &Watch,
    stopping: CancellationToken,
) -> Result<C::Output, &'static str> {
    let (mut connection, mut told) = (pin!(connection), pin!(stopping.cancelled()));
    let mut gives_way = pin!(watch.permit.close.cancelled());
    let mut sleep = pin!(tokio::time::sleep(watch.timeouts.header));
    let mut stopped_at = None;
    std::future::poll_fn(|cx| {
        if stopped_at.is_none() && told.as_mut().poll(cx).is_ready() {
            stopped_at = Some(Instant::now());
            connection.as_mut().stop();
        }
        if let Poll::Ready(output) = connection.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if gives_way.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err("another connection needs its slot"));
        }
        // Only the connection itself changes what it waits for, so this deadline is current.
        let Some(deadline) = watch.deadline(stopped_at) else {
            return Poll::Pending;
        };
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep
            .as_mut()
            .poll(cx)
            .map(|()| Err("the client took too long"))
    })
    .await
}
