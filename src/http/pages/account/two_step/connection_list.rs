//! The list of one's own connected accounts on `/auth/account/security`, with the buttons that connect
//! another one.

use crate::flows::federation::links::Link;
use crate::http::pages::form::Form;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::upstream::{Offer, UNKNOWN};

use super::passkey_list::Needs;

/// One connected account, as its user sees it.
pub(super) struct Row<'f> {
    pub(super) id: String,
    /// The name of the provider.
    pub(super) name: String,
    pub(super) mark: &'static str,
    /// The email address at the provider; empty if it names none.
    pub(super) email: String,
    pub(super) made: String,
    /// When it was last used; empty if it was not used yet.
    pub(super) used: String,
    /// Whether the provider is not in the settings any more.
    pub(super) is_gone: bool,
    /// The form of this account that was refused.
    sent: Option<&'f Form>,
}

impl Row<'_> {
    /// Returns the refused form that disconnects it, for the template.
    pub(super) fn disconnects(&self) -> Option<&Form> {
        self.sent
    }
}

/// The connected accounts of a user.
pub(super) struct Connections<'f> {
    pub(super) rows: Vec<Row<'f>>,
    /// The providers at which an account can be connected.
    pub(super) offers: Vec<Offer>,
    /// What is needed before one is connected or disconnected.
    needs: Needs,
    /// The form of the section that was sent.
    sent: Option<&'f Form>,
}

impl<'f> Connections<'f> {
    /// Lists the accounts with the form that was `sent`, if it was one of theirs.
    pub(super) fn of(page: &Page, links: &[Link], sent: &'f Form, needs: Needs) -> Self {
        let sent = Some(sent).filter(|form| matches!(form.id(), "connect" | "disconnect"));
        let rows = links.iter().map(|link| {
            let id = link.id.to_string();
            let offer = page.provider(link.provider.as_str());
            Row {
                sent: sent.filter(|form| form.value("id") == id),
                id,
                is_gone: offer.is_none(),
                mark: offer.as_ref().map_or(UNKNOWN, |offer| offer.mark),
                name: offer.map_or_else(|| link.provider.to_string(), |offer| offer.name),
                email: link.email.clone().unwrap_or_default(),
                made: moment(link.created_at),
                used: link.last_used_at.map(moment).unwrap_or_default(),
            }
        });
        Self {
            rows: rows.collect(),
            offers: page.providers(),
            needs,
            sent,
        }
    }
}

/// Methods for the template.
impl Connections<'_> {
    /// Returns whether there is anything to show: an account, or a provider.
    pub(super) fn is_shown(&self) -> bool {
        !self.rows.is_empty() || !self.offers.is_empty()
    }

    /// Returns the form that was sent, if it belongs to none of the accounts.
    pub(super) fn connects(&self) -> Option<&Form> {
        let is_of_row = self.rows.iter().any(|row| row.sent.is_some());
        self.sent.filter(|_| !is_of_row)
    }

    /// Returns whether the section shows the form that was sent.
    pub(super) fn shows_sent(&self) -> bool {
        self.is_shown() && self.sent.is_some()
    }

    pub(super) fn may_change(&self) -> bool {
        self.needs == Needs::Nothing
    }

    pub(super) fn needs_proof(&self) -> bool {
        self.needs == Needs::Proof
    }
}
