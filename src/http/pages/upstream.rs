//! What the pages show of other issuers: a button for each provider of the settings, the page that
//! leads the browser on to one of them, and the texts of what came back.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::page::Page;
use super::paths::with_next;
use crate::flows::federation::begin::Begun;
use crate::flows::federation::refused::Refused;
use crate::http::delivery::upstream;

/// The greatest length of a redirect target that is kept for a sign-in that fails, too. It travels
/// in a cookie, beside the one for a sign-in that succeeds.
const LONGEST_KEPT: usize = 512;

/// A provider as a button shows it.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) id: String,
    pub(super) name: String,
    /// The word of its mark in the templates.
    pub(super) mark: &'static str,
}

/// The mark of a provider that is not in the settings any more.
pub(super) const UNKNOWN: &str = "oidc";

impl Page {
    /// Shows the provider of this id, if the settings have it.
    pub(super) fn provider(&self, id: &str) -> Option<Offer> {
        let provider = self.app.config.upstream.find(id)?;
        Some(Offer {
            id: provider.id.to_string(),
            name: provider.name.clone(),
            mark: provider.kind.as_str(),
        })
    }

    /// Lists the providers, in the order of their ids.
    pub(super) fn providers(&self) -> Vec<Offer> {
        let all = self.app.config.upstream.iter();
        all.filter_map(|provider| self.provider(provider.id.as_str()))
            .collect()
    }

    /// Lists the providers whose identities can make an account.
    pub(super) fn providers_of_sign_up(&self) -> Vec<Offer> {
        let all = self.app.config.upstream.iter();
        all.filter(|provider| provider.makes_accounts())
            .filter_map(|provider| self.provider(provider.id.as_str()))
            .collect()
    }

    /// Returns the word with which a provider's answer was refused; `None` for
    /// any other text.
    pub(super) fn word_of(code: &str) -> Option<&'static str> {
        let mut words = Refused::ALL.iter().map(|refused| refused.as_str());
        words.find(|word| *word == code)
    }

    /// Returns the text for a word of [`Self::word_of`].
    pub(super) fn refused_text(&self, word: &str) -> &str {
        let key = format!("upstream_refused.{word}");
        let text = self.words.find(&key);
        text.unwrap_or_else(|| self.t("upstream_refused.upstream_error"))
    }
}

/// Returns whether a word is about an account that was to be connected.
pub(super) fn is_about_link(word: &str) -> bool {
    matches!(
        word,
        "unable_to_link_account"
            | "email_does_not_match"
            | "account_already_linked_to_different_user"
    )
}

/// Returns the page of a sign-in that fails, from which the user can begin again with the same
/// redirect target.
pub(super) fn after_failure(next: &str) -> String {
    let kept = if next.len() <= LONGEST_KEPT { next } else { "" };
    with_next("/auth/error", kept)
}

#[derive(Template)]
#[template(path = "pages/lead_on.html")]
struct LeadOn<'p> {
    p: &'p Page,
    name: &'p str,
    url: &'p str,
    /// Whether the browser comes back here afterwards.
    returns: bool,
}

/// Answers a form with a page that leads on to another site. A redirect would not do: the
/// Content-Security-Policy of the page with the form lets it lead only to this site.
pub(super) fn lead_on(page: &Page, name: &str, url: &str, returns: bool) -> Response {
    let shown = LeadOn {
        p: page,
        name,
        url,
        returns,
    };
    Page::answer(&shown, StatusCode::OK, "")
}

/// Leads on to a provider, and keeps what the browser needs when it comes back in a cookie.
pub(super) fn lead_to(page: &Page, provider: &str, begun: &Begun) -> Response {
    let mut headers = HeaderMap::new();
    upstream::begun(&page.app, begun, &mut headers);
    let known = page.provider(provider);
    let name = known.as_ref().map_or(provider, |known| known.name.as_str());
    (headers, lead_on(page, name, begun.url.as_str(), true)).into_response()
}
