//! `[upstream.ID]`: the issuers at which users may sign in. This file has the types; `section` reads a
//! section, `preset` has the providers that are known by name, `values` the forms of their values.

mod preset;
mod response_mode;
mod secrets;
mod section;
mod values;

use std::sync::Arc;

use url::Url;

pub(super) use section::read;

use super::Secret;
use crate::model::account::domain::Domain;
use crate::model::account::email::Email;
use crate::model::federation::identity::EmailWord;
use crate::model::federation::provider::ProviderId;

/// The providers, in the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct Upstreams(Vec<Arc<Provider>>);

impl Upstreams {
    /// Makes the list of these providers, in this order.
    pub fn of(providers: Vec<Arc<Provider>>) -> Self {
        Self(providers)
    }

    /// Returns the provider of this id.
    pub fn find(&self, id: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.id.as_str() == id)
    }

    /// Returns all providers, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What kind of provider it is: it decides about endpoints, claims and peculiarities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Google, by OpenID Connect.
    Google,
    /// Microsoft Entra ID and personal accounts, by OpenID Connect.
    Microsoft,
    /// Sign in with Apple, by OpenID Connect.
    Apple,
    /// GitHub, by OAuth 2.0 and its API.
    GitHub,
    /// GitLab, by OpenID Connect.
    GitLab,
    /// Any issuer of OpenID Connect.
    Oidc,
}

impl Kind {
    /// Returns its name in lowercase letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Apple => "apple",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Oidc => "oidc",
        }
    }
}

/// How a provider's word about a mailbox is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTrust {
    /// Its word counts for the domains that it is responsible for.
    Authoritative,
    /// Its word counts wherever it says that it verified the mailbox.
    Verified,
    /// Its word never counts.
    Never,
}

/// Whether an identity without an account makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamSignUp {
    /// It does.
    Always,
    /// It does if the client asks for it (`requestSignUp`).
    Requested,
    /// It does not.
    Never,
}

/// How the provider sends its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of a redirect.
    Query,
    /// As a form that its page posts.
    FormPost,
}

/// How the provider recognises this service.
#[derive(Debug, Clone)]
pub enum ClientSecret {
    /// By nothing but the client id: a public client.
    None,
    /// By a text that both know.
    Text(Secret),
    /// By a JWT that this service signs (Apple).
    Apple {
        /// The id of the team at Apple.
        team_id: String,
        /// The id of the key at Apple.
        key_id: String,
        /// The private key, in PEM (PKCS #8, P-256).
        key: Secret,
    },
}

/// `[upstream.ID]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Provider {
    pub id: ProviderId,
    pub kind: Kind,
    /// The name that people read on buttons.
    pub name: String,
    pub client_id: String,
    pub secret: ClientSecret,
    /// Further client ids of native apps, whose id tokens are accepted.
    pub client_ids: Vec<String>,
    pub scopes: Vec<String>,
    /// The issuer of OpenID Connect exactly as its discovery document writes it, or the base URL of
    /// GitHub without a slash at the end.
    pub issuer: String,
    /// The domains that the issuer is responsible for, beside those of its kind.
    pub domains: Vec<Domain>,
    pub email: EmailTrust,
    pub sign_up: UpstreamSignUp,
    pub response_mode: ResponseMode,
    pub trust_mfa: bool,
    pub allow_private: bool,
    /// Google: the domain that accounts must belong to.
    pub hd: Option<String>,
    /// Microsoft: the id of the tenant, or `organizations`, `consumers` or `common`.
    pub tenant: Option<String>,
    /// GitHub: organisations of which users must be members of at least one.
    pub organizations: Vec<String>,
}

impl Provider {
    /// Returns whether the provider posts its answer as a form, which needs a cookie with
    /// `SameSite=None`. Apple does so whatever the settings say.
    pub fn posts_form(&self) -> bool {
        self.kind == Kind::Apple || self.response_mode == ResponseMode::FormPost
    }

    /// Returns whether an identity of it can make an account.
    pub fn makes_accounts(&self) -> bool {
        self.sign_up != UpstreamSignUp::Never
    }

    /// Returns whether it speaks OpenID Connect, and so issues id tokens.
    pub fn has_id_tokens(&self) -> bool {
        self.kind != Kind::GitHub
    }

