//! GitHub: the user by its API, because it issues no id tokens.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::claims::{display_name, image};
use super::failure::Failure;
use super::metadata::below;
use super::requests::{Asking, EXCHANGE};
use crate::config::upstream::Provider;
use crate::model::federation::identity::{Identity, Mailbox};
use crate::outbound_http::Bounds;

/// The website whose API is at a host of its own.
const PUBLIC_SITE: &str = "https://github.com";
const PUBLIC_API: &str = "https://api.github.com";

/// How many organisations are on a page of the list, and how many pages are read.
const ON_PAGE: usize = 100;
const MOST_PAGES: usize = 10;
/// The bounds of one page: an organisation takes about a kibibyte.
const PAGE: Bounds = Bounds {
    time: EXCHANGE.time,
    bytes: 512 * 1024,
};

/// `GET /user`. The email address in it is the public one, which proves nothing.
#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    name: Option<String>,
    avatar_url: Option<String>,
}

/// An item of `GET /user/emails`.
#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

/// Returns the user of an access token.
///
/// # Errors
/// [`Failure::NotAllowed`] if the user is in no organisation of the settings, [`Failure::NoUserInfo`]
/// if the API does not name the user, [`Failure::Unavailable`] if it does not answer.
pub(super) async fn identity(
    asking: Asking<'_>,
    access_token: &str,
    scopes: Vec<String>,
) -> Result<Identity, Failure> {
    let provider = asking.provider;
    let user = asking
        .of_user(&api(provider, "/user")?, access_token)
        .await?;
    let user: User = serde_json::from_value(user)
        .map_err(|_| Failure::NoUserInfo("the API does not name the user".into()))?;
    if !provider.organizations.is_empty() {
        check_organizations(asking, access_token).await?;
    }
    let emails = asking
        .if_permitted(&api(provider, "/user/emails")?, access_token)
        .await?;
    Ok(Identity {
        provider: provider.id.clone(),
        issuer: provider.issuer.clone(),
        subject: user.id.to_string(),
        session: None,
        mailbox: emails.and_then(|emails| mailbox(provider, emails)),
        name: display_name(user.name.as_deref().or(Some(&user.login))),
        image: user.avatar_url.as_deref().and_then(image),
        has_factors: false,
        scopes,
    })
}

/// Returns the URL of the API: a host of its own for the public site, a path for others.
fn api(provider: &Provider, path: &str) -> Result<Url, Failure> {
    if provider.issuer == PUBLIC_SITE {
        below(PUBLIC_API, path)
    } else {
        below(&provider.issuer, &format!("/api/v3{path}"))
    }
}

/// Returns the primary mailbox; no other one, because a user may enter any.
fn mailbox(provider: &Provider, emails: Value) -> Option<Mailbox> {
    let Value::Array(emails) = emails else {
        return None;
    };
    let mut addresses = emails
        .into_iter()
        .filter_map(|item| serde_json::from_value::<Address>(item).ok());
    let primary = addresses.find(|address| address.primary)?;
    let email = primary.email.parse().ok()?;
    let word = provider.word_about(&email, primary.verified, None);
    Some(Mailbox { email, word })
}

/// Refuses a user who is in no organisation of the settings.
async fn check_organizations(asking: Asking<'_>, access_token: &str) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Organization {
        login: String,
    }
    let wanted = &asking.provider.organizations;
    let is_wanted = |one: &Organization| {
        let mut wanted = wanted.iter();
        wanted.any(|name| name.eq_ignore_ascii_case(&one.login))
    };
    for page in 1..=MOST_PAGES {
        let path = format!("/user/orgs?per_page={ON_PAGE}&page={page}");
        let url = api(asking.provider, &path)?;
        let answer = asking.get(&url, Some(access_token), PAGE).await?;
        let found: Vec<Organization> = serde_json::from_slice(&answer.body)
            .map_err(|_| Failure::NoUserInfo("the API lists no organisations".into()))?;
        if found.iter().any(is_wanted) {
            return Ok(());
        }
        if found.len() < ON_PAGE {
            break;
        }
    }
    let reason = "the account is in no organisation of the settings";
    Err(Failure::NotAllowed(reason.into()))
}
