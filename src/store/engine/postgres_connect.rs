//! New connections to a Postgres server, which may be unavailable.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnection;
use tokio::time::timeout_at;

use super::conn::Conn;
use super::postgres::{Pool, lock};
use crate::store::{Error, Result};

/// After a refused connection, no caller tries again for this long.
const KNOCK: Duration = Duration::from_millis(200);

impl Pool {
    /// Fails at once while the server is known to refuse connections.
    pub(super) fn refuse_while_shut(&self) -> Result<()> {
        match &*lock(&self.0.shut_until) {
            Some((until, reason)) if Instant::now() < *until => {
                Err(Error::Unavailable(reason.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Lets one caller at a time try to connect while the server refuses connections; the others
    /// get the last error at once.
    fn knock(&self) -> Result<()> {
        self.refuse_while_shut()?;
        if let Some((until, _)) = &mut *lock(&self.0.shut_until) {
            *until = Instant::now() + self.0.options.acquire_timeout;
        }
        Ok(())
    }

    /// Opens a new connection before `end`.
    pub(super) async fn connect(&self, end: Instant) -> Result<Conn> {
        self.knock()?;
        let connected = timeout_at(end.into(), self.0.connect.connect()).await;
        let connected: Result<PgConnection> = match connected {
            Ok(outcome) => outcome.map_err(Error::from),
            Err(_) => Err(Error::Unavailable("the database does not answer".into())),
        };
        match connected {
            Ok(connection) => {
                *lock(&self.0.shut_until) = None;
                let (chain, options) = (
                    self.0.chains.fetch_add(1, Ordering::Relaxed),
                    &self.0.options,
                );
                Ok(Conn::postgres(
                    connection,
                    chain,
                    self.0.begin.clone(),
                    options.prepared_statements,
                    options.clock.clone(),
                    options.faults.clone(),
                ))
            }
            Err(error) => {
                let reason = error.to_string();
                *lock(&self.0.shut_until) = Some((Instant::now() + KNOCK, reason.clone()));
                // Whatever error the server gives a new connection, the request may be tried again.
                Err(Error::Unavailable(reason))
            }
        }
    }
}
