//! The listener: hyper with the limits that `axum::serve` does not set. Connections are counted,
//! clients that do not go on are cut off, and at shutdown what is under way is finished within a
//! bound.

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
use super::connection::{Graceful, Patience, Watch, Watched, drive};
use super::error::{DelayedRefusal, Error};
use super::outermost;

pub use super::admission::KEPT_ASIDE;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Before a refusal because of too much is sent: half a second to one and a half, spread evenly, so
/// that those who are refused together do not come again together.
fn refusal_delay() -> Duration {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    Duration::from_millis(500 + REFUSED.fetch_add(618, Ordering::Relaxed) % 1_000)
}

/// At shutdown, for what is under way.
const DRAIN: Duration = Duration::from_secs(30);

/// What connections may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// At once. Beyond them [`KEPT_ASIDE`] more are let in, for one request each.
    pub connections: usize,
    /// At once from one IPv4 address or one IPv6 /64; twice as many from a /24, a /56 or a /48.
    pub per_network: usize,
    /// Peers to whom `per_network` does not apply.
    pub proxies: Vec<IpNet>,
    /// For the headers of a request.
    pub header_time: Duration,
    /// Between two requests of a connection.
    pub keep_alive: Duration,
}

/// What a listener answers.
#[derive(Debug, Clone)]
pub struct Routes {
    /// Within the limits.
    pub all: Router,
    /// Over a limit of connections.
    pub essential: Router,
}

/// Serves until `stop` resolves, then finishes what is under way. Returns whether all of it
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
    let patience = Patience {
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
                let Some(place) = admission.admit(peer.ip()) else {
                    tracing::debug!(%peer, "a connection was closed: all places are being answered");
                    continue;
                };
                drop(tasks.spawn(handle(
                    builder.clone(),
                    stream,
                    peer,
                    routes.clone(),
                    Watch::new(place, patience),
                    stopping.clone(),
                )));
            }
            Err(error) => {
                // Out of file descriptors: give connections time to end instead of spinning.
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

/// HTTP/1.1 alone: to find out which version a connection speaks hyper-util waits without a limit,
/// and proxies speak 1.1 to us. hyper's own limit of time would also cut off a connection that
/// rests; `connection` has ours.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
}

/// RFC 9112 section 3.2: exactly one `Host`, but for HTTP/1.0. Which one says nothing to us: no
/// link, no rule and no cookie is made of it.
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
        return outermost::refuse(Error::BadRequest("a request names one host".into()));
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
        // One request: the next one needs the place.
        answer
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else if answer.extensions().get::<DelayedRefusal>().is_some() {
        // Who floods waits for each refusal, and costs next to nothing meanwhile.
        tokio::time::sleep(refusal_delay()).await;
    }
    answer
}
