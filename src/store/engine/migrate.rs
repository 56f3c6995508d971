//! The versions of the schema: `migrations/sqlite` and `migrations/postgres`, with the same file
//! names, embedded in the binary. A schema that is newer than the program is refused at start;
//! programs that start at the same time wait for each other. A running program can serve a schema
//! that is one version ahead, because every migration only adds what the previous version can
//! ignore (`docs/decisions/0006`).

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::SqliteConnectOptions;

use super::conn::Conn;
use super::foreign;
use super::postgres_options;
use crate::model::kernel::database_url::DatabaseUrl;
use crate::store::{Error, Options, Result, on};

/// The longest wait for a connection to migrate or check the schema; no requests are served yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Migrations that this version can serve without until they are applied.
const DISPENSABLE: &[i64] = &[];

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Migrates the SQLite file, or only checks whether its schema can be served.
pub(in crate::store) async fn sqlite(
    options: &SqliteConnectOptions,
    path: &Path,
    migrate: bool,
) -> Result<()> {
    let _lock = lock(path)?;
    let mut connection = options.connect().await?;
    if migrate {
        SQLITE.run(&mut connection).await.map_err(translate)?;
    } else {
        will_do(&SQLITE, &applied(&mut connection, &SQLITE).await?)?;
    }
    sqlx::Connection::close(connection).await?;
    Ok(())
}

/// Locks the database for migration, because SQLite migrations take no lock of their own. The lock
/// ends with the file handle, and so with the process.
fn lock(path: &Path) -> Result<std::fs::File> {
    let beside = path.with_extension("lock");
    let unavailable =
        |e: std::io::Error| Error::Unavailable(format!("cannot lock {}: {e}", beside.display()));
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&beside)
        .map_err(unavailable)?;
    file.lock().map_err(unavailable)?;
    Ok(file)
}

/// Migrates the Postgres schema, or only checks whether it can be served. sqlx's own lock is for a
/// whole database; this one is for the schema.
pub(in crate::store) async fn postgres(options: &PgConnectOptions, migrate: bool) -> Result<()> {
    // A migration may take longer than a request.
    let mut connection = connect(
        options
            .clone()
            .options([("statement_timeout", "0"), ("lock_timeout", "0")]),
    )
    .await?;
    if migrate {
        sqlx::query("SELECT pg_advisory_lock(hashtextextended('countersign migrate ' || current_schema(), 0))").execute(&mut connection).await?;
        // A process that holds a table must not make all others queue behind this migration.
        sqlx::query("SET lock_timeout = '5s'")
            .execute(&mut connection)
            .await?;
        // The statements of a migration and its record are in one transaction, so no migration is
        // half applied.
        run_postgres(&mut connection).await?;
    } else {
        will_do(&POSTGRES, &applied(&mut connection, &POSTGRES).await?)?;
    }
    sqlx::Connection::close(connection).await?;
    Ok(())
}

/// Connects within the time limit: a server may accept a connection and then not answer.
pub(super) async fn connect(options: PgConnectOptions) -> Result<PgConnection> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    Ok(connected.map_err(|_| Error::Unavailable("the database does not answer".into()))??)
}

async fn run_postgres(connection: &mut PgConnection) -> Result<()> {
    let migrator = Migrator {
        migrations: POSTGRES.migrations.clone(),
        locking: false,
        ..Migrator::DEFAULT
    };
    for _ in 1..ATTEMPTS {
        match migrator.run(&mut *connection).await {
            Err(error) if was_deadlocked(&error) => {
                tracing::warn!(
                    "a migration was rolled back because of a deadlock and is started again"
                );
            }
            outcome => return outcome.map_err(translate),
        }
    }
    migrator.run(connection).await.map_err(translate)
}

/// How many times a migration that is rolled back by a deadlock is tried.
const ATTEMPTS: u32 = 5;

/// Returns whether Postgres chose the migration as the victim of a deadlock. One migration may lock
/// several tables while replicas of the earlier release lock the same ones in another order. Each
/// migration is one transaction, so it is rolled back as a whole and may be run again.
fn was_deadlocked(error: &MigrateError) -> bool {
    const DEADLOCK_DETECTED: &str = "40P01";
    let (MigrateError::Execute(sqlx::Error::Database(cause))
    | MigrateError::ExecuteMigration(sqlx::Error::Database(cause), _)) = error
    else {
        return false;
    };
    cause.code().as_deref() == Some(DEADLOCK_DETECTED)
}

