//! `serve`: bind, start the keys and the schedule, serve until SIGTERM or Ctrl-C, finish what is
//! under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, MovableClock};
use crate::config::{Blocklist, Config, OpsListen};
use crate::flows::audit::{audit_ends, record_startup};
use crate::flows::key::bootstrap;
use crate::flows::ops::dev::Dev;
use crate::http;
use crate::http::edge::server::{KEPT_ASIDE, Limits, Routes};
use crate::jobs::Jobs;
use crate::random::OsRandom;

use super::{Failure, Result, start};

/// Serves until a signal. With `dev`: on the clock that tests move, and with the doors of
/// `countersign dev`.
pub(super) async fn run(config: Config, dev: Option<(Dev, Arc<MovableClock>)>) -> Result<()> {
    forbid_core_dumps();
    allow_connections(config.server.max_connections);
    // Bound before anything is opened: a second instance on the same address is told at once.
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
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.passwords.blocklist == Blocklist::OffOnLoopback {
        tracing::warn!(
            "frequent passwords are accepted, because the public URL is loopback (passwords.blocklist is auto)"
        );
    }
    let (public_url, base_path) = (
        config.server.public_url.clone(),
        config.server.base_path.clone(),
    );
    let limits = limits(&config);
    let app = Arc::new(match &dev {
        Some((_, clock)) => {
            bootstrap::start(
                config,
                Arc::clone(clock) as Arc<dyn Clock>,
                Arc::new(OsRandom),
            )
            .await?
        }
        None => start(config).await?,
    });
    let mut router = http::router(&app);
    if let Some((dev, _)) = dev {
        dev.ensure_user(&app).await?;
        router = router.merge(http::api::dev::router(&app, dev));
    }
    record_startup::announce(&app).await?;
    let jobs = Jobs::start(&app)
        .await
        .map_err(|e| Failure::Internal(format!("cannot start the schedule: {e}")))?;
    tracing::info!(%address, %public_url, jwks = format!("http://{address}{base_path}/jwks"), "serving");
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
    // Watched to the end: that it is stopping shows there too.
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
        Ok(Err(error)) => tracing::warn!(%error, "the ends of the audit chains are not in the log"),
        Err(_) => {
            tracing::warn!("not all ends of the audit chains are in the log: it took too long");
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

/// Connections that the kernel keeps while they wait to be accepted (as far as `net.core.somaxconn`
/// goes): beyond it a client believes that it is connected and nobody knows of it.
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

/// Connections to the operations listener.
const OPERATORS: usize = 64;

/// How long the ends of the audit chains may take at the stop.
const ENDS_TOLD: Duration = Duration::from_secs(5);

/// How long their last answers are waited for.
const OPERATORS_END: Duration = Duration::from_millis(500);

/// The operations listener. Where nobody has asked for one, another program may have the address.
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
            tracing::warn!(%address, %error, "no metrics: the address is taken; set server.ops_listen to another, or to off");
            Ok(None)
        }
    }
}

/// glibc's switch for transparent huge pages in large allocations; it is read once, before `main`.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// argon2 walks 19 MiB at random: with huge pages it is one to five per cent faster (measured; the
/// heap stays as small). And the block is always mapped by itself: left to its habits glibc takes
/// later ones from the heap and does not give them back (96 MB after four floods of 20 s, 36 MB
/// after five of 15 s so). The switches can only be set before a program starts, so `serve` starts
/// itself again, under the same pid, unless the operator has set the variable.
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
        // Only a failure comes back; without huge pages everything works too.
        tracing::debug!(%error, "could not start again");
    }
}

/// Resolves at SIGTERM or Ctrl-C, once the process says that it is not ready.
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

/// A connection is an open file, and a shell usually allows 1,024: as many more as the system lets
/// us.
fn allow_connections(wanted: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// The database, the log, the listeners; the connections beyond the limit.
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
            "server.max_connections is more than this system's limit of open files lets in (ulimit -n)"
        );
    }
}

/// Keys and passwords are in this process's memory: no core file, no ptrace by the same user.
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
