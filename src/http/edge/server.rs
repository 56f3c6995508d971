//! The listener: hyper with the limits that `axum::serve` does not set. Connections are counted,
//! idle or slow clients are disconnected, and at shutdown current requests are finished within a
//! time limit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::admission::{Admission, Caps};
use super::connection::{ClientTimeouts, Graceful, Watch, Watched, drive};
use super::error::{DelayedRefusal, Error};
use super::outermost;

pub use super::admission::KEPT_ASIDE;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Returns the delay before a refusal because of load is sent: random between 0.5 and 1.5 s, so
/// that clients that are refused together do not return together.
fn refusal_delay() -> Duration {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    Duration::from_millis(500 + REFUSED.fetch_add(618, Ordering::Relaxed) % 1_000)
}

/// The time limit at shutdown for current requests.
const DRAIN: Duration = Duration::from_secs(30);

/// The limits of connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once. Beyond them [`KEPT_ASIDE`] more are accepted, for one request each.
    pub connections: usize,
    /// Connections at once from one IPv4 address or one IPv6 /64; twice as many from a /24, a /56
    /// or a /48.
    pub per_network: usize,
    /// Peers to which `per_network` does not apply.
    pub proxies: Vec<IpNet>,
    /// The time limit for the headers of a request.
    pub header_time: Duration,
    /// The idle time between two requests of a connection.
    pub keep_alive: Duration,
}

/// The routes of a listener.
#[derive(Debug, Clone)]
pub struct Routes {
    /// For connections within the limits.
    pub all: Router,
    /// For connections over a limit.
    pub essential: Router,
}

/// Serves until `stop` resolves, then finishes current requests. Returns whether all of them
/// finished in time.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> bool {
    let admission = Admission::new(Caps {
        all: limits.connections,
        network: limits.per_network,
        proxies: limits.proxies,
    });
    let timeouts = ClientTimeouts {
        header: limits.header_time,
        rest: limits.keep_alive,
    };
    let (stopping, tasks, builder) = (CancellationToken::new(), TaskTracker::new(), builder());
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(permit) = admission.admit(peer.ip()) else {
                    tracing::debug!(%peer, "a connection was closed: the reserve is full");
                    continue;
                };
                drop(tasks.spawn(handle(
                    builder.clone(),
                    stream,
                    peer,
                    routes.clone(),
                    Watch::new(permit, timeouts),
                    stopping.clone(),
                )));
            }
            Err(error) => {
                // Out of file descriptors: wait until connections end instead of looping.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    stopping.cancel();
    tasks.close();
    tokio::time::timeout(DRAIN, tasks.wait()).await.is_ok()
}

/// Makes hyper's builder for HTTP/1.1 only: to detect the version of a connection hyper-util waits
/// without a limit, and proxies use 1.1. hyper's own time limit would also close idle connections;
/// `connection` has separate limits.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
}

/// Checks that there is exactly one `Host` (RFC 9112 section 3.2), except for HTTP/1.0. Its value
/// is not used: no link, no rule and no cookie depends on it.
fn names_one_host(request: &hyper::Request<Body>) -> bool {
    let named = request
        .headers()
        .get_all(hyper::header::HOST)
        .iter()
        .count();
    named == 1 || named == 0 && request.version() == hyper::Version::HTTP_10
}

impl<S> Graceful for http1::Connection<TokioIo<Watched<TcpStream>>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    fn stop(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn handle(
    builder: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    routes: Routes,
    watch: Watch,
    stopping: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
        let mut request = request.map(|body| watch.begin(body));
        request.extensions_mut().insert(ConnectInfo(peer));
        let (routes, watch) = (&routes, &watch);
        async move {
            Ok::<_, Infallible>(
                answer(request, routes, watch.is_aside())
                    .await
                    .map(|body| watch.answer(body)),
            )
        }
    });
    let connection =
        builder.serve_connection(TokioIo::new(Watched::new(stream, watch.clone())), service);
    match drive(connection, &watch, stopping).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        Err(reason) => tracing::debug!(reason, "a connection was closed"),
    }
}

async fn answer(request: hyper::Request<Body>, routes: &Routes, aside: bool) -> Response {
    if !names_one_host(&request) {
        return outermost::refuse(Error::BadRequest(
            "a request must have exactly one Host header".into(),
        ));
    }
    let chosen = if aside {
        &routes.essential
    } else {
        &routes.all
    };
    let mut answer = chosen
        .clone()
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    if aside {
        // One request: the next connection needs the slot.
        answer
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else if answer.extensions().get::<DelayedRefusal>().is_some() {
        // A client that floods waits for each refusal, which costs almost nothing meanwhile.
        tokio::time::sleep(refusal_delay()).await;
    }
    answer
}
