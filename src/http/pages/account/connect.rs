//! `/auth/account/connect`: asks before an account of another service is connected whose email address is
//! not that of the user. The browser may be signed in there as another person.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use url::Url;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::federation::confirm;
use crate::flows::federation::refused::Refused as Reason;
use crate::flows::permit::to;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_SEALED_LINK;
use crate::http::edge::query::Query;
use crate::http::pages::failures::MessagePage;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::paths::CONNECTIONS;
use crate::http::pages::upstream::{UNKNOWN, lead_on};
use crate::http::pages::visitor::{OwnForm, SignedIn, see_other};

#[derive(Template)]
#[template(path = "pages/connect.html")]
struct Connect<'p> {
    p: &'p Page,
    f: &'p Form,
    /// The name of the provider, and its mark.
    name: &'p str,
    mark: &'static str,
    /// The email address at the provider; empty if it names none.
    theirs: &'p str,
    /// The email address of the user.
    own: &'p str,
    /// The sealed question about the identity.
    link: &'p str,
}

/// Shows why nothing was connected, and the way to begin again.
fn over(page: &Page, error: &Error) -> Response {
    let (status, title, text) = if error.status() == StatusCode::CONFLICT {
        let text = page.refused_text(Reason::LinkedToDifferentUser.as_str());
        (StatusCode::CONFLICT, "upstream_refused.link_title", text)
    } else {
        let text = page.t("connect.over_text");
        (StatusCode::BAD_REQUEST, "connect.over", text)
    };
    let told = MessagePage {
        p: page,
        title: page.t(title),
        text,
        code: "",
        request_id: "",
        href: CONNECTIONS,
        link: "connect.again",
    };
    Page::answer(&told, status, "")
}

/// Goes on to where the request came from. A form of a page leads only to this site, so that a page
/// leads on to another one.
fn go_on(page: &Page, done: Option<String>) -> Response {
    let target = done.unwrap_or_else(|| format!("{CONNECTIONS}?done=connected"));
    match Url::parse(&target) {
        Ok(url) => lead_on(page, url.host_str().unwrap_or(url.scheme()), &target, false),
        Err(_) => see_other(&target),
    }
}

/// Returns whether the user has to prove again who is there, or the service has failed: neither is the
/// fault of the link.
fn is_not_of_link(error: &Error) -> bool {
    matches!(error, Error::Flow(Refused::SessionNotFresh(_))) || error.status().is_server_error()
}

/// Shows the question with the form, and why it was refused.
fn question(
    visitor: &SignedIn,
    link: &str,
    form: &Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let SignedIn { page, who, .. } = visitor;
    let own = who.own_account::<to::ResetFactors>()?;
    let asked = match confirm::look(&page.app, own, link).map_err(Error::from) {
        Ok(asked) => asked,
        Err(error) if is_not_of_link(&error) => return Err(error),
        Err(error) => return Ok(over(page, &error)),
    };
    let known = page.provider(&asked.provider);
    let shown = Connect {
        p: page,
        f: form,
        name: &asked.name,
        mark: known.map_or(UNKNOWN, |known| known.mark),
        theirs: asked.email.as_deref().unwrap_or_default(),
        own: who.user.email.as_str(),
        link,
    };
    Ok(match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    })
}

pub(in crate::http::pages) async fn show(
    visitor: SignedIn,
    query: Query,
) -> Result<Response, Error> {
    let link = query
        .no_longer_than("link", MAX_SEALED_LINK)
        .unwrap_or_default();
    question(&visitor, link, &Form::new("connect-account"), None)
}

/// Connects the account, and goes on to where the request came from.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let link = fields.optional_text("link", MAX_SEALED_LINK).or_default();
    let link = fields.finish(link)?;
    let page = &visitor.page;
    let mut form = Form::new("connect-account");
    if is_stale {
        form.say(page, "error.INVALID_FORM_TOKEN");
        return question(&visitor, &link, &form, Some(Error::InvalidFormToken));
    }
    let confirmed = confirm::confirm(&app, own, &link, &visitor.requester).await;
    match confirmed.map_err(Error::from) {
        Ok(urls) => Ok(go_on(page, urls.done)),
        Err(error) if is_not_of_link(&error) => Err(error),
        Err(error) => Ok(over(page, &error)),
    }
}
