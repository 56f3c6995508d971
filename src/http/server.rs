//! The listener: hyper with the limits that `axum::serve` does not set. Slow headers are cut off, connections are counted, and at
//! shutdown what is under way is finished within a bound.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use super::edge;
use super::error::{Error, Unhurried};

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Before a refusal because of too much is sent: half a second to one and a half, spread evenly, so that those who are refused together do not come
/// again together.
fn pause() -> Duration {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    Duration::from_millis(500 + REFUSED.fetch_add(618, Ordering::Relaxed) % 1_000)
}

/// At shutdown, for what is under way.
const DRAIN: Duration = Duration::from_secs(30);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At once; more wait in the kernel's queue.
    pub connections: usize,
    /// For the headers of a request, and between two requests of a connection.
    pub header_time: Duration,
}

/// Serves until `stop` resolves, then finishes what is under way. Returns whether all of it finished in time.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) -> bool {
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let builder = builder(limits.header_time);
    tokio::pin!(stop);
    loop {
        // A place first: beyond the limit connections wait in the kernel's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.ok(),
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => handle(&builder, &graceful, stream, peer, router.clone(), place),
            Err(error) => {
                // Out of file descriptors: give connections time to end instead of spinning.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_ok()
}

/// HTTP/1.1 alone: to find out which version a connection speaks hyper-util waits without a limit, and proxies speak 1.1 to us.
fn builder(header_time: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_time).max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
    builder
}

/// RFC 9112 section 3.2: exactly one `Host`, but for HTTP/1.0. Which one says nothing to us: no link, no rule and no cookie is made of it.
fn names_one_host(request: &hyper::Request<Incoming>) -> bool {
    let named = request.headers().get_all(hyper::header::HOST).iter().count();
    named == 1 || named == 0 && request.version() == hyper::Version::HTTP_10
}

fn handle(builder: &http1::Builder, graceful: &GracefulShutdown, stream: TcpStream, peer: SocketAddr, router: Router, place: Option<OwnedSemaphorePermit>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move {
            let answer =
                if names_one_host(&request) { router.oneshot(request).await? } else { edge::refuse(Error::BadRequest("a request names one host".into())) };
            if answer.extensions().get::<Unhurried>().is_some() {
                // Who floods waits for each refusal, and costs next to nothing meanwhile.
                tokio::time::sleep(pause()).await;
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(place);
    });
}
