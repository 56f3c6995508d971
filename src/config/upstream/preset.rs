//! The providers that are known by name: their issuers, scopes and domains. A provider of another
//! name says which kind it is.

use super::Kind;

/// The path of all settings of a kind that the program knows in advance.
pub(super) struct Preset {
    /// The word of the setting `kind`, and the id of the section that needs no `kind`.
    pub(super) word: &'static str,
    pub(super) kind: Kind,
    /// The name on buttons.
    pub(super) name: &'static str,
    /// Where the provider is, if the settings do not say it. Empty: the settings must say it.
    pub(super) home: &'static str,
    pub(super) scopes: &'static [&'static str],
}

const OPENID: &[&str] = &["openid", "email", "profile"];

/// Every kind of provider.
pub(super) const PRESETS: [Preset; 6] = [
    Preset {
        word: "google",
        kind: Kind::Google,
        name: "Google",
        home: "https://accounts.google.com",
        scopes: OPENID,
    },
    Preset {
        word: "microsoft",
        kind: Kind::Microsoft,
        name: "Microsoft",
        home: "https://login.microsoftonline.com",
        scopes: OPENID,
    },
    Preset {
        word: "apple",
        kind: Kind::Apple,
        name: "Apple",
        home: "https://appleid.apple.com",
        scopes: &["name", "email"],
    },
    Preset {
        word: "github",
        kind: Kind::GitHub,
        name: "GitHub",
        home: "https://github.com",
        scopes: &["read:user", "user:email"],
    },
    Preset {
        word: "gitlab",
        kind: Kind::GitLab,
        name: "GitLab",
        home: "https://gitlab.com",
        scopes: OPENID,
    },
    Preset {
        word: "oidc",
        kind: Kind::Oidc,
        name: "",
        home: "",
        scopes: OPENID,
    },
];

/// Returns the preset of a section that needs no `kind`.
pub(super) fn named(id: &str) -> Option<&'static Preset> {
    of_word(id).filter(|preset| preset.kind != Kind::Oidc)
}

/// Returns the preset that the setting `kind` names.
pub(super) fn of_word(word: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.word == word)
}

impl Kind {
    /// Returns the domains whose mailboxes belong to providers of this kind.
    pub(super) fn own_domains(self) -> &'static [&'static str] {
        match self {
            Self::Google => &["gmail.com", "googlemail.com"],
            Self::Apple => &[
                "icloud.com",
                "me.com",
                "mac.com",
                "privaterelay.appleid.com",
            ],
            Self::Microsoft | Self::GitHub | Self::GitLab | Self::Oidc => &[],
        }
    }

    /// Returns the word of the setting `kind`.
    pub fn word(self) -> &'static str {
        PRESETS
            .iter()
            .find(|preset| preset.kind == self)
            .map_or("oidc", |preset| preset.word)
    }
}