    /// Returns how much its word about this mailbox counts; `verified` is what it says itself (for
    /// Microsoft the claim `xms_edov`, never `email_verified`), and `hosted` the domain that it says
    /// the account belongs to (Google).
    pub fn word_about(&self, email: &Email, verified: bool, hosted: Option<&str>) -> EmailWord {
        if self.email == EmailTrust::Never {
            return EmailWord::Claimed;
        }
        let is_listed = self.domains.iter().any(|domain| domain.covers(email));
        let is_own = self.kind.own_domains().contains(&email.domain())
            || self.kind == Kind::Google
                && hosted.is_some_and(|hosted| hosted.eq_ignore_ascii_case(email.domain()));
        let is_proven = match self.kind {
            // The administrators of a tenant write these email addresses: those of one tenant count
            // for the domains of the settings, and `xms_edov` says that the tenant owns the domain.
            Kind::Microsoft => verified || is_listed && self.is_of_one_tenant(),
            _ => verified && (is_own || is_listed || self.email == EmailTrust::Verified),
        };
        match (is_proven, verified) {
            (true, _) => EmailWord::Proven,
            (false, true) => EmailWord::Verified,
            (false, false) => EmailWord::Claimed,
        }
    }

    /// Returns whether the settings name one tenant of Microsoft by its id.
    pub fn is_of_one_tenant(&self) -> bool {
        self.tenant.as_deref().is_some_and(values::is_tenant_id)
    }

