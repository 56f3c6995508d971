//! The list of one's own passkeys on `/auth/account/security`, with the forms of each of them.

use crate::http::pages::form::Form;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::passkey::{Button, Way};
use crate::model::login::passkey::Passkey;

/// Returns the page that says what was done with a passkey.
fn after(done: &str) -> String {
    format!("/auth/account/security?done={done}")
}

/// One passkey, as its user sees it.
pub(super) struct Row<'f> {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) made: String,
    /// When it was last used; empty if it was not used yet.
    pub(super) used: String,
    pub(super) is_synced: bool,
    /// The form of this passkey that was refused.
    sent: Option<&'f Form>,
}

/// Methods for the template.
impl Row<'_> {
    /// Returns the refused form that deletes it.
    pub(super) fn deletes(&self) -> Option<&Form> {
        self.sent.filter(|form| form.id() == "delete-passkey")
    }

    /// Returns the refused form that names it.
    pub(super) fn renames(&self) -> Option<&Form> {
        self.sent.filter(|form| form.id() == "rename-passkey")
    }

    /// Returns the name that was typed, or else the present one.
    pub(super) fn typed(&self) -> &str {
        self.renames()
            .map_or(self.name.as_str(), |form| form.value("name"))
    }

    /// Returns what is wrong with the name that was typed.
    pub(super) fn wrong_name(&self) -> &str {
        self.renames().map_or("", |form| form.wrong("name"))
    }
}

/// The passkeys of a user.
pub(super) struct Passkeys<'f> {
    pub(super) rows: Vec<Row<'f>>,
    /// The button that adds one.
    pub(super) add: Button,
    /// The button that proves again who is there.
    pub(super) prove: Button,
    /// What is needed before one is added or deleted.
    pub(super) needs: Needs,
}

/// What is needed before a passkey is added or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// The session is fresh.
    Nothing,
    /// The second step has to be proven again, on the same page.
    Step,
    /// The session has to be proven again, on a page of its own.
    Proof,
}

impl<'f> Passkeys<'f> {
    /// Lists the passkeys with the form that was `sent`, if it was one of theirs. `step_up` is the
    /// page on which the user proves again who is there.
    pub(super) fn of(
        page: &Page,
        passkeys: &[Passkey],
        sent: &'f Form,
        step_up: &str,
        needs: Needs,
    ) -> Self {
        let rows = passkeys.iter().map(|passkey| {
            let id = passkey.id.to_string();
            let unnamed = page.t("passkeys.unnamed");
            Row {
                name: passkey.name.as_deref().unwrap_or(unnamed).to_owned(),
                made: moment(passkey.created_at),
                used: passkey.last_used_at.map(moment).unwrap_or_default(),
                is_synced: passkey.backed_up,
                sent: (sent.value("id") == id).then_some(sent),
                id,
            }
        });
        let add = Button::new(&page.app, Way::Add, "passkeys.add", &after("passkey_added"));
        Self {
            rows: rows.collect(),
            add: add.with_step_up(&page.app, step_up).named(page),
            prove: Button::new(&page.app, Way::Prove, "passkey.use", &after("stepped_up")),
            needs,
        }
    }

    /// Returns whether the list has the form that was sent.
    pub(super) fn shows_sent(&self) -> bool {
        self.rows.iter().any(|row| row.sent.is_some())
    }

    pub(super) fn may_change(&self) -> bool {
        self.needs == Needs::Nothing
    }

    pub(super) fn needs_proof(&self) -> bool {
        self.needs == Needs::Proof
    }

    /// Returns whether there is at least one.
    pub(super) fn has_any(&self) -> bool {
        !self.rows.is_empty()
    }
}
