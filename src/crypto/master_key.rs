//! The master key: 32 bytes outside the database, from which HKDF-SHA256 derives every other secret key.
//! Owns the key file and its rules. The table `key_ring` says which loaded key is current.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::cookie_purpose::Purpose;
use super::labels::{
    CEREMONY, CODE, DECOY, ID, LATE, MAIL, NEXT, PRESENTER_TAG, PRESENTERS, SEAL, TAG, TOTP,
    UPSTREAM,
};
use super::{decode_array, encode};

/// The reason why a master key could not be read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Error {
    #[error(
        "{0} must hold 32 bytes as 43 characters of base64url; make one with `head -c32 /dev/urandom | basenc --base64url | tr -d =`"
    )]
    Malformed(String),
    #[error("the master key: {0}")]
    File(String),
    #[error("{0} is a placeholder, not a random key")]
    Placeholder(String),
    #[error("cannot read the master key {path}: {source}{}", remedy(.source))]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write the master key {path}: {source}")]
    Unwritable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the master key {path} is readable by others (mode {mode:04o}); run `chmod 600 {path}`", path = .path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("the master key {0} is not a regular file of this user")]
    UntrustedFile(PathBuf),
    #[error(
        "the master key {path} belongs to uid {owner}, and this process runs as uid {user}: run the command as the user of the service (`runuser -u NAME -- …`)"
    )]
    ForeignFile {
        path: PathBuf,
        owner: u32,
        user: u32,
    },
}

/// Returns what to do about a file that cannot be read; empty if the error says it.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "; it must belong to the user that runs countersign, with the mode 0600"
        }
        _ => "",
    }
}

/// A master key and all keys that are derived from it.
#[derive(ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    id: String,
    secret: [u8; 32],
    pub(super) seal: [u8; 32],
    tag: [u8; 32],
    next: [u8; 32],
    late: [u8; 32],
    /// The keys of signed values, by the index of the purpose in [`Purpose::ALL`].
    cookies: [[u8; 32]; Purpose::ALL.len()],
    mail: [u8; 32],
    pub(super) presenters: [u8; 32],
    presenter_tag: [u8; 32],
    pub(super) totp: [u8; 32],
    pub(super) code: [u8; 32],
    pub(super) ceremony: [u8; 32],
    pub(super) upstream: [u8; 32],
    pub(super) decoy: [u8; 32],
}

impl MasterKey {
    /// Derives all keys from 32 bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, &secret);
        let derive = |label: &[u8]| {
            let mut key = [0; 32];
            hkdf.expand(label, &mut key)
                .expect("32 bytes are a valid length");
            key
        };
        let id = encode(&derive(ID)[..12]);
        Self {
            id,
            secret,
            seal: derive(SEAL),
            tag: derive(TAG),
            next: derive(NEXT),
            late: derive(LATE),
            cookies: Purpose::ALL.map(|purpose| derive(purpose.label())),
            mail: derive(MAIL),
            presenters: derive(PRESENTERS),
            presenter_tag: derive(PRESENTER_TAG),
            totp: derive(TOTP),
            code: derive(CODE),
            ceremony: derive(CEREMONY),
            upstream: derive(UPSTREAM),
            decoy: derive(DECOY),
        }
    }

    /// Returns the public id of the key, which reveals nothing about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Parses the text form. `name` is the source, for the error message.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let secret: Zeroizing<[u8; 32]> = Zeroizing::new(
            decode_array(text.trim()).ok_or_else(|| Error::Malformed(name.to_owned()))?,
        );
        // A random key has fewer than eight different bytes with a probability of 10^-37.
        let mut distinct = Zeroizing::new(secret.to_vec());
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < 8 {
            return Err(Error::Placeholder(name.to_owned()));
        }
        Ok(Self::new(*secret))
    }

    /// Reads a key file: a regular file of this user or of root, not a symbolic link, without
    /// permissions for others. Returns `Ok(None)` if it does not exist.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let unreadable = |source| Error::Unreadable {
            path: path.to_owned(),
            source,
        };
        let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) if path.is_symlink() => {
                tracing::debug!(error = %e, "refused a symbolic link");
                return Err(Error::UntrustedFile(path.to_owned()));
            }
            Err(e) => return Err(unreadable(e)),
        };
        check_rights(&file, path)?;
        let mut text = Zeroizing::new(String::new());
        file.take(4096)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Self::parse(&text, &path.display().to_string()).map(Some)
    }

    /// Writes a new key file with mode 0600, whatever the umask; never overwrites an existing one.
    pub fn create(path: &Path, secret: [u8; 32]) -> Result<Self, Error> {
        let unwritable = |source| Error::Unwritable {
            path: path.to_owned(),
            source,
        };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(unwritable)?;
        }
        // The file is written under another name and linked into place, so that a crash leaves no
        // partial file and two simultaneous first starts agree on one key.
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(unwritable)?;
        let text = Zeroizing::new(format!("{}\n", &*Zeroizing::new(encode(&secret))));
        let written = file
            .set_permissions(std::fs::Permissions::from_mode(0o600))
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        match written {
            Ok(()) => removed.map_err(unwritable)?,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Self::read(path)?.ok_or_else(|| unwritable(e));
            }
            Err(e) => return Err(unwritable(e)),
        }
        Ok(Self::new(secret))
    }

    pub(super) fn tag_mac(&self) -> Hmac<Sha256> {
        mac(&self.tag)
    }

    pub(super) fn next_mac(&self) -> Hmac<Sha256> {
        mac(&self.next)
    }

    pub(super) fn late_mac(&self) -> Hmac<Sha256> {
        mac(&self.late)
    }

    pub(super) fn mail_mac(&self) -> Hmac<Sha256> {
        mac(&self.mail)
    }

    pub(super) fn presenter_mac(&self) -> Hmac<Sha256> {
        mac(&self.presenter_tag)
    }

    pub(super) fn cookie_mac(&self, purpose: Purpose) -> Hmac<Sha256> {
        mac(&self.cookies[purpose as usize])
    }
}

