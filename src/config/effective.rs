//! What `config show` prints: each setting as it was written, where it was set, and what a value
//! such as `auto` became.

use super::Config;

/// One setting and its source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Effective {
    /// The key as `section.key`.
    pub key: String,
    /// The value as text, without secrets.
    pub value: String,
    /// `default`, `file`, `environment` or `flag`.
    pub source: &'static str,
    /// What the value became; `None` if it is in force as it was written.
    pub became: Option<Became>,
}

/// What is in force in place of a value such as `auto`, or of none.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Became {
    /// What is in force, as text.
    pub value: String,
    /// The reason, as a clause such as `the public URL is loopback`.
    pub reason: String,
}

impl Effective {
    /// Returns the value for people: as it was written, and what it became and why.
    pub fn explained(&self) -> String {
        match &self.became {
            Some(became) => format!("{} → {} ({})", self.value, became.value, became.reason)
                .trim_start()
                .to_owned(),
            None => self.value.clone(),
        }
    }
}

impl Config {
    /// Returns what the value of a setting became; `None` if it is in force as it was written.
    pub fn became(&self, key: &str) -> Option<&Became> {
        self.setting(key)?.became.as_ref()
    }

    /// Returns where a setting was set: `default`, `file`, `environment` or `flag`.
    pub fn source(&self, key: &str) -> Option<&'static str> {
        self.setting(key).map(|setting| setting.source)
    }

    /// Returns where a setting was set, in words with its name.
    pub fn source_in_words(&self, key: &str) -> String {
        match self.source(key) {
            Some("file") => format!("{key} in the settings file"),
            Some("environment") => format!("{key} in the environment"),
            Some("flag") => format!("--set {key}"),
            _ => format!("the default of {key}"),
        }
    }

    fn setting(&self, key: &str) -> Option<&Effective> {
        self.effective.iter().find(|setting| setting.key == key)
    }
}
