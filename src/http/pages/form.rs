//! What stands in a form, and what is wrong with it.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use super::page::Page;
use crate::http::edge::error::Error;

/// A form as it is shown: again with what was typed, but for passwords.
#[derive(Debug, Default)]
pub(super) struct Form {
    id: &'static str,
    values: BTreeMap<&'static str, String>,
    wrong: BTreeMap<&'static str, String>,
    said: String,
    wait: u64,
}

/// The field that a refusal is about; the others are about the whole form.
fn field_of(code: &str) -> Option<&'static str> {
    match code {
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
        _ => None,
    }
}

impl Form {
    pub(super) fn new(id: &'static str) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// With a value in it.
    pub(super) fn filled(mut self, name: &'static str, value: &str) -> Self {
        self.values.insert(name, value.to_owned());
        self
    }

    /// Notes what is wrong with a field, by its key in the catalogue.
    pub(super) fn note(&mut self, page: &Page, name: &'static str, key: &str) {
        self.wrong.insert(name, page.t(key).to_owned());
    }

    /// Says something about the whole form, by its key.
    pub(super) fn say(&mut self, page: &Page, key: &str) {
        page.t(key).clone_into(&mut self.said);
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.said.is_empty()
    }

    /// The refusal of a form with wrong fields.
    pub(super) fn problems(&self) -> Error {
        let problems = self
            .wrong
            .iter()
            .map(|(name, text)| ((*name).to_owned(), vec![text.clone()]));
        Error::Validation(problems.collect())
    }

    /// As [`Self::refused`], in a form whose current password is the field `password`.
    pub(super) fn refused_at(
        &mut self,
        page: &Page,
        password: &'static str,
        error: Error,
    ) -> Result<Error, Error> {
        let error = self.refused(page, error)?;
        if let Some(text) = self.wrong.remove("current") {
            self.wrong.insert(password, text);
        }
        Ok(error)
    }

    /// Says a refusal where it belongs; what is no fault of the form is an error of the page.
    pub(super) fn refused(&mut self, page: &Page, error: Error) -> Result<Error, Error> {
        let status = error.status();
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            return Err(error);
        }
        let code = error.code();
        let text = page
            .meaning(code)
            .map_or_else(|| error.message(), ToOwned::to_owned);
        match field_of(code) {
            Some(field) => drop(self.wrong.insert(field, text)),
            None => self.said = text,
        }
        self.wait = error
            .retry_after()
            .filter(|_| status == StatusCode::TOO_MANY_REQUESTS)
            .map_or(0, |wait| wait.as_secs() + 1);
        Ok(error)
    }
}

/// For the templates.
impl Form {
    pub(super) fn id(&self) -> &str {
        self.id
    }

    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    pub(super) fn wrong(&self, name: &str) -> &str {
        self.wrong.get(name).map_or("", String::as_str)
    }

    pub(super) fn said(&self) -> &str {
        &self.said
    }

    pub(super) fn wait(&self) -> u64 {
        self.wait
    }
}
