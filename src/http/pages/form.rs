//! The fields of a form of a page: what was typed, what is wrong with it, and the values if nothing
//! is.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use super::page::Page;
use crate::http::edge::body::Fields;
use crate::http::edge::error::{Error, Source};
use crate::http::edge::limits::MAX_PASSWORD;
use crate::http::edge::unchecked::{Closed, Problems, Unchecked};
use crate::model::account::email::Email;
use crate::model::account::profile::DisplayName;

/// A form as it is shown: with the typed values, except passwords.
#[derive(Debug)]
pub(super) struct Form {
    id: &'static str,
    values: BTreeMap<&'static str, String>,
    /// The reasons for which the service refused a form with valid fields.
    refused: BTreeMap<&'static str, String>,
    problems: Problems,
    said: String,
    /// The field that takes the focus although the message is about the whole form, because it has
    /// to be typed again.
    retyped: Option<&'static str>,
    wait: u64,
}

/// A new password and its repetition, as they were typed. Where script runs there is no field for
/// the repetition, because the password can be shown.
pub(in crate::http) struct TypedTwice {
    password: String,
    again: Option<String>,
}

impl TypedTwice {
    /// Reads the fields `password` and `again`.
    pub(in crate::http) fn read(fields: &mut Fields) -> Unchecked<Self> {
        let password = fields.optional_text("password", MAX_PASSWORD).or_default();
        let again = fields.optional_text("again", MAX_PASSWORD);
        password
            .zip(again)
            .map(|(password, again)| Self { password, again })
    }
}

/// Returns the field of a form that an error code is about; other codes are about the whole form.
fn field_of(form: &str, code: &str) -> Option<&'static str> {
    match code {
        "INVALID_CODE" if form == "mailed" => Some("mailed"),
        "INVALID_EMAIL"
        | "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"
        | "EMAIL_DOMAIN_NOT_ALLOWED"
        | "EMAIL_IS_THE_SAME"
        | "EMAIL_MISMATCH"
        | "EMAIL_ALREADY_VERIFIED" => Some("email"),
        "PASSWORD_TOO_SHORT"
        | "PASSWORD_TOO_LONG"
        | "PASSWORD_TOO_COMMON"
        | "PASSWORD_COMPROMISED" => Some("password"),
        "INVALID_PASSWORD" => Some("current"),
        "INVALID_CODE" | "INVALID_OTP" => Some("code"),
        "INVALID_BACKUP_CODE" => Some("recovery"),
        _ => None,
    }
}

/// Returns the code whose words tell an error in a form: what is said of a code of the authenticator
/// app does not fit one of a mail.
fn words_of<'c>(form: &str, code: &'c str) -> &'c str {
    match code {
        "INVALID_CODE" if form == "mailed" => "INVALID_OTP",
        "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE" => "TOO_MANY_ATTEMPTS",
        _ => code,
    }
}

/// Returns the fields of a form in the order in which the page shows them.
fn fields_of(form: &str) -> &'static [&'static str] {
    match form {
        "sign-in" => &["email", "password"],
        "sign-up" => &["name", "email", "password", "again"],
        "forgot" | "verify" | "email" | "email-sign-in" => &["email"],
        "reset" => &["password", "again"],
        "prove" => &["password"],
        "name" | "rename-passkey" => &["name"],
        "password" => &["current", "password", "again"],
        "delete" | "set-up" | "by-mail" | "renew" | "turn-off" | "prove-password" => &["current"],
        "challenge" | "confirm" | "step-up" | "email-code" => &["code"],
        "mailed" => &["mailed"],
        "recovery" => &["recovery"],
        _ => &[],
    }
}

/// Returns whether the form is the purpose of its page. The account page has several forms, so that
/// none of them takes the focus before it is sent.
fn is_whole_page(form: &str) -> bool {
    matches!(
        form,
        "sign-in"
            | "sign-up"
            | "forgot"
            | "verify"
            | "reset"
            | "prove"
            | "prove-password"
            | "challenge"
            | "recovery"
            | "mailed"
            | "email-sign-in"
            | "email-code"
    )
}

impl Form {
    pub(super) fn new(id: &'static str) -> Self {
        Self {
            id,
            values: BTreeMap::new(),
            refused: BTreeMap::new(),
            problems: Problems::new(Source::Form),
            said: String::new(),
            retyped: None,
            wait: 0,
        }
    }

    /// Fills a field with a value.
    pub(super) fn filled(mut self, name: &'static str, value: &str) -> Self {
        self.values.insert(name, value.to_owned());
        self
    }

    /// Checks that a text is not empty.
    pub(super) fn required(&mut self, page: &Page, name: &str, text: String) -> Unchecked<String> {
        let typed = Some(text).filter(|text| !text.is_empty());
        self.problems.value(name, typed, page.t("form.missing"))
    }

