//! What a provider says of a user whose tokens are kept: by the id token, the userinfo endpoint or
//! GitHub's API.

use serde_json::{Map, Value};

use super::asked::{Kept, Profile};
use super::github;
use super::metadata::Metadata;
use super::requests::Asking;
use super::{Failure, Upstream};
use crate::config::upstream::{Kind, Provider};
use crate::crypto::upstream_tokens::claims_of_verified;

impl Upstream {
    /// Returns what the provider says of the user. An id token that names the mailbox, and says whether it is
    /// verified, needs no request.
    ///
    /// # Errors
    /// [`Failure::NoUserInfo`] if it says nothing, or speaks of another user;
    /// [`Failure::Unavailable`] if it gives no answer; [`Failure::IssuerMismatch`] if the settings name
    /// another issuer now, which is then not asked.
    pub async fn profile(&self, provider: &Provider, kept: Kept<'_>) -> Result<Profile, Failure> {
        if !super::is_of(provider, kept.issuer) {
            return Err(Failure::IssuerMismatch);
        }
        let asking = self.asking(provider);
        if provider.kind == Kind::GitHub {
            return github::profile(asking, &kept.tokens.access_token, kept.subject).await;
        }
        let token = kept.tokens.id_token.as_deref();
        let claims = token.and_then(|token| claims_of_verified(token));
        let has = |claims: &Map<String, Value>| {
            let wanted = ["email", "email_verified"];
            wanted.iter().all(|name| claims.contains_key(*name))
        };
        if let Some(claims) = claims.clone().filter(has) {
            return of_user(provider, claims, kept.subject);
        }
        let metadata = self.metadata(self.known(provider)?).await?;
        match userinfo(asking, &metadata, kept).await? {
            Some(said) => of_user(provider, said, kept.subject),
            None => match claims {
                Some(claims) => of_user(provider, claims, kept.subject),
                None => Err(Failure::NoUserInfo("the provider says nothing".into())),
            },
        }
    }
}

/// Asks the userinfo endpoint; `None` if there is none that says more than the id token.
async fn userinfo(
    asking: Asking<'_>,
    metadata: &Metadata,
    kept: Kept<'_>,
) -> Result<Option<Map<String, Value>>, Failure> {
    let is_asked = !matches!(asking.provider.kind, Kind::Apple | Kind::Microsoft);
    let Some(url) = metadata.userinfo_endpoint.as_ref().filter(|_| is_asked) else {
        return Ok(None);
    };
    match asking.of_user(url, &kept.tokens.access_token).await? {
        Value::Object(claims) => Ok(Some(claims)),
        _ => Err(Failure::NoUserInfo("userinfo is no object".into())),
    }
}

/// Returns the profile that claims describe.
///
/// # Errors
/// [`Failure::NoUserInfo`] if they are of another user.
fn of_user(
    provider: &Provider,
    claims: Map<String, Value>,
    subject: &str,
) -> Result<Profile, Failure> {
    let name = if provider.kind == Kind::Microsoft {
        "oid"
    } else {
        "sub"
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    if text(name).as_deref() != Some(subject) {
        return Err(Failure::NoUserInfo("it speaks of another user".into()));
    }
    let verified = claims.get("email_verified");
    Ok(Profile {
        name: text("name"),
        email: text("email"),
        // Apple writes it as a text.
        email_verified: verified.is_some_and(|it| *it == true || it == "true"),
        image: text("picture"),
        data: claims,
    })
}
