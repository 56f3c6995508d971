//! What an issuer of OpenID Connect says of a user, and whether the settings admit that user.

use serde_json::{Map, Value};
use url::Url;

use super::failure::Failure;
use super::metadata::CONSUMERS;
use crate::config::upstream::{Kind, Provider};
use crate::crypto::id_token::{IdToken, is_name};
use crate::crypto::logout_token::LogoutToken;
use crate::model::account::email::Email;
use crate::model::account::profile::{DisplayName, ImageUrl};
use crate::model::federation::identity::{Identity, Mailbox};
use crate::model::federation::logout::Logout;

/// The claims of a user.
pub(super) type Claims = Map<String, Value>;

/// What is known of a user besides the id token.
#[derive(Debug, Default)]
pub(super) struct Beside<'a> {
    /// The claims of userinfo, with the same `sub`.
    pub(super) userinfo: Option<Claims>,
    /// Apple: the form field `user`, which is not signed.
    pub(super) first_user: Option<&'a str>,
    /// The scopes that were granted.
    pub(super) scopes: Vec<String>,
}

/// Returns the identity of an id token.
///
/// # Errors
/// [`Failure::NotAllowed`] if the settings do not admit the user, [`Failure::NoUserInfo`] if the token
/// does not name the user.
pub(super) fn identity(
    provider: &Provider,
    token: &IdToken,
    beside: Beside<'_>,
) -> Result<Identity, Failure> {
    admit(provider, &token.claims)?;
    let none = Claims::new();
    let userinfo = beside.userinfo.as_ref().unwrap_or(&none);
    let name = match provider.kind {
        Kind::Apple => beside.first_user.and_then(apple_name),
        _ => text(&token.claims, "name").or_else(|| text(userinfo, "name")),
    };
    let picture = text(&token.claims, "picture").or_else(|| text(userinfo, "picture"));
    Ok(Identity {
        provider: provider.id.clone(),
        issuer: token.issuer.clone(),
        subject: subject(provider, token)?,
        session: text(&token.claims, "sid").filter(|id| is_name(id)),
        mailbox: mailbox(provider, of_mailbox(&token.claims, userinfo), &token.claims),
        name: display_name(name.as_deref()),
        image: picture.as_deref().and_then(image),
        has_factors: provider.trust_mfa && names_factors(&token.claims),
        scopes: beside.scopes,
    })
}

/// Returns the claims that name the mailbox, because what is said of a mailbox is taken from where it is
/// named: the id token; userinfo if the token names none, or names the same and does not say whether it
/// is verified.
fn of_mailbox<'c>(token: &'c Claims, userinfo: &'c Claims) -> &'c Claims {
    let email = token.get("email");
    let is_silent = !token.contains_key("email_verified") && email == userinfo.get("email");
    if email.is_none() || is_silent {
        userinfo
    } else {
        token
    }
}

fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Returns the id of the user: at Microsoft `oid`, because `sub` is another one for each client.
fn subject(provider: &Provider, token: &IdToken) -> Result<String, Failure> {
    if provider.kind != Kind::Microsoft {
        return Ok(token.subject.clone());
    }
    let id = text(&token.claims, "oid").filter(|id| is_name(id));
    id.ok_or_else(|| Failure::NoUserInfo("the id token has no oid".into()))
}

/// Returns what a logout token ends. `sub` of Microsoft names nothing that is known here.
///
/// # Errors
/// [`Failure::InvalidIdToken`] if nothing is left that names a user or a session.
pub(super) fn logout(provider: &Provider, token: LogoutToken) -> Result<Logout, Failure> {
    let subject = match provider.kind {
        Kind::Microsoft => text(&token.claims, "oid").filter(|id| is_name(id)),
        _ => token.subject,
    };
    if subject.is_none() && token.session.is_none() {
        let reason = "it has neither oid nor sid";
        return Err(Failure::InvalidIdToken(reason.into()));
    }
    Ok(Logout {
        provider: provider.id.clone(),
        issuer: token.issuer,
        subject,
        session: token.session,
        id: token.id,
    })
}

/// Checks the restrictions of the settings.
fn admit(provider: &Provider, claims: &Claims) -> Result<(), Failure> {
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    let refuse = |reason: &str| Err(Failure::NotAllowed(reason.into()));
    if let Some(wanted) = provider.hd.as_deref() {
        let is_wanted = |hosted: &str| hosted.eq_ignore_ascii_case(wanted);
        if !claim("hd").is_some_and(is_wanted) {
            return refuse("the account is not of the domain hd");
        }
    }
    let tenant = claim("tid").map(str::to_ascii_lowercase);
    let tenant = tenant.as_deref();
    let is_admitted = match provider.tenant.as_deref() {
        None | Some("common") => true,
        Some("organizations") => tenant.is_some_and(|id| id != CONSUMERS),
        Some("consumers") => tenant == Some(CONSUMERS),
        Some(own) => tenant == Some(own),
    };
    if is_admitted {
        Ok(())
    } else {
        refuse("the account is of another tenant")
    }
}

/// Returns the mailbox that the claims name; `None` for a text that is no email address.
fn mailbox(provider: &Provider, said: &Claims, signed: &Claims) -> Option<Mailbox> {
    let email: Email = said.get("email")?.as_str()?.parse().ok()?;
    let verified = said.get("email_verified");
    let is_verified = match provider.kind {
        // The administrators of a tenant write email addresses; the tenant owns the domain if this says
        // it, in one of the forms that Microsoft writes.
        Kind::Microsoft => {
            let owned = signed.get("xms_edov");
            let is_named = signed.contains_key("email");
            is_named && owned.is_some_and(|owned| *owned == true || *owned == 1 || owned == "1")
        }
        Kind::Apple => verified.is_some_and(|it| *it == true || it == "true"),
        _ => verified.is_some_and(|it| *it == true),
    };
    let hosted = signed.get("hd").and_then(Value::as_str);
    let word = provider.word_about(&email, is_verified, hosted);
    Some(Mailbox { email, word })
}

/// Returns whether the issuer has checked several factors (RFC 8176).
fn names_factors(claims: &Claims) -> bool {
    let methods = claims.get("amr").and_then(Value::as_array);
    methods.is_some_and(|methods| methods.iter().any(|method| method == "mfa"))
}

/// Reads the name from the form field `user` of Apple, which is sent once, at the first sign-in. The
/// email address in it is not read: nothing of it is signed.
fn apple_name(first_user: &str) -> Option<String> {
    const LONGEST: usize = 4_096;
    if first_user.len() > LONGEST {
        return None;
    }
    let user: Value = serde_json::from_str(first_user).ok()?;
    let part = |name: &str| user["name"][name].as_str().unwrap_or_default().trim();
    let name = format!("{} {}", part("firstName"), part("lastName"));
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Returns a name without control characters, cut to the length of a name.
pub(super) fn display_name(name: Option<&str>) -> DisplayName {
    let shown = name.unwrap_or_default().trim().chars();
    let shown = shown.filter(|c| !c.is_control()).take(DisplayName::LONGEST);
    shown.collect::<String>().parse().unwrap_or_default()
}

/// Returns the URL of a picture if it is https and not too long.
pub(super) fn image(picture: &str) -> Option<ImageUrl> {
    let url = Url::parse(picture).ok()?;
    let is_good = url.scheme() == "https" && url.has_host() && url.username().is_empty();
    // The normal form has no white space and no quotes.
    Some(url.to_string()).filter(|_| is_good)?.parse().ok()
}
