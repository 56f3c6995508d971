//! Notifications about changes of another replica, by `NOTIFY` on Postgres. Polling finds the same
//! changes within seconds, so a lost notification costs no more than that. Channels belong to a
//! database; the name of the schema, hashed because channel names are short, separates two
//! installations in one database.

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::store::{Conn, Result, on};

/// Connection options for listening.
#[derive(Clone)]
pub struct Listener(std::sync::Arc<PgConnectOptions>);

/// A connection that receives notifications.
pub struct KeyRingNotifications(PgListener);

const PREFIX: &str = "countersign_keys_";

impl Listener {
    pub(in crate::store) fn new(options: PgConnectOptions) -> Self {
        Self(options.into())
    }

    /// Connects and starts to listen.
    pub async fn listen(&self) -> Result<KeyRingNotifications> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with((*self.0).clone())
            .await?;
        let (schema,): (String,) = sqlx::query_as("SELECT md5(current_schema())")
            .fetch_one(&pool)
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(&format!("{PREFIX}{schema}")).await?;
        Ok(KeyRingNotifications(listener))
    }
}

impl KeyRingNotifications {
    /// Returns when the key ring has changed, or when the connection was lost and a notification
    /// may have been missed.
    pub async fn changed(&mut self) -> Result<()> {
        self.0.try_recv().await?;
        Ok(())
    }
}

/// Notifies the other replicas when the transaction commits.
pub(in crate::store) async fn announce(conn: &mut Conn) -> Result<()> {
    if conn.is_postgres() {
        on!(conn, c => sqlx::query("SELECT pg_notify($1 || md5(current_schema()), '')").bind(PREFIX).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}
