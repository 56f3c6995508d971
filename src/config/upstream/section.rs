//! Reads the sections `[upstream.ID]`. A setting that a provider of a kind does not have is refused as
//! any setting that does not exist.

use std::sync::Arc;

use url::Url;

use super::preset::{self, Preset};
use super::{EmailTrust, Kind, Provider, UpstreamSignUp, Upstreams, values};
use crate::config::reader::Reader;
use crate::model::account::domain::Domain;
use crate::model::federation::provider::ProviderId;

/// The name of the section of all providers.
const SECTION: &str = "upstream";

/// Reads every provider. Those that are not enabled are checked and left out.
pub(in crate::config) fn read(r: &mut Reader, public_url: &Url) -> Upstreams {
    let is_id = |id: &str| {
        id.parse::<ProviderId>()
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let ids = r.groups_under(SECTION, is_id);
    let read = ids
        .iter()
        .filter_map(|id| Section::of(r, id).read(public_url));
    let providers: Vec<Provider> = read.collect();
    Upstreams(providers.into_iter().map(Arc::new).collect())
}

/// One section while it is read.
pub(super) struct Section<'r> {
    pub(super) r: &'r mut Reader,
    id: &'r str,
}

impl<'r> Section<'r> {
    fn of(r: &'r mut Reader, id: &'r str) -> Self {
        Self { r, id }
    }

    pub(super) fn key(&self, setting: &str) -> String {
        format!("{SECTION}.{}.{setting}", self.id)
    }

    pub(super) fn problem(&mut self, setting: &str, message: &str) {
        let key = self.key(setting);
        self.r.problem(&key, message.to_owned());
    }

    /// Reads an id that the provider has given; a provider cannot do without it.
    pub(super) fn needed_id(&mut self, setting: &str) -> String {
        let key = self.key(setting);
        if self.r.was_set(&key) {
            let read = self.r.parsed(&key, "", values::id);
            return read.unwrap_or_default();
        }
        let _ = self.r.text(&key, "");
        self.problem(
            setting,
            "is missing; write it as the provider shows it, such as 1234567890",
        );
        String::new()
    }

    /// Reads a text that may be left out.
    fn optional<T>(
        &mut self,
        setting: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let key = self.key(setting);
        let parse = |text: &str| {
            if text.is_empty() {
                Ok(None)
            } else {
                parse(text).map(Some)
            }
        };
        self.r.parsed(&key, "", parse).flatten()
    }

