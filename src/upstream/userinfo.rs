//! The userinfo endpoint (OpenID Connect Core section 5.3), asked only for claims that the id token
//! lacks.

use super::claims::Claims;
use super::failure::Failure;
use super::metadata::Metadata;
use super::requests::Asking;
use crate::config::upstream::Kind;
use crate::crypto::id_token::IdToken;

/// Returns the claims of userinfo if the id token names no mailbox or no name, or does not say whether the
/// mailbox is verified, and there is a userinfo endpoint.
///
/// # Errors
/// [`Failure::NoUserInfo`] if they are of another user. [`Failure::Unavailable`] if there is no answer
/// and the mailbox is not known without it.
pub(super) async fn ask(
    asking: Asking<'_>,
    metadata: &Metadata,
    token: &IdToken,
    access_token: &str,
) -> Result<Option<Claims>, Failure> {
    let has = |name: &str| token.claims.contains_key(name);
    let Some(url) = metadata.userinfo_endpoint.as_ref() else {
        return Ok(None);
    };
    // Apple has none, and that of Microsoft says nothing more.
    let is_asked = !matches!(asking.provider.kind, Kind::Apple | Kind::Microsoft);
    if !is_asked || ["email", "email_verified", "name"].into_iter().all(has) {
        return Ok(None);
    }
    let said = match asking.of_user(url, access_token).await {
        Ok(said) => said,
        Err(_) if has("email") => return Ok(None),
        Err(failure) => return Err(failure),
    };
    match said.as_object() {
        Some(claims) if claims.get("sub").is_some_and(|sub| *sub == *token.subject) => {
            Ok(Some(claims.clone()))
        }
        _ => Err(Failure::NoUserInfo("userinfo is of another user".into())),
    }
}