/// Returns the applied versions if a start would accept them: all of them known, none of them half
/// applied, and each with the text that this program has. `run`, which applies migrations, refuses
/// the same.
async fn applied<C: Migrate>(connection: &mut C, known: &Migrator) -> Result<Vec<i64>> {
    let found: Vec<AppliedMigration> =
        match connection.list_applied_migrations(&known.table_name).await {
            Ok(found) => found,
            Err(MigrateError::Execute(sqlx::Error::Database(e)))
                if e.message().contains("no such table")
                    || e.code().as_deref() == Some("42P01") =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(translate(error)),
        };
    if let Some(version) = connection
        .dirty_version(&known.table_name)
        .await
        .map_err(translate)?
    {
        return Err(Error::Migration(format!(
            "migration {version} was started but not completed; restore a backup"
        )));
    }
    for applied in &found {
        let ours = known
            .iter()
            .find(|m| m.version == applied.version)
            .ok_or(Error::SchemaTooNew(applied.version))?;
        if ours.checksum != applied.checksum {
            return Err(Error::Migration(format!(
                "migration {} was applied with another text than this program has",
                applied.version
            )));
        }
    }
    Ok(found.into_iter().map(|m| m.version).collect())
}

/// Checks whether a program that may not migrate can serve the schema: it may lack only migrations
/// that this program can serve without.
fn will_do(known: &Migrator, applied: &[i64]) -> Result<()> {
    let missing: Vec<i64> = known
        .iter()
        .map(|m| m.version)
        .filter(|v| !applied.contains(v))
        .collect();
    if missing.iter().any(|v| !DISPENSABLE.contains(v)) || applied.is_empty() {
        let count = missing.len();
        return Err(Error::Unsupported(format!(
            "the schema lacks {count} migration(s); `countersign migrate` applies them"
        )));
    }
    Ok(())
}

/// Returns the versions that this program knows and the database at `url` lacks; writes nothing.
pub async fn pending(url: &DatabaseUrl, options: &Options) -> Result<Vec<(i64, String)>> {
    let (known, applied) = match url {
        DatabaseUrl::Postgres(url) => {
            let direct = postgres_options::direct_connect_options(url, options)?;
            let found = applied(&mut connect(direct).await?, &POSTGRES).await?;
            (&POSTGRES, found)
        }
        DatabaseUrl::Sqlite(file) if file.exists() => {
            foreign::refuse(file).await?;
            let connect = SqliteConnectOptions::new().filename(file).read_only(true);
            let found = applied(&mut connect.connect().await?, &SQLITE).await?;
            (&SQLITE, found)
        }
        DatabaseUrl::Sqlite(_) => (&SQLITE, Vec::new()),
    };
    let missing = known.iter().filter(|m| !applied.contains(&m.version));
    Ok(missing
        .map(|m| (m.version, m.description.to_string()))
        .collect())
}

/// Returns the number of migrations that the SQLite file lacks, which is opened as the options say.
pub(in crate::store) async fn missing_in(options: &SqliteConnectOptions) -> Result<usize> {
    let found = applied(&mut options.connect().await?, &SQLITE).await?;
    Ok(SQLITE
        .iter()
        .filter(|m| !found.contains(&m.version))
        .count())
}

/// Returns whether this program can serve the schema: its own version, one migration more (during
/// an upgrade), or fewer if it can serve without them.
pub async fn is_served(conn: &mut Conn) -> Result<bool> {
    let known = if conn.is_postgres() {
        &POSTGRES
    } else {
        &SQLITE
    };
    let found: Vec<(i64,)> = on!(conn, c => sqlx::query_as("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(c).await)?;
    let ours: Vec<i64> = known.iter().map(|m| m.version).collect();
    let more = found.iter().filter(|(v,)| !ours.contains(v)).count();
    let lacks = ours
        .iter()
        .any(|v| !DISPENSABLE.contains(v) && !found.iter().any(|(f,)| f == v));
    Ok(more <= 1 && !lacks)
}

fn translate(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => Error::SchemaTooNew(version),
        MigrateError::Execute(error) => error.into(),
        failed @ MigrateError::ExecuteMigration(..) => {
            Error::Migration(format!("{failed}; nothing of this migration was kept"))
        }
        other => Error::Migration(other.to_string()),
    }
}
