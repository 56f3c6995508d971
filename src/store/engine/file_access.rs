//! Refuses a SQLite database whose files this process cannot use, before it is opened: SQLite itself
//! only reports a read-only database, and not which file or whose.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::store::{Error, Result};

/// Checks that this process may read and write the database, the files that SQLite keeps beside it
/// and the lock. The folder matters only where one of them has to be created.
///
/// # Errors
/// [`Error::Unsupported`] with the file, its owner and what to do.
pub fn check(database: &Path) -> Result<()> {
    let files = [
        database.to_owned(),
        beside(database, "-wal"),
        beside(database, "-shm"),
        database.with_extension("lock"),
    ];
    for file in files.iter().filter(|file| file.exists()) {
        may(file, Access::READ_OK | Access::WRITE_OK, database)?;
    }
    // The folder of a relative path such as `x.db` is empty.
    let folder = database.parent().map(|folder| match folder.as_os_str() {
        name if name.is_empty() => Path::new("."),
        _ => folder,
    });
    match folder {
        Some(folder) if files.iter().any(|file| !file.exists()) && folder.exists() => {
            may(folder, Access::WRITE_OK | Access::EXEC_OK, folder)
        }
        _ => Ok(()),
    }
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(ending);
    PathBuf::from(name)
}

fn may(path: &Path, rights: Access, of: &Path) -> Result<()> {
    match access(path, rights) {
        Err(Errno::ACCESS | Errno::PERM) => Err(Error::Unsupported(denied(path, of))),
        Err(Errno::ROFS) => Err(Error::Unsupported(format!(
            "cannot write {}: its file system is mounted read-only",
            path.display()
        ))),
        // Opening it says what else is wrong.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Returns what to say of a path. SQLite gives its files beside the database the database's mode, so
/// that all of them may have to be changed.
fn denied(path: &Path, of: &Path) -> String {
    let user = rustix::process::geteuid().as_raw();
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(found) if found.uid() == user => format!(
            "cannot write {shown}: its mode is {:04o}; run `chmod u+rwX {}{}`",
            found.mode() & 0o777,
            of.display(),
            if of.is_file() { "*" } else { "" }
        ),
        Ok(found) => format!(
            "cannot write {shown}: it belongs to uid {} (mode {:04o}), and this process runs as uid {user}; run the command as the user of the service, or `chown` the file to that user",
            found.uid(),
            found.mode() & 0o777
        ),
        Err(error) => format!("cannot write {shown} as uid {user}: {error}"),
    }
}
