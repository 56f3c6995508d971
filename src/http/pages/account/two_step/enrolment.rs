//! The pages that show a secret once: the key of an authenticator app as QR code and as text, and
//! new recovery codes with a file to keep them. Both are answers of forms, so that no URL leads to
//! them.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::flows::account::two_factor::Enrolment;
use crate::http::edge::error::Error;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::visitor::SignedIn;

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

#[derive(Template)]
#[template(path = "pages/enrol.html")]
struct Enrol<'p> {
    p: &'p Page,
    f: &'p Form,
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

/// Shows the secret and the form for the first code; with `refused` as the answer to a wrong one.
pub(super) fn enrol(
    visitor: &SignedIn,
    form: &Form,
    enrolment: Enrolment,
    refused: Option<Error>,
) -> Response {
    let SignedIn { page, who, .. } = visitor;
    let shown = Enrol {
        p: page,
        f: form,
        qr: qr::drawn(&enrolment.uri),
        key: grouped(&enrolment.secret),
        uri: &enrolment.uri,
        made: enrolment.made_at.0,
        list: List::of(page, who.user.email.as_str(), enrolment.codes),
    };
    match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    }
}

/// Shows new recovery codes.
pub(super) fn recovery_codes(visitor: &SignedIn, codes: Vec<Zeroizing<String>>) -> Response {
    let SignedIn { page, who, .. } = visitor;
    let list = List::of(page, who.user.email.as_str(), codes);
    Page::answer(&RecoveryCodes { p: page, list }, StatusCode::OK, "")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn a_secret_is_shown_in_groups_of_four() {
        assert_eq!(grouped("GEZDGNBVGY3TQOJQ"), "GEZD GNBV GY3T QOJQ");
        assert_eq!(grouped("GEZDGN"), "GEZD GN");
        assert_eq!(grouped(""), "");
    }
}