    /// Reads which kind of provider it is. `None` if the settings do not say it.
    fn kind(&mut self) -> Option<&'static Preset> {
        let own = preset::named(self.id);
        let words = || {
            let words = preset::PRESETS.iter().map(|preset| preset.word);
            words.collect::<Vec<_>>().join(", ")
        };
        let key = self.key("kind");
        let parse = |text: &str| {
            let found = preset::of_word(text);
            match (found, own) {
                (Some(found), Some(own)) if found.kind != own.kind => Err(format!(
                    "{} is the name of {}; write a section of another name for another kind",
                    own.word, own.name
                )),
                (Some(found), _) => Ok(found),
                (None, _) if text.is_empty() => Err(format!(
                    "says which kind of provider this is; write one of {}",
                    words()
                )),
                (None, _) => Err(format!("{text:?} is not a kind; write one of {}", words())),
            }
        };
        self.r.parsed(&key, own.map_or("", |own| own.word), parse)
    }

    fn read(mut self, public_url: &Url) -> Option<Provider> {
        let is_enabled = {
            let key = self.key("enabled");
            self.r.flag(&key, true)
        };
        let id: ProviderId = self.id.parse().ok()?;
        let Some(preset) = self.kind() else {
            self.leave_the_rest();
            return None;
        };
        let kind = preset.kind;
        let allow_private = {
            let key = self.key("allow_private");
            self.r.flag(&key, false)
        };
        let name = self.name(preset);
        let client_id = self.needed_id("client_id");
        let secret = self.secret(kind, public_url);
        let client_ids = self.list("client_ids", values::id);
        let domains = self.list("domains", |text| {
            text.parse::<Domain>().map_err(|error| error.to_string())
        });
        let tenant = (kind == Kind::Microsoft).then(|| self.tenant());
        let issuer = self.issuer(preset, tenant.as_deref(), allow_private);
        let organizations = match kind {
            Kind::GitHub => self.list("organizations", values::organization),
            _ => Vec::new(),
        };
        let provider = Provider {
            id,
            kind,
            name,
            client_id,
            secret,
            client_ids,
            scopes: self.scopes(preset, &organizations),
            issuer,
            domains,
            email: self.email(),
            sign_up: self.sign_up(),
            response_mode: self.response_mode(kind, public_url),
            trust_mfa: {
                let key = self.key("trust_mfa");
                self.r.flag(&key, false)
            },
            allow_private,
            hd: match kind {
                Kind::Google => self.optional("hd", hosted_domain),
                _ => None,
            },
            tenant,
            organizations,
        };
        is_enabled.then_some(provider)
    }

    /// Marks the settings of a section of no known kind as read, so that each mistake is told once.
    fn leave_the_rest(&mut self) {
        let of_it = format!("{SECTION}.{}.", self.id);
        for (key, entry) in &mut self.r.entries {
            entry.asked |= key.starts_with(&of_it);
        }
    }

    fn name(&mut self, preset: &Preset) -> String {
        let key = self.key("name");
        let default = if preset.name.is_empty() || preset.word != self.id {
            self.id
        } else {
            preset.name
        };
        let read = self.r.parsed(&key, default, |text| {
            if text.is_empty() {
                Err("write the name that people read on the button".to_owned())
            } else {
                values::name(text)
            }
        });
        read.unwrap_or_else(|| default.to_owned())
    }

    fn list<T>(&mut self, setting: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let key = self.key(setting);
        self.r.list(&key, parse)
    }

    fn scopes(&mut self, preset: &Preset, organizations: &[String]) -> Vec<String> {
        let written = self.list("scopes", values::scope);
        if !written.is_empty() {
            let is_openid = !matches!(preset.kind, Kind::GitHub | Kind::Apple);
            if is_openid && !written.iter().any(|scope| scope == "openid") {
                self.problem(
                    "scopes",
                    "must hold openid, or the provider issues no id token; write it such as openid, email, profile",
                );
            }
            return written;
        }
        let of_organizations = (!organizations.is_empty()).then_some("read:org");
        let all = preset.scopes.iter().copied().chain(of_organizations);
        let scopes: Vec<String> = all.map(str::to_owned).collect();
        let key = self.key("scopes");
        self.r.became_if(
            &key,
            "",
            &scopes.join(","),
            "they are those of the kind of provider",
        );
        scopes
    }

    fn email(&mut self) -> EmailTrust {
        let key = self.key("email");
        self.r.choice(
            &key,
            &[
                ("authoritative", EmailTrust::Authoritative),
                ("verified", EmailTrust::Verified),
                ("never", EmailTrust::Never),
            ],
        )
    }

    fn sign_up(&mut self) -> UpstreamSignUp {
        let key = self.key("sign_up");
        self.r.choice(
            &key,
            &[
                ("true", UpstreamSignUp::Always),
                ("requested", UpstreamSignUp::Requested),
                ("false", UpstreamSignUp::Never),
            ],
        )
    }

    fn tenant(&mut self) -> String {
        let key = self.key("tenant");
        let read = self.r.parsed(&key, "common", values::tenant);
        read.unwrap_or_else(|| "common".to_owned())
    }

    fn issuer(&mut self, preset: &Preset, tenant: Option<&str>, allow_private: bool) -> String {
        let home = |text: &str| values::home(text, allow_private);
        match preset.kind {
            Kind::Oidc => {
                let key = self.key("issuer");
                if self.r.was_set(&key) {
                    let read = self.r.parsed(&key, "", home);
                    return read.unwrap_or_default();
                }
                let _ = self.r.text(&key, "");
                self.problem(
                    "issuer",
                    "is missing; write the issuer exactly as its discovery document does, such as https://id.example.com",
                );
                String::new()
            }
            Kind::GitHub | Kind::GitLab => {
                let key = self.key("base_url");
                let read = self.r.parsed(&key, preset.home, home);
                let read = read.unwrap_or_else(|| preset.home.to_owned());
                read.trim_end_matches('/').to_owned()
            }
            Kind::Microsoft => format!("{}/{}/v2.0", preset.home, tenant.unwrap_or("common")),
            Kind::Google | Kind::Apple => preset.home.to_owned(),
        }
    }
}

