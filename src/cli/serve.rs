//! `serve`: binds the listeners, starts the keys and the schedule, serves until SIGTERM or Ctrl-C,
//! and finishes current requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, MovableClock, SystemClock};
use crate::config::{Config, OpsListen};
use crate::flows::audit::{audit_ends, record_startup};
use crate::flows::key::bootstrap;
use crate::flows::ops::checklist::{Facts, make_list};
use crate::flows::ops::dev::Dev;
use crate::flows::ops::file_modes;
use crate::http;
use crate::http::edge::server::{KEPT_ASIDE, Limits, Routes};
use crate::jobs::Jobs;
use crate::random::OsRandom;

use super::{Failure, Result, checklist};

/// Serves until a signal. With `dev`: on the clock that tests move, and with the API of
/// `countersign dev`.
pub(super) async fn run(config: Config, dev: Option<(Dev, Arc<MovableClock>)>) -> Result<()> {
    forbid_core_dumps();
    allow_connections(config.server.max_connections);
    // Bound before anything is opened, so that a second instance on the same address fails at once.
    let listen = config.server.listen;
    let listener = bind(listen).map_err(|e| {
        Failure::Startup(format!(
            "cannot listen on {listen}: {e}; is another instance running? (setting server.listen)"
        ))
    })?;
    let address = listener
        .local_addr()
        .map_err(|e| Failure::Internal(e.to_string()))?;
    let ops = match config.server.ops_listen {
        Some(wanted) => operations(wanted)?,
        None => None,
    };
    let public_url = config.server.public_url.clone();
    // `dev` makes a new database each time.
    let is_new = dev.is_none() && bootstrap::require_database(&config).is_err();
    let limits = limits(&config);
    let clock: Arc<dyn Clock> = match &dev {
        Some((_, clock)) => Arc::clone(clock) as Arc<dyn Clock>,
        None => Arc::new(SystemClock),
    };
    let app = Arc::new(bootstrap::start(config, clock, Arc::new(OsRandom)).await?);
    for warning in file_modes::warnings(&app.config) {
        tracing::warn!("{warning}");
    }
    let mut router = http::router(&app);
    if let Some((dev, _)) = dev {
        dev.ensure_user(&app).await?;
        router = router.merge(http::api::dev::router(&app, dev));
    }
    record_startup::announce(&app).await?;
    let jobs = Jobs::start(&app)
        .await
        .map_err(|e| Failure::Internal(format!("cannot start the schedule: {e}")))?;
    let facts = Facts::of(&app, is_new).await;
    checklist::log(&app.config.log, &make_list(&app.config, &facts));
    tracing::info!(%address, %public_url, "serving");
    let stop = stop_signal(Arc::clone(&app))?;
    let served = CancellationToken::new();
    let watched = ops.map(|listener| {
        let few = Limits {
            connections: OPERATORS,
            per_network: OPERATORS,
            ..limits.clone()
        };
        let (operators, served) = (http::ops_router(&app), served.clone());
        let answered = Routes {
            all: operators.clone(),
            essential: operators,
        };
        tokio::spawn(async move {
            http::edge::server::serve(listener, answered, few, served.cancelled_owned()).await
        })
    });
    let answered = Routes {
        all: router,
        essential: http::essential_router(&app),
    };
    let finished = http::edge::server::serve(listener, answered, limits, stop).await;
    // It runs until the end, because it also shows that the process is stopping.
    served.cancel();
    if let Some(watched) = watched {
        drop(tokio::time::timeout(OPERATORS_END, watched).await);
    }
    if !finished {
        tracing::warn!("some connections did not finish in time");
    }
    jobs.stop().await;
    match tokio::time::timeout(ENDS_TOLD, audit_ends::tell(&app, Duration::ZERO)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "the ends of the audit chains could not be logged");
        }
        Err(_) => {
            tracing::warn!("not all ends of the audit chains were logged in time");
        }
    }
    app.db.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn limits(config: &Config) -> Limits {
    let server = &config.server;
    Limits {
        connections: server.max_connections,
        per_network: server.max_connections_per_network,
        proxies: server.trusted_proxies.clone(),
        header_time: server.header_timeout,
        keep_alive: server.keep_alive,
    }
}