    /// Reads a name without the spaces around it; it must not be empty.
    pub(super) fn name(
        &mut self,
        page: &Page,
        name: &str,
        typed: &DisplayName,
    ) -> Unchecked<DisplayName> {
        let trimmed = Some(typed.trim()).filter(|text| !text.is_empty());
        let trimmed = trimmed.and_then(|text| text.parse().ok());
        self.problems.value(name, trimmed, page.t("form.missing"))
    }

    /// Checks an email address.
    pub(super) fn email(&mut self, page: &Page, name: &str, text: &str) -> Unchecked<Email> {
        let key = if text.trim().is_empty() {
            "form.missing"
        } else {
            "error.INVALID_EMAIL"
        };
        self.problems.value(name, text.parse().ok(), page.t(key))
    }

    /// Checks a new password, in the field `password`, and its repetition, in the field `again`, if
    /// there is one or the settings ask for it.
    pub(super) fn typed_twice(&mut self, page: &Page, typed: TypedTwice) -> Unchecked<String> {
        let TypedTwice { password, again } = typed;
        if password.is_empty() {
            return self.required(page, "password", password);
        }
        let is_same = again.map_or(!page.repeats_password(), |again| again == password);
        let same = is_same.then_some(password);
        self.problems.value("again", same, page.t("form.differs"))
    }

    /// Checks that a text is a code of six digits; spaces and dashes do not count. The code itself is
    /// compared later, so that a slip costs none of the tries.
    pub(super) fn six_digits(&mut self, page: &Page, name: &str, text: &str) -> Unchecked<String> {
        let digits: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect();
        let key = if digits.is_empty() {
            "form.missing"
        } else {
            "form.six_digits"
        };
        let is_code = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
        self.problems
            .value(name, is_code.then_some(digits), page.t(key))
    }

    /// Opens the fields of a form without problems.
    ///
    /// # Errors
    /// [`Error::Validation`] with every problem.
    pub(super) fn finish<F: Closed>(&self, fields: F) -> Result<F::Values, Error> {
        self.problems.finish(fields)
    }

    /// Shows a message about the whole form, by its key.
    pub(super) fn say(&mut self, page: &Page, key: &str) {
        page.t(key).clone_into(&mut self.said);
    }

    /// Shows a message about the whole form, by its text.
    pub(super) fn say_text(&mut self, text: &str) {
        text.clone_into(&mut self.said);
    }

    /// Shows an error as [`Self::refused`] does, in a form whose current password is the field
    /// `password`.
    pub(super) fn refused_at(
        &mut self,
        page: &Page,
        password: &'static str,
        error: Error,
    ) -> Result<Error, Error> {
        let error = self.refused(page, error)?;
        if let Some(text) = self.refused.remove("current") {
            self.refused.insert(password, text);
        }
        Ok(error)
    }

    /// Shows an error at its field. Returns errors that the form did not cause as errors of the
    /// page.
    pub(super) fn refused(&mut self, page: &Page, error: Error) -> Result<Error, Error> {
        let status = error.status();
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            return Err(error);
        }
        let code = error.code();
        let text = page
            .meaning(words_of(self.id, code))
            .map_or_else(|| error.message(), ToOwned::to_owned);
        match field_of(self.id, code) {
            Some(field) => drop(self.refused.insert(field, text)),
            None => self.said = text,
        }
        self.retyped = (code == "INVALID_EMAIL_OR_PASSWORD").then_some("password");
        self.wait = error
            .retry_after()
            .filter(|_| status == StatusCode::TOO_MANY_REQUESTS)
            .map_or(0, |wait| wait.as_secs() + 1);
        Ok(error)
    }
}

/// Methods for the templates.
impl Form {
    pub(super) fn id(&self) -> &str {
        self.id
    }

    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    pub(super) fn wrong(&self, name: &str) -> &str {
        let refused = self.refused.get(name).map(String::as_str);
        refused
            .or_else(|| self.problems.latest(name))
            .unwrap_or_default()
    }

    /// Returns whether this field takes the focus when the page opens: the first wrong one;
    /// otherwise the first empty one, unless a message about the whole form takes it.
    pub(super) fn has_focus(&self, name: &str) -> bool {
        let mut fields = fields_of(self.id).iter().copied();
        let wrong = fields.clone().find(|field| !self.wrong(field).is_empty());
        let first = wrong.or(self.retyped).or_else(|| {
            let may = is_whole_page(self.id) && self.said.is_empty();
            fields
                .find(|field| self.value(field).is_empty())
                .filter(|_| may)
        });
        first == Some(name)
    }

    /// Returns whether the message about the whole form takes the focus.
    pub(super) fn says_first(&self) -> bool {
        let mut fields = fields_of(self.id).iter();
        !self.said.is_empty()
            && self.retyped.is_none()
            && fields.all(|field| self.wrong(field).is_empty())
    }

    pub(super) fn said(&self) -> &str {
        &self.said
    }

    pub(super) fn wait(&self) -> u64 {
        self.wait
    }
}