/// Reads the domain of an organisation at Google.
fn hosted_domain(text: &str) -> Result<String, String> {
    let is_domain = !text.starts_with('*') && text.parse::<Domain>().is_ok();
    if is_domain {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("write the domain of the organisation at Google, such as corp.example".into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use der::pem::{self, LineEnding};

    use crate::config::upstream::{ClientSecret, EmailTrust, Kind, UpstreamSignUp};
    use crate::config::{Config, Problem, Sources};

    fn load(pairs: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let flags = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::load(&Sources {
            flags: flags.collect(),
            ..Sources::default()
        })
    }

    #[test]
    fn a_known_provider_needs_little_and_has_the_defaults_of_its_kind() {
        let config = load(&[
            ("upstream.google.client_id", "g"),
            ("upstream.google.client_secret", "geheim"),
            ("upstream.github.client_id", "h"),
            ("upstream.github.client_secret", "geheim"),
            ("upstream.github.organizations", "acme"),
            ("upstream.gitlab.client_id", "l"),
            ("upstream.gitlab.base_url", "https://git.corp.example/"),
            ("upstream.microsoft.client_id", "m"),
            ("upstream.microsoft.client_secret", "geheim"),
            ("upstream.acme.kind", "oidc"),
            ("upstream.acme.client_id", "a"),
            ("upstream.acme.issuer", "https://id.acme.example/"),
            ("upstream.work.kind", "google"),
            ("upstream.work.client_id", "w"),
            ("upstream.work.client_secret", "geheim"),
            ("upstream.off.kind", "oidc"),
            ("upstream.off.client_id", "o"),
            ("upstream.off.issuer", "https://id.off.example"),
            ("upstream.off.enabled", "false"),
        ])
        .unwrap();
        let found: Vec<_> = config
            .upstream
            .iter()
            .map(|one| {
                (
                    one.id.as_str(),
                    one.name.as_str(),
                    one.issuer.as_str(),
                    one.scopes.join(" "),
                )
            })
            .collect();
        let openid = "openid email profile".to_owned();
        let microsoft = "https://login.microsoftonline.com/common/v2.0";
        assert_eq!(
            found,
            [
                ("acme", "acme", "https://id.acme.example/", openid.clone()),
                (
                    "github",
                    "GitHub",
                    "https://github.com",
                    "read:user user:email read:org".into()
                ),
                (
                    "gitlab",
                    "GitLab",
                    "https://git.corp.example",
                    openid.clone()
                ),
                (
                    "google",
                    "Google",
                    "https://accounts.google.com",
                    openid.clone()
                ),
                ("microsoft", "Microsoft", microsoft, openid.clone()),
                ("work", "work", "https://accounts.google.com", openid),
            ]
        );
        let google = config.upstream.find("google").unwrap();
        assert_eq!(
            (google.kind, google.email),
            (Kind::Google, EmailTrust::Authoritative)
        );
        assert_eq!(google.sign_up, UpstreamSignUp::Always);
        assert!(!google.trust_mfa && !google.allow_private);
        assert!(config.upstream.find("off").is_none());
        assert!(!format!("{config:?}").contains("geheim"));
        let shown = config.effective.iter();
        let mut shown = shown.filter(|one| one.key == "upstream.google.client_secret");
        assert_eq!(shown.next().unwrap().value, "***");
    }

    #[test]
    fn every_problem_of_every_provider_is_told_at_once() {
        let wrong = [
            ("upstream.acme.client_id", "a"),
            ("upstream.other.kind", "oauth1"),
            ("upstream.google.kind", "oidc"),
            ("upstream.microsoft.tenant", "corp.example"),
            ("upstream.github.base_url", "http://git.corp.example"),
            ("upstream.gitlab.base_url", "git.corp.example"),
            ("upstream.gitlab.client_id", "l"),
            ("upstream.gitlab.hd", "corp.example"),
            ("upstream.mine.kind", "oidc"),
            ("upstream.mine.scopes", "email"),
            ("upstream.mine.sign_up", "invited"),
            ("upstream.Big.kind", "oidc"),
            ("upstream.apple.client_secret", "geheim"),
        ];
        let problems = load(&wrong).unwrap_err();
        for key in [
            "upstream.acme.kind",
            "upstream.other.kind",
            "upstream.google.kind",
            "upstream.microsoft.tenant",
            "upstream.microsoft.client_id",
            "upstream.microsoft.client_secret",
            "upstream.github.base_url",
            "upstream.gitlab.base_url",
            "upstream.gitlab.hd",
            "upstream.mine.client_id",
            "upstream.mine.issuer",
            "upstream.mine.scopes",
            "upstream.mine.sign_up",
            "upstream.Big",
            "upstream.apple.client_id",
            "upstream.apple.team_id",
            "upstream.apple.key_id",
            "upstream.apple.key_file",
            "upstream.apple.client_secret",
            "server.public_url",
        ] {
            let told: Vec<&Problem> = problems.iter().filter(|one| one.key == key).collect();
            assert_eq!(told.len(), 1, "{key}: {problems:?}");
        }
        assert!(problems.iter().all(|one| !one.message.contains("geheim")));
    }

    #[test]
    fn a_secret_may_stand_in_a_file_and_the_key_of_apple_does() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path.display().to_string()
        };
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = pem::encode_string("PRIVATE KEY", LineEnding::LF, der.as_ref()).unwrap();
        let (key, secret, odd) = (write("a.p8", &key), write("s", "geheim\n"), write("o", "x"));
        let with_key = |key: &str| {
            load(&[
                ("server.public_url", "https://auth.example.com"),
                ("upstream.gitlab.client_id", "l"),
                ("upstream.gitlab.client_secret_file", &secret),
                ("upstream.apple.client_id", "com.example.web"),
                ("upstream.apple.team_id", "TEAM1"),
                ("upstream.apple.key_id", "KEY1"),
                ("upstream.apple.key_file", key),
            ])
        };
        let config = with_key(&key).unwrap();
        let secret_of = |id: &str| config.upstream.find(id).unwrap().secret.clone();
        assert!(matches!(secret_of("gitlab"), ClientSecret::Text(text) if *text.0 == "geheim"));
        assert!(
            matches!(secret_of("apple"), ClientSecret::Apple { key, .. } if key.0.starts_with("-----BEGIN"))
        );
        assert!(config.upstream.find("apple").unwrap().posts_form());
        for bad in [odd.as_str(), "/nowhere/a.p8", ""] {
            let problems = with_key(bad).unwrap_err();
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
            assert_eq!(problems[0].key, "upstream.apple.key_file");
        }
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(with_key(&key).unwrap_err()[0].message.contains("chmod 600"));
    }
}
