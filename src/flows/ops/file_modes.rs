//! Warns about files that other users of the machine can open: the database, and the folder of the
//! master key. The key file itself is refused if others can read it (`crypto::master_key`).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::Config;
use crate::model::kernel::database_url::DatabaseUrl;

/// Returns a warning for each file or folder that others may open, with what to do about it.
pub fn warnings(config: &Config) -> Vec<String> {
    let sources = &config.master_key;
    let keys = &config.keys.dir;
    let mut found = Vec::new();
    // A folder that holds no key of ours may be anything, such as a mounted volume.
    if sources.inline.is_none() && sources.file.is_none() {
        found.extend(open_to_others(keys).map(|mode| {
            format!(
                "the folder of the master key {} can be opened by other users (mode {mode:04o}): run `chmod 700 {0}`",
                keys.display()
            )
        }));
    }
    if let DatabaseUrl::Sqlite(file) = &config.database.url {
        found.extend(open_to_others(file).map(|mode| {
            format!(
                "the database {} can be opened by other users (mode {mode:04o}): run `chmod 600 {0}*`",
                file.display()
            )
        }));
    }
    found
}

/// Returns the mode if it allows anything to the group or to others; `None` also for what does not
/// exist.
fn open_to_others(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}
