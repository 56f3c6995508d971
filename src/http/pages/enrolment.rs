//! The pages that show a secret once: the key of an authenticator app as QR code and as text, on the
//! way of a sign-in or from the page of the account, and new recovery codes with a file to keep
//! them. Both are answers of forms, so that no URL leads to them.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::flows::login::enrolment::Enrolment;
use crate::http::edge::error::Error;
use crate::http::edge::redirects::query_of;

use super::form::Form;
use super::page::Page;
use super::qr;

/// Recovery codes as a page lists them.
struct List {
    codes: Vec<Zeroizing<String>>,
    /// A `data:` URL with the codes as a text file.
    file: Zeroizing<String>,
}

impl List {
    fn of(page: &Page, email: &str, codes: Vec<Zeroizing<String>>) -> Self {
        let values = [("app", page.name()), ("email", email)];
        let mut text = Zeroizing::new(page.words.filled("security.file_title", &values));
        text.push('\n');
        for code in &codes {
            text.push('\n');
            text.push_str(code);
        }
        text.push('\n');
        let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC);
        let file = format!("data:text/plain;charset=utf-8,{encoded}");
        Self {
            codes,
            file: Zeroizing::new(file),
        }
    }
}

/// Where a secret is made and confirmed.
#[derive(Clone, Copy)]
pub(super) enum Within<'n> {
    /// In a session, from the page of the account.
    Account,
    /// In a sign-in that waits for a first factor.
    SignIn {
        /// The redirect target; empty if there is none.
        next: &'n str,
        /// Where the sign-in leads in the end.
        leads_to: &'n str,
    },
}

impl<'n> Within<'n> {
    fn leads_to(self) -> &'n str {
        match self {
            Self::Account => "",
            Self::SignIn { leads_to, .. } => leads_to,
        }
    }

    /// Returns the redirect target of a sign-in, for the templates.
    fn sign_in(self) -> Option<&'n str> {
        match self {
            Self::Account => None,
            Self::SignIn { next, .. } => Some(next),
        }
    }

    /// Returns the redirect target of a sign-in as a query.
    fn query(self) -> String {
        self.sign_in().map(query_of).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "pages/enrol.html")]
struct Enrol<'p> {
    p: &'p Page,
    f: &'p Form,
    within: Within<'p>,
    /// The QR code as SVG.
    qr: Option<String>,
    /// The secret in groups of four letters.
    key: String,
    uri: &'p str,
    /// Tells this secret from one that was made later in another window.
    made: i64,
    list: List,
}

#[derive(Template)]
#[template(path = "pages/recovery_codes.html")]
struct RecoveryCodes<'p> {
    p: &'p Page,
    list: List,
}

/// Returns a secret in groups of four letters, as people copy it.
fn grouped(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    let groups = letters.chunks(4).map(|group| group.iter().collect());
    groups.collect::<Vec<String>>().join(" ")
}

/// Returns the email address in the URI of a secret, whose label is `ISSUER:ACCOUNT`.
fn account_of(uri: &str) -> String {
    let label = uri.split('?').next().unwrap_or_default();
    let account = label.rsplit(':').next().unwrap_or_default();
    percent_decode_str(account).decode_utf8_lossy().into_owned()
}

/// Shows the secret and the form for the first code; with `refused` as the answer to a wrong one.
pub(super) fn enrol(
    page: &Page,
    form: &Form,
    enrolment: Enrolment,
    within: Within<'_>,
    refused: Option<Error>,
) -> Response {
    let shown = Enrol {
        p: page,
        f: form,
        within,
        qr: qr::drawn(&enrolment.uri),
        key: grouped(&enrolment.secret),
        uri: &enrolment.uri,
        made: enrolment.made_at.0,
        list: List::of(page, &account_of(&enrolment.uri), enrolment.codes),
    };
    match refused {
        None => Page::answer(&shown, StatusCode::OK, within.leads_to()),
        Some(error) => Page::refuse(&shown, error, within.leads_to()),
    }
}

/// Shows new recovery codes.
pub(super) fn recovery_codes(page: &Page, email: &str, codes: Vec<Zeroizing<String>>) -> Response {
    let list = List::of(page, email, codes);
    Page::answer(&RecoveryCodes { p: page, list }, StatusCode::OK, "")
}

#[cfg(test)]
mod tests {
    use super::{account_of, grouped};

    #[test]
    fn the_email_address_is_read_from_the_label_of_the_uri() {
        let uri = "otpauth://totp/My%20Notes:a%2Bb%40example.com?secret=GEZD&issuer=My%20Notes";
        assert_eq!(account_of(uri), "a+b@example.com");
    }

    #[test]
    fn a_secret_is_shown_in_groups_of_four() {
        assert_eq!(grouped("GEZDGNBVGY3TQOJQ"), "GEZD GNBV GY3T QOJQ");
        assert_eq!(grouped("GEZDGN"), "GEZD GN");
        assert_eq!(grouped(""), "");
    }
}
