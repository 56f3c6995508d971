//! What a provider says of itself: the discovery document (OpenID Connect Discovery 1.0). GitHub has
//! none, and what is needed is known.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::failure::Failure;
use super::requests::Asking;
use crate::config::upstream::{Kind, Provider};
use crate::outbound_http;

/// The tenant of personal accounts at Microsoft.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
/// The scope for refresh tokens (OpenID Connect Core section 11).
pub(super) const OFFLINE_ACCESS: &str = "offline_access";

/// Where a provider is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    /// The issuer. At Microsoft `{tenantid}` in it stands for the tenant of the user.
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    /// Where the public keys are; `None` for GitHub.
    pub(super) jwks_uri: Option<Url>,
    /// Whether the client's secret is sent in the body, not in a header.
    pub(super) secret_in_body: bool,
    /// Whether every answer names the issuer (RFC 9207).
    pub(super) names_issuer: bool,
    /// Whether it knows the scope `offline_access`, for refresh tokens.
    pub(super) takes_offline_access: bool,
}

/// The members of the discovery document that are read.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    userinfo_endpoint: Option<Url>,
    jwks_uri: Url,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// What a provider writes here is not taken for a reason to refuse its document.
    #[serde(default)]
    scopes_supported: Value,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Returns where the discovery document of a provider is; `None` for GitHub.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the issuer is no URL.
    pub(super) fn location(provider: &Provider) -> Result<Option<Url>, Failure> {
        if provider.kind == Kind::GitHub {
            return Ok(None);
        }
        let issuer = provider.issuer.trim_end_matches('/');
        below(issuer, "/.well-known/openid-configuration").map(Some)
    }

    /// Reads the discovery document.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if it is of another issuer, or lacks something, or names a URL that
    /// must not be asked.
    pub(super) fn read(asking: Asking<'_>, body: &[u8]) -> Result<Self, Failure> {
        let unusable =
            |reason: &str| Failure::Unavailable(format!("its discovery document {reason}"));
        let provider = asking.provider;
        let document: Document = serde_json::from_slice(body)
            .map_err(|_| unusable("is not one, or lacks an endpoint"))?;
        if !names(provider, &document.issuer) {
            return Err(unusable("names another issuer than the settings"));
        }
        let endpoints = [
            Some(&document.authorization_endpoint),
            Some(&document.token_endpoint),
            Some(&document.jwks_uri),
            document.userinfo_endpoint.as_ref(),
        ];
        for endpoint in endpoints.into_iter().flatten() {
            let checked = outbound_http::check(endpoint, asking.reach());
            checked.map_err(|reason| {
                unusable(&format!("has an endpoint that is not used: {reason}"))
            })?;
            if endpoint.fragment().is_some() {
                return Err(unusable("has an endpoint with a fragment"));
            }
        }
        Ok(Self {
            issuer: template(provider),
            secret_in_body: takes_body(
                provider.kind,
                document.token_endpoint_auth_methods_supported.as_deref(),
            ),
            authorization_endpoint: document.authorization_endpoint,
            token_endpoint: document.token_endpoint,
            userinfo_endpoint: document.userinfo_endpoint,
            jwks_uri: Some(document.jwks_uri),
            names_issuer: document.authorization_response_iss_parameter_supported,
            takes_offline_access: names_offline_access(&document.scopes_supported),
        })
    }

    /// Returns what is known of GitHub, or of a GitHub Enterprise Server.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the base URL is no URL.
    pub(super) fn of_github(provider: &Provider) -> Result<Self, Failure> {
        let base = &provider.issuer;
        Ok(Self {
            issuer: base.clone(),
            authorization_endpoint: below(base, "/login/oauth/authorize")?,
            token_endpoint: below(base, "/login/oauth/access_token")?,
            userinfo_endpoint: None,
            jwks_uri: None,
            secret_in_body: true,
            names_issuer: false,
            takes_offline_access: false,
        })
    }

    /// Refuses an answer that names another issuer (RFC 9207), or none although it always names it.
    ///
    /// # Errors
    /// [`Failure::IssuerMismatch`].
    pub(super) fn check_answer(
        &self,
        provider: &Provider,
        iss: Option<&str>,
    ) -> Result<(), Failure> {
        let is_good = match (iss, provider.kind) {
            (None, _) => !self.names_issuer,
            (Some(iss), Kind::Microsoft) => of_tenant(&self.issuer, iss).is_some(),
            // GitHub names the issuer of its metadata by RFC 8414.
            (Some(iss), Kind::GitHub) => {
                iss == self.issuer || iss.strip_suffix("/login/oauth") == Some(&self.issuer)
            }
            (Some(iss), _) => iss == self.issuer,
        };
        if is_good {
            Ok(())
        } else {
            Err(Failure::IssuerMismatch)
        }
    }
}

/// Returns a URL below another one.
///
/// # Errors
/// [`Failure::Unavailable`] if it is no URL.
pub(super) fn below(base: &str, path: &str) -> Result<Url, Failure> {
    Url::parse(&format!("{base}{path}"))
        .map_err(|_| Failure::Unavailable("the issuer of the settings is no URL".into()))
}

