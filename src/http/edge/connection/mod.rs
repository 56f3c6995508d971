//! One connection: what it waits for and for how long. hyper has one time limit, for headers, and
//! it runs while a connection rests; here the parts have limits of their own, and when the process
//! stops nothing waits for a client for long.

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
pub(in crate::http) struct Patience {
    /// For the first byte, and for a header that has begun.
    pub(in crate::http) header: Duration,
    /// For the next request.
    pub(in crate::http) rest: Duration,
}

/// For the whole request on a place that is kept aside.
const ASIDE: Duration = Duration::from_secs(5);
/// For a client that reads nothing of what it is sent.
const UNREAD: Duration = Duration::from_secs(30);
/// For any client, once the process is stopping.
const STOPPING: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet.
    New,
    /// A header has begun.
    Header,
    /// A request is worked on.
    Request,
    /// It is answered, but not everything is sent.
    Answered,
    /// The next request may come.
    Rest,
}

struct State {
    phase: Phase,
    since: Instant,
    /// Since when a handler waits for the rest of a body.
    body_since: Option<Instant>,
    /// Since when the client takes nothing.
    unread_since: Option<Instant>,
}

/// What is known of a connection, shared by its stream, its bodies and the task that serves it.
#[derive(Clone)]
pub(in crate::http) struct Watch {
    state: Arc<Mutex<State>>,
    place: Arc<ConnectionPermit>,
    patience: Patience,
}

impl Watch {
    pub(in crate::http) fn new(place: ConnectionPermit, patience: Patience) -> Self {
        let state = State {
            phase: Phase::New,
            since: Instant::now(),
            body_since: None,
            unread_since: None,
        };
        let patience = if place.aside {
            Patience {
                header: patience.header.min(ASIDE),
                ..patience
            }
        } else {
            patience
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            place: Arc::new(place),
            patience,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this connection is answered only keys, discovery and health.
    pub(in crate::http) fn is_aside(&self) -> bool {
        self.place.aside
    }

    /// A request has come; its body tells when it waits for the client.
    pub(in crate::http) fn begin(&self, body: hyper::body::Incoming) -> Body {
        self.state().enter(Phase::Request);
        self.place.works();
        Body::new(Asked::new(body, self.clone()))
    }

    /// The answer; once its body is gone, what is left is to send it.
    pub(in crate::http) fn answer(&self, body: Body) -> Body {
        Body::new(Answer::new(body, self.clone()))
    }

    /// A handler waits for more of a body, or no longer does. Counted from the first time it did
    /// not come at once: a byte now and then is no progress.
    pub(in crate::http) fn waits_for_body(&self, waits: bool) {
        let mut state = self.state();
        state.body_since = if waits {
            state.body_since.or_else(|| Some(Instant::now()))
        } else {
            None
        };
    }

    /// The answer is made; what is left is to send it.
    pub(in crate::http) fn is_answered(&self) {
        self.state().enter(Phase::Answered);
    }

    /// When it has waited for too long; `None`: it does not wait for its client.
    fn deadline(&self, stopping: Option<Instant>) -> Option<Instant> {
        let state = self.state();
        let waits = match state.phase {
            Phase::New | Phase::Header => Some((state.since, self.patience.header)),
            Phase::Rest => Some((state.since, self.patience.rest)),
            // How long a body may take is said where it is read.
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

/// A connection that can be told to take no further request.
pub(in crate::http) trait Graceful: Future {
    /// What is under way is still answered.
    fn stop(self: Pin<&mut Self>);
}

/// Serves a connection until it ends, waits for its client for too long or has to give way. Once
/// `stopping`, it takes no further request. `Err`: why it was cut off.
pub(in crate::http) async fn drive<C: Graceful>(
    connection: C,
    watch: &Watch,
    stopping: CancellationToken,
) -> Result<C::Output, &'static str> {
    let (mut connection, mut told) = (pin!(connection), pin!(stopping.cancelled()));
    let mut gives_way = pin!(watch.place.close.cancelled());
    let mut sleep = pin!(tokio::time::sleep(watch.patience.header));
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
            return Poll::Ready(Err("another connection needs its place"));
        }
        // Nothing but the connection itself changes what it waits for, so this is always the
        // newest.
        let Some(deadline) = watch.deadline(stopped_at) else {
            return Poll::Pending;
        };
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep
            .as_mut()
            .poll(cx)
            .map(|()| Err("its client took too long"))
    })
    .await
}
