//! The values of a mail that come from its user.

use serde_json::{Map, Value};

use crate::model::account::email::Email;
use crate::model::account::user::User;

use crate::flows::transaction::recorder::detail;

/// Returns the name for a mail. Names of unverified users are not put into mails, because anyone
/// could have typed them; verified names are collapsed to one line.
fn proven_name(user: &User, to: &Email) -> String {
    if user.email_verified && user.email == *to {
        user.name.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        String::new()
    }
}

pub(super) fn words_for(user: &User, to: &Email, new_email: Option<&Email>) -> Map<String, Value> {
    detail([
        ("name", proven_name(user, to).into()),
        ("email", user.email.as_str().into()),
        ("newEmail", new_email.map(Email::as_str).into()),
    ])
}
