//! Texts of ours as values of headers, in the one place where a text becomes one. What is put there
//! is visible ASCII by its type or its making: tokens and ids in base64, hexadecimal or numbers,
//! names and domains of cookies, places as `model::kernel::location` writes them. So no header is ever left
//! out because its value cannot stand there; a fault of this program that broke the rule would be a
//! 500 with a line in the log.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::kernel::location;

/// The value of a header.
///
/// # Panics
/// The text holds something else than visible ASCII and spaces. `edge` answers 500 and logs it.
pub(in crate::http) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("nothing but visible ASCII goes into a header of ours")
}

/// The value of `Location` for a place that may be led to.
pub(in crate::http) fn location(place: &str) -> HeaderValue {
    value(&location::in_header(place))
}

/// The browser goes on with GET, and sends no form again.
pub(in crate::http) fn see_other(place: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location(place))]).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "visible ASCII")]
    fn what_is_no_header_is_a_fault_and_never_left_out() {
        super::value("a\r\nset-cookie: b=c");
    }
}
