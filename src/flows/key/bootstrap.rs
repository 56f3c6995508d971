//! Builds the program on its database: collects the configured master keys, and on a new database
//! creates the key file and the first keys.

use std::path::Path;
use std::sync::Arc;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Database, secret_file};
use crate::crypto::master_key::{self, MasterKey};
use crate::model::kernel::database_url::DatabaseUrl;
use crate::random::{self, Random};
use crate::store::{self, Db, work};

use crate::flows::key::change_keys::ensure_keys;
use crate::flows::{Error, Result};

/// The name of the key file in `keys.dir`.
pub const KEY_FILE: &str = "master.key";

/// Builds the program and its key ring; on an empty database creates the first keys.
pub async fn start(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<App> {
    // Boxed: a start runs much code, and otherwise the future of every caller would contain all of
    // it.
    let app = Box::pin(build(config, clock, random)).await?;
    Box::pin(ensure_keys(&app)).await?;
    Ok(app)
}

/// Builds the program without its key ring; on an empty database records the first master key.
async fn build(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<App> {
    // A key file that cannot be read is refused before a database is created.
    configured_master_keys(&config)?;
    let db = App::open_db(&config, Arc::clone(&clock)).await?;
    require_complete(&config, &db).await?;
    let keys = load_master_keys(&config, &db, &*random).await?;
    adopt_first(&db, &keys[0]).await?;
    Ok(App::build(config, clock, random, keys, db)?)
}

/// Builds the program on a database that has been served from before; neither creates nor adopts a
/// master key.
pub async fn build_existing(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<App> {
    let (config, db) = open_existing(config, &clock).await?;
    let keys = load_master_keys(&config, &db, &*random).await?;
    Ok(App::build(config, clock, random, keys, db)?)
}

/// Builds the program and its key ring on a database that has been served from before.
pub async fn start_existing(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<App> {
    let app = Box::pin(build_existing(config, clock, random)).await?;
    Box::pin(ensure_keys(&app)).await?;
    Ok(app)
}

/// Refuses a database file that does not exist or is empty. Only `serve`, `migrate` and `dev` create one; for
/// every other command a missing file is the wrong directory or the wrong settings.
///
/// # Errors
/// [`Error::WrongDatabase`] with the path and the source of the setting.
pub fn require_database(config: &Config) -> Result<()> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) if std::fs::metadata(path).is_ok_and(|file| file.len() > 0) => {
            Ok(())
        }
        DatabaseUrl::Sqlite(_) => Err(Error::WrongDatabase(format!(
            "no database at {} (from {}): is this the right directory, or is --config missing?",
            config.database_name(),
            config.source_in_words("database.url"),
        ))),
        DatabaseUrl::Postgres(_) => Ok(()),
    }
}

/// Refuses a database into which a copy was begun and not completed.
async fn require_complete(config: &Config, db: &Db) -> Result<()> {
    if db
        .read(work!(conn => store::engine::copy::is_unfinished(conn).await))
        .await?
    {
        return Err(Error::WrongDatabase(format!(
            "a copy into {} (from {}) was begun and not completed: run the same `countersign database copy` again",
            config.database_name(),
            config.source_in_words("database.url"),
        )));
    }
    Ok(())
}

/// Opens a database that has been served from before, without applying migrations.
///
/// # Errors
/// [`Error::WrongDatabase`] if there is none.
pub(in crate::flows) async fn open_existing(
    config: Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Config, Db)> {
    require_database(&config)?;
    let database = Database {
        migrate: false,
        ..config.database.clone()
    };
    let config = Config { database, ..config };
    let db = App::open_db(&config, Arc::clone(clock)).await?;
    require_complete(&config, &db).await?;
    let known = db
        .read(work!(conn => store::key::master_keys::list(conn).await))
        .await?;
    // A first start that ended before it had made keys has served nothing.
    let ring = db
        .read(work!(conn => store::key::signing_keys::id(conn).await))
        .await?;
    if known.is_empty() || ring.version == 0 {
        return Err(Error::WrongDatabase(format!(
            "nothing was ever served from {} (from {}): is this the right database, or is --config missing? `countersign serve` sets a new one up",
            config.database_name(),
            config.source_in_words("database.url"),
        )));
    }
    Ok((config, db))
}

/// Builds the program for an operator who has lost the master key: creates a key file if there is
/// none and the settings name no key.
pub async fn build_without_master_key(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<App> {
    let (config, db) = open_existing(config, &clock).await?;
    let keys = match load_master_keys(&config, &db, &*random).await {
        Err(Error::MasterKeyMissing { .. }) => vec![Arc::new(MasterKey::create(
            &config.keys.dir.join(KEY_FILE),
            random::bytes(&*random),
        )?)],
        loaded => loaded?,
    };
    Ok(App::build(config, clock, random, keys, db)?)
}

/// Collects the configured master keys, the primary one first. Creates the key file only if the
/// database has no keys yet.
async fn load_master_keys(
    config: &Config,
    db: &Db,
    random: &dyn Random,
) -> Result<Vec<Arc<MasterKey>>> {
    let primary = match named_primary(config)? {
        Some(key) => key,
        None => key_file(config, db, random).await?,
    };
    let mut keys = vec![Arc::new(primary)];
    keys.extend(previous(config)?);
    Ok(keys)
}

/// Returns the configured master keys that exist, the primary one first; creates none and needs no
/// database.
pub fn configured_master_keys(config: &Config) -> Result<Vec<Arc<MasterKey>>> {
    let primary = match named_primary(config)? {
        Some(key) => Some(key),
        None => MasterKey::read(&config.keys.dir.join(KEY_FILE))?,
    };
    let mut keys: Vec<Arc<MasterKey>> = primary.map(Arc::new).into_iter().collect();
    keys.extend(previous(config)?);
    Ok(keys)
}

/// Returns the primary master key if the settings name one.
fn named_primary(config: &Config) -> Result<Option<MasterKey>> {
    let sources = &config.master_key;
    Ok(match (&sources.inline, &sources.file) {
        (Some(text), _) => Some(MasterKey::parse(&text.0, "COUNTERSIGN_MASTER_KEY")?),
        (None, Some(path)) => Some(named_key(path)?),
        (None, None) => None,
    })
}

/// Returns the previous master keys that the settings name.
fn previous(config: &Config) -> Result<Vec<Arc<MasterKey>>> {
    let sources = &config.master_key;
    let mut keys = Vec::new();
    if let Some(text) = &sources.previous {
        keys.push(Arc::new(MasterKey::parse(
            &text.0,
            "COUNTERSIGN_PREVIOUS_MASTER_KEY",
        )?));
    }
    if let Some(path) = &sources.previous_file {
        keys.push(Arc::new(named_key(path)?));
    }
    Ok(keys)
}

/// Reads the master key in a file that the operator names, which may be a symbolic link (a mounted
/// Secret).
pub fn named_key(path: &Path) -> std::result::Result<MasterKey, master_key::Error> {
    let text =
        secret_file::read(path).map_err(|error| master_key::Error::File(error.to_string()))?;
    MasterKey::parse(&text, &path.display().to_string())
}

async fn key_file(config: &Config, db: &Db, random: &dyn Random) -> Result<MasterKey> {
    let path = config.keys.dir.join(KEY_FILE);
    if let Some(key) = MasterKey::read(&path)? {
        return Ok(key);
    }
    let versions = db
        .read(work!(conn => store::key::master_keys::list(conn).await))
        .await?;
    if let Some(newest) = versions.last() {
        // Another first start may have created file and row between the two checks: the file always
        // comes first.
        if let Some(key) = MasterKey::read(&path)? {
            return Ok(key);
        }
        let shown = std::path::absolute(&path).unwrap_or(path);
        return Err(Error::MasterKeyMissing {
            path: shown.display().to_string(),
            source_of_path: config.source_in_words("keys.dir"),
            wanted: newest.key_id.clone(),
        });
    }
    tracing::info!(path = %path.display(), "created a master key");
    Ok(MasterKey::create(&path, random::bytes(random))?)
}

/// Records the master key as version 1 if this is the first process on a new database; a second one
/// at the same time finds that it was late.
async fn adopt_first(db: &Db, key: &MasterKey) -> Result<()> {
    let id = key.id().to_owned();
    let known = db
        .read(work!(conn => store::key::master_keys::list(conn).await))
        .await?;
    if !known.is_empty() {
        return Ok(());
    }
    let adopted = db
        .write(work!(conn => {
            if store::key::master_keys::list(conn).await?.is_empty() {
                store::key::master_keys::adopt(conn, 1, &id, conn.now()).await?;
            }
            Ok(())
        }))
        .await;
    match adopted {
        // Two first starts at the same time: opening the ring shows whose key was recorded.
        Err(store::Error::Conflict) => Ok(()),
        outcome => Ok(outcome?),
    }
}