pub(in crate::crypto) fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// Returns whether a key file of this owner is good for a process of this user.
fn may_own(owner: u32, user: u32) -> bool {
    owner == user || owner == 0
}

fn check_rights(file: &File, path: &Path) -> Result<(), Error> {
    let metadata = file.metadata().map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let user = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return Err(Error::UntrustedFile(path.to_owned()));
    }
    let owner = metadata.uid();
    if !may_own(owner, user) {
        return Err(Error::ForeignFile {
            path: path.to_owned(),
            owner,
            user,
        });
    }
    let mode = metadata.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others != 0 {
        let path = path.to_owned();
        return Err(Error::TooOpen { path, mode });
    }
    Ok(())
}

/// A master key and the version that the first byte of a refresh token names.
#[derive(Clone)]
pub struct Versioned {
    /// The version, counted from 1 in the database.
    pub version: u8,
    /// The key with this version.
    pub key: Arc<MasterKey>,
}

/// The loaded master keys that the database knows; the current one first, then older ones.
#[derive(Clone)]
pub struct MasterKeys(Vec<Versioned>);

impl MasterKeys {
    /// Returns `None` if there is no current key.
    pub fn new(current: Versioned, mut others: Vec<Versioned>) -> Self {
        others.sort_by_key(|v| std::cmp::Reverse(v.version));
        others.retain(|v| v.version != current.version);
        others.insert(0, current);
        Self(others)
    }

    /// Returns the key that seals, signs cookies and tags tokens.
    pub fn current(&self) -> &Versioned {
        &self.0[0]
    }

    /// Iterates over all keys, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &Versioned> {
        self.0.iter()
    }

    /// Returns the key of this version.
    pub fn version(&self, version: u8) -> Option<&Versioned> {
        self.0.iter().find(|v| v.version == version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_private_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/master.key");
        let made = MasterKey::create(&path, *b"0123456789abcdefghijklmnopqrstuv").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(MasterKey::read(&path).unwrap().unwrap().id(), made.id());
        let kept = MasterKey::create(&path, [9; 32]).unwrap();
        assert_eq!(kept.id(), made.id(), "an existing key is never overwritten");
    }

    #[test]
    fn a_bad_file_is_refused_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        assert!(MasterKey::read(&path).unwrap().is_none());
        MasterKey::create(&path, *b"0123456789abcdefghijklmnopqrstuv").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            MasterKey::read(&path),
            Err(Error::TooOpen { mode: 0o644, .. })
        ));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "AAAA").unwrap();
        assert!(matches!(MasterKey::read(&path), Err(Error::Malformed(_))));
        std::fs::write(&path, encode(&[7; 32])).unwrap();
        assert!(matches!(MasterKey::read(&path), Err(Error::Placeholder(_))));
        let link = dir.path().join("link.key");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(
            MasterKey::read(&link),
            Err(Error::UntrustedFile(_))
        ));
    }

    /// What stands in databases and in clients depends on the derivation: computed with Python's
    /// `hmac` and `hashlib`.
    #[test]
    fn keys_are_derived_as_earlier_releases_did_and_none_serves_two_purposes() {
        let key = MasterKey::new([1; 32]);
        assert_eq!(key.id(), "jpOmXnRZBdEK_99Y");
        let mut all = vec![
            key.seal,
            key.tag,
            key.next,
            key.late,
            key.mail,
            key.presenters,
            key.presenter_tag,
            key.totp,
        ];
        all.extend(key.cookies);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        let macs = [
            key.tag_mac(),
            key.next_mac(),
            key.late_mac(),
            key.mail_mac(),
            key.presenter_mac(),
        ];
        let mut tags: Vec<_> = macs
            .into_iter()
            .map(|mac| hmac::Mac::finalize(mac).into_bytes().to_vec())
            .collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 5);
    }

    #[test]
    fn the_current_key_comes_first_and_older_ones_newest_first() {
        let versioned = |version| Versioned {
            version,
            key: Arc::new(MasterKey::new([version; 32])),
        };
        let others = [1, 4, 3, 2].map(versioned).to_vec();
        let keys = MasterKeys::new(versioned(3), others);
        let order: Vec<u8> = keys.iter().map(|key| key.version).collect();
        assert_eq!(order, [3, 4, 2, 1]);
        assert_eq!(keys.current().version, 3);
        assert_eq!(keys.version(2).map(|key| key.version), Some(2));
        assert!(keys.version(5).is_none());
    }

    #[test]
    fn a_key_of_eight_different_bytes_is_one_and_any_right_of_others_opens_no_file() {
        let of = |bytes: [u8; 32]| MasterKey::parse(&encode(&bytes), "k");
        let mut bytes = [0; 32];
        bytes[..7].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7]);
        assert!(of(bytes).is_ok());
        bytes[6] = 0;
        assert!(matches!(of(bytes), Err(Error::Placeholder(_))));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        MasterKey::create(&path, *b"0123456789abcdefghijklmnopqrstuv").unwrap();
        for (mode, is_good) in [
            (0o600, true),
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o601, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(MasterKey::read(&path).is_ok(), is_good, "{mode:o}");
        }
        let folder = MasterKey::read(dir.path());
        assert!(matches!(folder, Err(Error::UntrustedFile(_))));
        let owns = |owner| may_own(owner, 1_000);
        assert!(owns(1_000) && owns(0) && !owns(1_001));
    }
}
