//! Converts texts to values of headers, in one place. Every such text is visible ASCII by its type
//! or its origin: tokens and ids in base64, hexadecimal or numbers, names and domains of cookies,
//! redirect targets as `model::kernel::location` writes them. So a header is never left out because
//! its value is not allowed; a bug that broke this rule would be a 500 with a log line.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::kernel::location;

/// Makes the value of a header.
///
/// # Panics
/// If the text contains anything other than visible ASCII and spaces. `edge` answers 500 and logs
/// it.
pub(in crate::http) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("the text of a header is visible ASCII")
}

/// Makes the value of `Location` for a trusted redirect target.
pub(in crate::http) fn location(target: &str) -> HeaderValue {
    value(&location::in_header(target))
}

/// Answers 303, so that the browser continues with GET and does not send the form again.
pub(in crate::http) fn see_other(target: &str) -> Response {
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location(target))],
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "visible ASCII")]
    fn what_is_no_header_is_a_fault_and_never_left_out() {
        super::value("a\r\nset-cookie: b=c");
    }
}
