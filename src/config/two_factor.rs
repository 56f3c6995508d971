//! `[two_factor]`: the second step of a sign-in.

use std::time::Duration;

use crate::config::units::{HOUR, MINUTE};

use super::SignUp;
use super::reader::Reader;
use crate::model::login::level::Level;
use crate::model::login::policy::{Policy, Rules};

/// The greatest length of `two_factor.issuer`, in characters; it is shown in small type.
const MAX_ISSUER: usize = 60;

/// `[two_factor]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct TwoFactor {
    pub issuer: String,
    pub remember_device: Option<Duration>,
}

impl TwoFactor {
    /// Returns what a sign-in has to reach by the settings.
    pub(super) fn policy(&self, sign_up: &SignUp) -> Policy {
        let mut rules = Rules::ENROLMENT;
        rules.set(Rules::REMEMBERED_DEVICE, self.remember_device.is_some());
        rules.set(Rules::VERIFIED_MAILBOX, sign_up.require_email_verification);
        Policy {
            least: Level::One,
            rules,
        }
    }
}

pub(super) fn read(r: &mut Reader, app_name: &str) -> TwoFactor {
    let issuer = r.parsed("two_factor.issuer", "", |text| {
        let plain = !text.chars().any(|c| c.is_control() || c == ':');
        if plain && text.chars().count() <= MAX_ISSUER {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "at most {MAX_ISSUER} characters, without a colon and control characters"
            ))
        }
    });
    let issuer = issuer.filter(|issuer| !issuer.is_empty());
    r.became_if("two_factor.issuer", "", app_name, "it is mail.app_name");
    TwoFactor {
        // The label of an authenticator app is ISSUER:ACCOUNT.
        issuer: issuer.unwrap_or_else(|| app_name.replace(':', " ")),
        remember_device: Some(r.duration(
            "two_factor.remember_device",
            "30d",
            Duration::ZERO..=365 * 24 * HOUR,
        ))
        .filter(|time| *time >= MINUTE),
    }
}
