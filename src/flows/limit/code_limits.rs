//! What codes of mails are counted by: requests for them, and codes that are tried.

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::audit::event::Requester;
use crate::model::limit::rate::Rule;
use crate::model::login::email_code::CodePurpose;

use super::rate_limit::RateLimitCheck;

impl RateLimitCheck {
    /// Makes the check of a code that was mailed to an email address, known or not. A device that has
    /// signed in to the account before is counted separately; links are not counted, because they
    /// cannot be guessed.
    pub fn email_code(
        app: &App,
        email: &Email,
        device: Option<&str>,
        requester: &Requester,
    ) -> Self {
        let email = email.as_str();
        match device {
            Some(device) => Self::of(app, &[(Rule::EmailCodeDevice, &[email, device])]),
            None => Self::default().by_network(app, Rule::EmailCode, &[email], requester),
        }
    }

    /// Makes the check of a code that is about to be compared, from all networks together. What is
    /// compared with nothing does not count: otherwise strangers would use the count up without asking
    /// for a code.
    pub fn email_code_account(app: &App, email: &Email, device: Option<&str>) -> Self {
        match device {
            Some(_) => Self::default(),
            None => Self::of(app, &[(Rule::EmailCodeAccount, &[email.as_str()])]),
        }
    }

    /// Makes the check of a request for a code. Each purpose is counted separately, and so is a
    /// device that has signed in to the account before.
    pub fn code_request(
        app: &App,
        purpose: CodePurpose,
        email: &Email,
        device: Option<&str>,
        requester: &Requester,
    ) -> Self {
        let whom = [purpose.as_str(), email.as_str()];
        let by_address = match device {
            Some(device) => Self::of(app, &[(Rule::CodeRequest, &[whom[0], whom[1], device])]),
            None => Self::default().by_network(app, Rule::CodeRequest, &whom, requester),
        };
        by_address.by_network(app, Rule::CodeNetwork, &[], requester)
    }
}