/// Connections that the kernel queues until they are accepted (at most `net.core.somaxconn`).
/// Beyond it a client believes that it is connected although the process never sees the connection.
const BACKLOG: u32 = 4_096;

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The greatest number of connections to the operations listener.
const OPERATORS: usize = 64;

/// The time limit for logging the ends of the audit chains at shutdown.
const ENDS_TOLD: Duration = Duration::from_secs(5);

/// The time limit for the last answers of the operations listener.
const OPERATORS_END: Duration = Duration::from_millis(500);

/// Binds the operations listener. If the operator has not set it, another program may use the
/// address.
fn operations(wanted: OpsListen) -> Result<Option<TcpListener>> {
    let address = wanted.address;
    match bind(address) {
        Ok(listener) => {
            tracing::info!(
                metrics = format!("http://{address}/metrics"),
                "for operators"
            );
            Ok(Some(listener))
        }
        Err(error) if wanted.asked => Err(Failure::Startup(format!(
            "cannot listen on {address}: {error} (setting server.ops_listen)"
        ))),
        Err(error) => {
            tracing::warn!(%address, %error, "no metrics: the address is in use; set server.ops_listen to another address, or to off");
            Ok(None)
        }
    }
}

/// The environment variable with glibc's switch for transparent huge pages in large allocations; it
/// is read once, before `main`.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Restarts `serve` once, under the same pid, with glibc settings for argon2, unless the operator
/// has set the variable; they can only be set before a program starts. argon2 reads 19 MiB at
/// random, which is one to five per cent faster with huge pages (measured; the heap stays as
/// small). The block is always allocated by a mapping of its own: by default glibc takes later
/// blocks from the heap and does not return them (96 MB after four floods of 20 s, compared with 36
/// MB after five of 15 s).
pub(super) fn restart_with_huge_pages() {
    use std::os::unix::process::CommandExt;
    if !cfg!(all(target_os = "linux", target_env = "gnu")) || std::env::var_os(TUNABLES).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let error = std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(
                TUNABLES,
                "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4194304",
            )
            .exec();
        // Returns only after a failure; everything also works without huge pages.
        tracing::debug!(%error, "could not restart with huge pages");
    }
}

/// Resolves at SIGTERM or Ctrl-C, after marking the process as not ready.
fn stop_signal(app: Arc<crate::app::App>) -> Result<impl Future<Output = ()>> {
    let failed = |e: std::io::Error| Failure::Internal(format!("cannot listen for signals: {e}"));
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).map_err(failed)?,
        signal(SignalKind::interrupt()).map_err(failed)?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        app.drain();
        tracing::info!("stopping");
    })
}

/// Raises the limit of open files, since each connection is one and a shell usually allows 1,024:
/// as far as the system permits.
fn allow_connections(wanted: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Files for the database, the log, the listeners, and the connections of the reserve.
    const OTHERS: u64 = 256 + KEPT_ASIDE as u64;
    let (now, wanted) = (getrlimit(Resource::Nofile), wanted as u64 + OTHERS);
    let Some(current) = now.current.filter(|current| *current < wanted) else {
        return;
    };
    let allowed = now
        .maximum
        .map_or(wanted, |most| most.min(wanted))
        .max(current);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(allowed),
            maximum: now.maximum,
        },
    ) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "server.max_connections is higher than this system's limit of open files allows (ulimit -n)"
        );
    }
}

/// Forbids core files, and ptrace by the same user, because keys and passwords are in this
/// process's memory.
fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
    {
        tracing::warn!(%error, "could not forbid core dumps");
    }
}
