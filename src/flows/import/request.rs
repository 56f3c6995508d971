//! What an operator asks an import to do, and the file that it reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use serde_json::json;

pub use super::hashes::Parameters;
use crate::app::App;
use crate::config::upstream::Kind;
use crate::crypto;
use crate::flows::{Error, Result};
use crate::import::{self, ReadOptions, Rows, Unreadable};
use crate::model::import::policy::Policy;
use crate::model::import::reason::Reason;

/// What an operator asks an import to do.
#[derive(Clone)]
pub struct Request {
    /// How the file is read.
    pub read: ReadOptions,
    /// The name of the source, within which ids are unique.
    pub source: String,
    /// What the import may do.
    pub policy: Policy,
    /// Whether the other rows are imported if some are refused.
    pub allow_refused: bool,
    /// What the hashes of the file need besides.
    pub parameters: Arc<Parameters>,
}

impl Request {
    /// Returns the options as JSON, without secrets. A batch goes on only with the same ones.
    pub fn options(&self) -> String {
        let Self {
            read,
            source,
            policy,
            allow_refused,
            parameters: _,
        } = self;
        json!({
            "format": read.format.name(),
            "map": read.map,
            "drop": read.drop,
            "source": source,
            "onDuplicate": policy.on_duplicate.as_str(),
            "trustVerified": policy.trust_verified,
            "withoutSecondFactor": policy.without_second_factor,
            "roleMap": policy.roles,
            "allowRefused": allow_refused,
        })
        .to_string()
    }

    /// Adds the issuers of the settings, for the accounts at providers. A provider whose issuer
    /// depends on the user (Microsoft without one tenant) has none.
    #[must_use]
    pub fn with_issuers(mut self, app: &App) -> Self {
        let fixed = app
            .config
            .upstream
            .iter()
            .filter(|provider| provider.kind != Kind::Microsoft || provider.is_of_one_tenant());
        self.policy.issuers = fixed
            .map(|provider| (provider.id.clone(), provider.issuer.clone()))
            .collect();
        self
    }
}

/// What is known of a file after it was read once.
#[derive(Debug, Clone, Default)]
pub struct FileFacts {
    /// SHA-256 of the file, in base64url.
    pub hash: String,
    /// The number of its rows.
    pub rows: u64,
    /// The rows that repeat each other, by their numbers.
    pub(super) repeated: BTreeMap<u64, Reason>,
}

/// A file that is read several times.
pub struct Source(File);

impl Source {
    /// Takes a file that can be read from its beginning again.
    pub fn of(file: File) -> Self {
        Self(file)
    }

    /// Returns the file at its beginning.
    pub(super) fn start(&self) -> Result<File> {
        let mut file = self.0.try_clone().map_err(unreadable)?;
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        Ok(file)
    }

    /// Returns the rows of the file.
    ///
    /// # Errors
    /// [`Error::ImportRefused`] if it is not of the format.
    pub(super) fn rows(&self, request: &Request) -> Result<Rows> {
        import::rows(self.start()?, &request.read).map_err(|error| not_of_the_format(&error))
    }

    /// Returns SHA-256 of the file, in base64url.
    pub(super) fn hash(&self) -> Result<String> {
        let hash = crypto::sha256_of_all(&mut self.start()?).map_err(unreadable)?;
        Ok(crypto::encode(&hash))
    }
}

/// Turns a failure to read the file into the error of flows.
pub(super) fn not_of_the_format(error: &Unreadable) -> Error {
    Error::ImportRefused(error.to_string())
}

fn unreadable(error: std::io::Error) -> Error {
    not_of_the_format(&error.into())
}