/// Returns the issuer of a provider, with `{tenantid}` for the tenant of Microsoft.
fn template(provider: &Provider) -> String {
    let tenant = provider.tenant.as_deref().unwrap_or_default();
    match provider.issuer.strip_suffix(&format!("/{tenant}/v2.0")) {
        Some(home) if provider.kind == Kind::Microsoft => format!("{home}/{{tenantid}}/v2.0"),
        _ => provider.issuer.clone(),
    }
}

/// Returns the tenant that an issuer names which is of the form of a template.
fn of_tenant<'i>(template: &str, issuer: &'i str) -> Option<&'i str> {
    let (before, after) = template.split_once("{tenantid}")?;
    let tenant = issuer.strip_prefix(before)?.strip_suffix(after)?;
    (tenant.len() == 36 && uuid::Uuid::try_parse(tenant).is_ok()).then_some(tenant)
}

/// Returns whether the issuer of a discovery document is the one of the settings, byte for byte. At
/// Microsoft it may be the template, or name the tenant of the settings.
fn names(provider: &Provider, issuer: &str) -> bool {
    if provider.kind != Kind::Microsoft {
        return issuer == provider.issuer;
    }
    let template = template(provider);
    let is_tenant = |tenant: &str| match provider.tenant.as_deref() {
        Some("consumers") => tenant == CONSUMERS,
        own => own == Some(tenant),
    };
    issuer == template || of_tenant(&template, issuer).is_some_and(is_tenant)
}

/// Returns whether an identity of this issuer is one of the provider as the settings describe it now.
/// What an issuer gave is never sent to another one.
pub fn is_of(provider: &Provider, issuer: &str) -> bool {
    if provider.kind != Kind::Microsoft {
        return issuer == provider.issuer;
    }
    let template = template(provider);
    of_tenant(&template, issuer).is_some_and(|tenant| admits_tenant(provider, Some(tenant)))
}

/// Returns whether the settings admit users of this tenant of Microsoft.
pub(super) fn admits_tenant(provider: &Provider, tenant: Option<&str>) -> bool {
    let tenant = tenant.map(str::to_ascii_lowercase);
    let tenant = tenant.as_deref();
    match provider.tenant.as_deref() {
        None | Some("common") => true,
        Some("organizations") => tenant.is_some_and(|id| id != CONSUMERS),
        Some("consumers") => tenant == Some(CONSUMERS),
        Some(own) => tenant == Some(own),
    }
}

fn names_offline_access(scopes: &Value) -> bool {
    let scopes = scopes.as_array();
    scopes.is_some_and(|all| all.iter().any(|one| one == OFFLINE_ACCESS))
}

/// Returns whether the client's secret goes into the body: where the presets' providers want it, and
/// where the issuer takes it there and not in a header.
fn takes_body(kind: Kind, methods: Option<&[String]>) -> bool {
    let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|one| one == method));
    match kind {
        Kind::Google | Kind::Microsoft | Kind::Apple | Kind::GitHub => true,
        Kind::GitLab | Kind::Oidc => takes("client_secret_post") && !takes("client_secret_basic"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::{Config, Sources};
    use crate::outbound_http::Guarded;

    const ISSUER: &str = "https://id.acme.example";

    fn provider() -> Arc<Provider> {
        let settings = [
            ("upstream.acme.kind", "oidc"),
            ("upstream.acme.issuer", ISSUER),
            ("upstream.acme.client_id", "client"),
        ];
        let flags = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = Config::load(&Sources {
            flags: flags.to_vec(),
            ..Sources::default()
        });
        Arc::clone(config.unwrap().upstream.find("acme").unwrap())
    }

    fn read(change: Option<(&str, Value)>) -> Result<Metadata, Failure> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.acme.example/authorize",
            "token_endpoint": "https://api.acme.example/token",
            "userinfo_endpoint": "https://api.acme.example/userinfo",
            "jwks_uri": "https://keys.acme.example/jwks",
        });
        if let Some((member, value)) = change {
            document[member] = value;
        }
        let (client, provider) = (Guarded::new().unwrap(), provider());
        let asking = Asking {
            client: &client,
            provider: &provider,
        };
        Metadata::read(asking, document.to_string().as_bytes())
    }

    /// The issuer of the other tests is on loopback; one of the internet may not name such servers.
    #[test]
    fn an_issuer_of_the_internet_names_servers_of_the_internet() {
        let good = read(None).unwrap();
        assert_eq!(good.issuer, ISSUER);
        assert!(!good.secret_in_body && !good.names_issuer);
        for server in [
            "http://api.acme.example/x",
            "http://127.0.0.1/x",
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1/x",
            "https://user@api.acme.example/x",
        ] {
            for member in [
                "authorization_endpoint",
                "token_endpoint",
                "userinfo_endpoint",
                "jwks_uri",
            ] {
                let refused = read(Some((member, json!(server)))).unwrap_err();
                assert!(
                    !refused.to_string().contains("acme"),
                    "{member} {server}: {refused}"
                );
            }
        }
        assert!(read(Some(("issuer", json!("https://id.acme.example/")))).is_err());
    }
}
