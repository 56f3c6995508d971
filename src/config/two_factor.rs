//! `[two_factor]`: the second step of a sign-in.

use std::time::Duration;

use crate::config::units::{HOUR, MINUTE};

use super::mail::Mail;
use super::reader::Reader;
use super::upstream::Upstreams;
use super::{SignIn, SignUp};
use crate::model::kernel::location;
use crate::model::kernel::origin::TrustedOrigins;
use crate::model::kernel::redirect::is_trusted_redirect;
use crate::model::login::policy::{Policy, Rules};

/// The greatest length of `two_factor.issuer`, in characters; it is shown in small type.
const MAX_ISSUER: usize = 60;

/// The page of this service for the second step.
const PAGE: &str = "/auth/challenge";

/// The greatest length of `two_factor.page`, in bytes; it is sent in `Location`.
const LONGEST_PAGE: usize = 1_024;

/// `[two_factor]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct TwoFactor {
    pub issuer: String,
    pub email: bool,
    pub page: String,
    pub remember_device: Option<Duration>,
}

impl TwoFactor {
    /// Warns where a sign-in by a link would lead to a page that is not served.
    pub(super) fn tell_of_page(&self, r: &mut Reader, has_pages: bool, sign_in: SignIn) {
        if !has_pages && sign_in.by_mail && self.page == PAGE {
            r.warnings.push(
                "two_factor.page: pages.enabled is false, so set the page of the application for the second step"
                    .to_owned(),
            );
        }
    }

    /// Returns what a sign-in has to reach by the settings.
    pub(super) fn policy(&self, sign_up: &SignUp, sign_in: SignIn, upstream: &Upstreams) -> Policy {
        let mut rules = Rules::ENROLMENT;
        rules.set(Rules::MAILED_CODE, self.email);
        rules.set(Rules::REMEMBERED_DEVICE, self.remember_device.is_some());
        // An identity has this proof only where `upstream.ID.trust_mfa` says so; where no section does any
        // more, live sessions by it are below the policy.
        let is_trusted = upstream.iter().any(|provider| provider.trust_mfa);
        rules.set(Rules::UPSTREAM_FACTORS, is_trusted);
        rules.set(Rules::VERIFIED_MAILBOX, sign_up.require_email_verification);
        Policy {
            least: sign_in.require,
            rules,
        }
    }
}

pub(super) fn read(r: &mut Reader, mail: &Mail, trusted: &TrustedOrigins) -> TwoFactor {
    let app_name = mail.app_name.as_str();
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
    let email = r.flag("two_factor.email", false);
    if email && !mail.sends() {
        r.problem(
            "two_factor.email",
            "needs mail: set mail.transport to smtp or file".into(),
        );
    }
    let page = r.parsed("two_factor.page", PAGE, |text| {
        if text.len() <= LONGEST_PAGE && is_trusted_redirect(text, trusted) {
            Ok(location::in_header(text))
        } else {
            Err(format!(
                "write a path of this service such as {PAGE}, or a URL of a trusted origin"
            ))
        }
    });
    TwoFactor {
        email,
        page: page.unwrap_or_else(|| PAGE.to_owned()),
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
