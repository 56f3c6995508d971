//! Backups of a SQLite database: makes a consistent copy while the service is serving, and checks
//! whether the service could be restored from a copy with the master key of the settings.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::flows::key::bootstrap;
use crate::flows::{Error, Result};
use crate::model::kernel::database_url::DatabaseUrl;
use crate::model::kernel::time::Timestamp;
use crate::store::ops::backup;
use crate::store::ops::backup::Contents;

use super::diagnosis::{Diagnosis, Verdict};

/// A backup that was made.
#[derive(Debug)]
pub struct Backup {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The id of the master key that the backup needs.
    pub master_key: String,
    /// The number of users in it.
    pub users: i64,
    /// The time of the newest audit event in it.
    pub newest_event: Option<Timestamp>,
}

/// Writes a copy of the database into `file` with mode 0600 and checks it. The name `file` appears
/// once the copy is complete and on the disk.
///
/// # Errors
/// [`Error::WrongDatabase`] if it is on Postgres or was never served from, if `file` exists or
/// cannot be written, or if the copy is damaged.
pub async fn make(config: Config, clock: &Arc<dyn Clock>, file: &Path) -> Result<Backup> {
    let unwritable = |error: std::io::Error| {
        Error::WrongDatabase(format!("cannot write {}: {error}", file.display()))
    };
    let DatabaseUrl::Sqlite(database) = config.database.url.clone() else {
        return Err(Error::WrongDatabase("Postgres has pg_dump".into()));
    };
    let (_, db) = bootstrap::open_existing(config, clock).await?;
    db.close().await;
    let folder = folder_of(file);
    // Readable by this user only, and removed again unless it is given its name.
    let unnamed = tempfile::Builder::new()
        .prefix(".countersign-backup-")
        .tempfile_in(&folder)
        .map_err(unwritable)?;
    backup::copy(&database, unnamed.path()).await?;
    let damage = backup::damage(unnamed.path()).await?;
    if let Some(problem) = damage.first() {
        return Err(Error::WrongDatabase(format!(
            "the database is damaged, and so is its copy: {problem}"
        )));
    }
    let contents = backup::contents(unnamed.path()).await?;
    unnamed.as_file().sync_all().map_err(unwritable)?;
    let bytes = unnamed.as_file().metadata().map_err(unwritable)?.len();
    unnamed
        .persist_noclobber(file)
        .map_err(|error| unwritable(error.error))?;
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(unwritable)?;
    Ok(Backup {
        bytes,
        master_key: needed(&contents).unwrap_or_default(),
        users: contents.users,
        newest_event: contents.newest_event,
    })
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Returns the id of the master key under which the signing keys are sealed.
fn needed(contents: &Contents) -> Option<String> {
    let current = contents.current?;
    let version = contents
        .master_keys
        .iter()
        .find(|known| i64::from(known.version) == current)?;
    Some(version.key_id.clone())
}

/// What a check of a backup found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Each check and its result.
    pub diagnosis: Diagnosis,
    /// The id of the master key that the backup needs.
    pub master_key: Option<String>,
}

/// Checks a backup: that the file is sound, that this program knows its schema, and that the
/// settings name the master key that it needs. Writes nothing, and needs no other database.
pub async fn check(config: &Config, file: &Path) -> Checked {
    let mut checked = Checked::default();
    let found = &mut checked.diagnosis;
    if let Err(problem) = is_a_backup(file) {
        found.say("file", Verdict::Bad, problem);
        return checked;
    }
    match backup::damage(file).await {
        Ok(damage) if damage.is_empty() => {
            found.say("file", Verdict::Good, "integrity_check found no damage");
        }
        Ok(damage) => found.say("file", Verdict::Bad, damage.join("; ")),
        Err(error) => {
            found.say("file", Verdict::Bad, error.to_string());
            return checked;
        }
    }
    let contents = match backup::contents(file).await {
        Ok(contents) => contents,
        Err(error) => {
            found.say("schema", Verdict::Bad, error.to_string());
            return checked;
        }
    };
    match contents.missing_migrations {
        0 => found.say("schema", Verdict::Good, "current"),
        missing => found.say(
            "schema",
            Verdict::Good,
            format!("known; a start applies {missing} migration(s)"),
        ),
    }
    let newest = contents
        .newest_event
        .map_or_else(|| "none".into(), |at| at.to_string());
    let rows = format!("{} user(s), newest audit event {newest}", contents.users);
    found.say("contents", Verdict::Good, rows);
    checked.master_key = needed(&contents);
    let (verdict, says) = judge_master_key(config, checked.master_key.as_deref(), &contents);
    found.say("master key", verdict, says);
    checked
}

fn is_a_backup(file: &Path) -> std::result::Result<(), String> {
    let metadata = std::fs::metadata(file).map_err(|e| format!("{}: {e}", file.display()))?;
    if !metadata.is_file() {
        return Err(format!("{} is not a file", file.display()));
    }
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    // The newest rows would be missing.
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(format!(
            "{} lies beside it, so this is a database in use; `countersign database backup` makes a backup of one",
            Path::new(&log).display()
        ));
    }
    Ok(())
}

fn judge_master_key(
    config: &Config,
    needed: Option<&str>,
    contents: &Contents,
) -> (Verdict, String) {
    let Some(needed) = needed else {
        return (
            Verdict::Bad,
            "the backup names no master key: nothing was ever served from it".into(),
        );
    };
    let keys = match bootstrap::configured_master_keys(config) {
        Ok(keys) => keys,
        Err(error) => return (Verdict::Bad, format!("it needs {needed}; {error}")),
    };
    if keys.iter().any(|key| key.id() == needed) {
        return (
            Verdict::Good,
            format!("it needs {needed}, which is configured here"),
        );
    }
    let older = contents
        .master_keys
        .iter()
        .any(|known| keys.iter().any(|key| key.id() == known.key_id));
    let configured = match (keys.first(), older) {
        (None, _) => "none is configured here".to_owned(),
        (Some(key), true) => format!("{} is configured here, an earlier one", key.id()),
        (Some(key), false) => format!("{} is configured here", key.id()),
    };
    (
        Verdict::Bad,
        format!(
            "it needs {needed}, but {configured}; restore that key with the backup (COUNTERSIGN_MASTER_KEY_FILE, keys/master.key)"
        ),
    )
}
