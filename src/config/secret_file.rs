//! Files with secrets that the operator names: a mounted Kubernetes Secret, a systemd credential,
//! any other file. Symbolic links are followed (a mounted Secret is one), and the checks apply to
//! the opened file. The key file that this program creates has stricter rules
//! (`crypto::master_key`).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The reason why a file was refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Error {
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    #[error("cannot read {}: {}", .0.display(), .1)]
    Unreadable(PathBuf, std::io::Error),
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} belongs to another user (uid {}); it must belong to this process' user or to root", .0.display(), .1)]
    WrongOwner(PathBuf, u32),
    #[error(
        "{} can be read or written by others (mode {:04o}); run `chmod 600` on it. In Kubernetes give the volume `defaultMode: 0400` and the pod an fsGroup, in Docker Swarm give the secret `mode: 0400`",
        .0.display(), .1
    )]
    TooOpen(PathBuf, u32),
    #[error("{} holds more than {MAX_BYTES} bytes", .0.display())]
    TooLong(PathBuf),
}

const MAX_BYTES: u64 = 64 * 1024;

/// Reads a secret from a file and trims white space at both ends.
pub fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    // Non-blocking: opening a FIFO would hang until another process writes to it.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::Missing(path.to_owned()),
            _ => unreadable(error),
        })?;
    let opened = file.metadata().map_err(unreadable)?;
    let found = Found {
        is_file: opened.is_file(),
        owner: opened.uid(),
        mode: opened.mode() & 0o777,
    };
    found.check(rustix::process::geteuid().as_raw(), path)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::TooLong(path.to_owned()));
    }
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// The metadata of the opened file.
struct Found {
    is_file: bool,
    owner: u32,
    mode: u32,
}

impl Found {
    /// Checks that it is a regular file of this user or of root that others can neither read nor
    /// write. If root owns it, its group may read it: that is how Kubernetes (`fsGroup`) and
    /// systemd (credentials, by an access list that shows as the group's bits) pass a file to a
    /// service.
    fn check(&self, user: u32, path: &Path) -> Result<(), Error> {
        const ROOT: u32 = 0;
        if !self.is_file {
            return Err(Error::NotAFile(path.to_owned()));
        }
        if self.owner != user && self.owner != ROOT {
            return Err(Error::WrongOwner(path.to_owned(), self.owner));
        }
        let forbidden = if self.owner == ROOT { 0o037 } else { 0o077 };
        if self.mode & forbidden == 0 {
            Ok(())
        } else {
            Err(Error::TooOpen(path.to_owned(), self.mode))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_the_owner_reads_it_and_the_group_where_root_owns_it() {
        let path = Path::new("x");
        let check = |owner: u32, mode: u32, user: u32| {
            Found {
                is_file: true,
                owner,
                mode,
            }
            .check(user, path)
        };
        for (owner, mode, user) in [
            (1_000, 0o600, 1_000),
            (1_000, 0o400, 1_000),
            (0, 0o440, 1_000),
            (0, 0o640, 1_000),
            (0, 0o400, 0),
            (0, 0o440, 0),
        ] {
            assert!(check(owner, mode, user).is_ok(), "{owner} {mode:o} {user}");
        }
        for mode in [0o640, 0o440, 0o604, 0o620, 0o644, 0o666] {
            assert!(
                matches!(check(1_000, mode, 1_000), Err(Error::TooOpen(_, found)) if found == mode),
                "{mode:o}"
            );
        }
        for mode in [0o444, 0o644, 0o460, 0o660, 0o450, 0o402] {
            assert!(
                matches!(check(0, mode, 1_000), Err(Error::TooOpen(..))),
                "{mode:o}"
            );
        }
        assert!(matches!(
            check(1_001, 0o600, 1_000),
            Err(Error::WrongOwner(_, 1_001))
        ));
        assert!(matches!(
            Found {
                is_file: false,
                owner: 0,
                mode: 0o400
            }
            .check(0, path),
            Err(Error::NotAFile(_))
        ));
    }

    #[test]
    fn links_are_followed_and_the_file_behind_them_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("..2026")).unwrap();
        std::fs::write(at("..2026/secret"), "geheim\n").unwrap();
        symlink("..2026", at("..data")).unwrap();
        symlink("..data/secret", at("secret")).unwrap();
        let allow = |mode: u32| {
            std::fs::set_permissions(at("..2026/secret"), std::fs::Permissions::from_mode(mode))
                .unwrap();
        };
        allow(0o400);
        assert_eq!(*read(&at("secret")).unwrap(), "geheim");
        allow(0o444);
        assert!(matches!(read(&at("secret")), Err(Error::TooOpen(..))));
        symlink("nothing", at("dangling")).unwrap();
        assert!(matches!(read(&at("dangling")), Err(Error::Missing(_))));
        assert!(matches!(read(&at("..data")), Err(Error::NotAFile(_))));
        // A FIFO is refused at once; the read does not wait for it.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(matches!(read(&at("fifo")), Err(Error::NotAFile(_))));
    }
}