    /// Returns whose id tokens are accepted: the client id, and those of native apps.
    pub fn all_client_ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.client_id)
            .chain(&self.client_ids)
            .map(String::as_str)
    }

    /// Returns the URL to which the provider sends browsers back, which is registered there.
    pub fn redirect_uri(&self, public_url: &Url, base_path: &str) -> String {
        let origin = public_url.as_str().trim_end_matches('/');
        format!("{origin}{base_path}/callback/{}", self.id)
    }

    /// Returns the URL to which the provider sends its logout tokens, which is registered there; `None`
    /// for a service that sends none.
    pub fn logout_uri(&self, public_url: &Url, base_path: &str) -> Option<String> {
        let origin = public_url.as_str().trim_end_matches('/');
        let uri = || format!("{origin}{base_path}/upstream/{}/logout", self.id);
        (self.kind == Kind::Oidc).then(uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";

    fn provider(kind: Kind, email: EmailTrust, domains: &[&str], tenant: Option<&str>) -> Provider {
        Provider {
            id: "acme".parse().unwrap(),
            kind,
            name: "Acme".into(),
            client_id: "client".into(),
            secret: ClientSecret::None,
            client_ids: Vec::new(),
            scopes: Vec::new(),
            issuer: "https://id.acme.example".into(),
            domains: domains.iter().map(|name| name.parse().unwrap()).collect(),
            email,
            sign_up: UpstreamSignUp::Always,
            response_mode: ResponseMode::Query,
            trust_mfa: false,
            allow_private: false,
            hd: None,
            tenant: tenant.map(str::to_owned),
            organizations: Vec::new(),
        }
    }

    #[test]
    fn a_provider_s_word_counts_for_the_domains_that_it_is_responsible_for() {
        use EmailTrust::{Authoritative, Never, Verified as OnItsWord};
        use EmailWord::{Claimed, Proven, Verified};
        use Kind::{Apple, GitHub, GitLab, Google, Microsoft, Oidc};
        let own = &["corp.example"][..];
        let none = &[][..];
        for (kind, trust, domains, tenant, email, verified, hosted, word) in [
            (
                Google,
                Authoritative,
                none,
                None,
                "a@gmail.com",
                true,
                None,
                Proven,
            ),
            (
                Google,
                Authoritative,
                none,
                None,
                "a@googlemail.com",
                true,
                None,
                Proven,
            ),
            (
                Google,
                Authoritative,
                none,
                None,
                "a@gmail.com",
                false,
                None,
                Claimed,
            ),
            (
                Google,
                Authoritative,
                none,
                None,
                "a@corp.example",
                true,
                None,
                Verified,
            ),
            (
                Google,
                Authoritative,
                none,
                None,
                "a@corp.example",
                true,
                Some("Corp.example"),
                Proven,
            ),
            (
                Google,
                Authoritative,
                none,
                None,
                "a@corp.example",
                true,
                Some("other.example"),
                Verified,
            ),
            (
                Google,
                Authoritative,
                none,
                None,
                "a@corp.example",
                false,
                Some("corp.example"),
                Claimed,
            ),
            (
                Google,
                Authoritative,
                own,
                None,
                "a@corp.example",
                true,
                None,
                Proven,
            ),
            (
                Google,
                OnItsWord,
                none,
                None,
                "a@any.example",
                true,
                None,
                Proven,
            ),
            (
                Google,
                OnItsWord,
                none,
                None,
                "a@any.example",
                false,
                None,
                Claimed,
            ),
            (
                Google,
                Never,
                own,
                None,
                "a@gmail.com",
                true,
                Some("gmail.com"),
                Claimed,
            ),
            (
                Apple,
                Authoritative,
                none,
                None,
                "a@icloud.com",
                true,
                None,
                Proven,
            ),
            (
                Apple,
                Authoritative,
                none,
                None,
                "a@privaterelay.appleid.com",
                true,
                None,
                Proven,
            ),
            (
                Apple,
                Authoritative,
                none,
                None,
                "a@any.example",
                true,
                None,
                Verified,
            ),
            (
                Apple,
                Authoritative,
                none,
                None,
                "a@gmail.com",
                true,
                Some("gmail.com"),
                Verified,
            ),
            (
                GitHub,
                Authoritative,
                none,
                None,
                "a@gmail.com",
                true,
                None,
                Verified,
            ),
            (
                GitHub,
                Authoritative,
                own,
                None,
                "a@corp.example",
                true,
                None,
                Proven,
            ),
            (
                GitHub,
                OnItsWord,
                none,
                None,
                "a@any.example",
                true,
                None,
                Proven,
            ),
            (
                GitLab,
                Authoritative,
                none,
                None,
                "a@any.example",
                true,
                None,
                Verified,
            ),
            (
                GitLab,
                Authoritative,
                own,
                None,
                "a@corp.example",
                true,
                None,
                Proven,
            ),
            (
                Oidc,
                Authoritative,
                none,
                None,
                "a@any.example",
                true,
                None,
                Verified,
            ),
            (
                Oidc,
                Authoritative,
                own,
                None,
                "a@corp.example",
                true,
                None,
                Proven,
            ),
            (
                Oidc,
                Authoritative,
                own,
                None,
                "a@corp.example",
                false,
                None,
                Claimed,
            ),
            (
                Oidc,
                Authoritative,
                own,
                None,
                "a@sub.corp.example",
                true,
                None,
                Verified,
            ),
            (
                Oidc,
                Authoritative,
                own,
                None,
                "a@any.example",
                true,
                Some("any.example"),
                Verified,
            ),
            (
                Oidc,
                OnItsWord,
                own,
                None,
                "a@any.example",
                true,
                None,
                Proven,
            ),
            (
                Oidc,
                Never,
                own,
                None,
                "a@corp.example",
                true,
                None,
                Claimed,
            ),
            (
                Microsoft,
                Authoritative,
                own,
                Some("common"),
                "a@corp.example",
                false,
                None,
                Claimed,
            ),
            (
                Microsoft,
                Authoritative,
                own,
                Some("organizations"),
                "a@corp.example",
                false,
                None,
                Claimed,
            ),
            (
                Microsoft,
                Authoritative,
                own,
                Some(TENANT),
                "a@corp.example",
                false,
                None,
                Proven,
            ),
            (
                Microsoft,
                Authoritative,
                own,
                Some(TENANT),
                "a@any.example",
                false,
                None,
                Claimed,
            ),
            (
                Microsoft,
                Authoritative,
                none,
                Some("common"),
                "a@corp.example",
                true,
                None,
                Proven,
            ),
            (
                Microsoft,
                OnItsWord,
                none,
                Some(TENANT),
                "a@corp.example",
                false,
                None,
                Claimed,
            ),
            (
                Microsoft,
                Never,
                own,
                Some(TENANT),
                "a@corp.example",
                true,
                None,
                Claimed,
            ),
        ] {
            let provider = provider(kind, trust, domains, tenant);
            let said = provider.word_about(&email.parse().unwrap(), verified, hosted);
            assert_eq!(
                said, word,
                "{kind:?} {trust:?} {domains:?} {tenant:?} {email} {verified} {hosted:?}"
            );
        }
    }

    #[test]
    fn the_redirect_uri_has_the_origin_the_base_path_and_the_id() {
        let provider = provider(Kind::Oidc, EmailTrust::Never, &[], None);
        for (public, uri) in [
            (
                "https://auth.example.com",
                "https://auth.example.com/api/auth/callback/acme",
            ),
            (
                "https://example.com/id/",
                "https://example.com/id/api/auth/callback/acme",
            ),
        ] {
            let public = Url::parse(public).unwrap();
            assert_eq!(provider.redirect_uri(&public, "/api/auth"), uri);
            let logout = uri.replace("/callback/acme", "/upstream/acme/logout");
            assert_eq!(provider.logout_uri(&public, "/api/auth"), Some(logout));
            let google = self::provider(Kind::Google, EmailTrust::Never, &[], None);
            assert_eq!(google.logout_uri(&public, "/api/auth"), None);
        }
    }
}
