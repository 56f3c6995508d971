//! `[rate_limits]`: the limits of requests, mails and sign-ins.

use crate::model::limit::rate::{Quota, Rule};

use super::reader::Reader;

/// `[rate_limits]`. A limit that is off is `None`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct RateLimits {
    pub enabled: bool,
    pub sign_in: Option<Quota>,
    pub sign_in_account: Option<Quota>,
    pub sign_in_network: Option<Quota>,
    pub sign_in_success: Option<Quota>,
    pub second_factor: Option<Quota>,
    pub second_factor_account: Option<Quota>,
    pub email_code: Option<Quota>,
    pub email_code_account: Option<Quota>,
    pub code_request: Option<Quota>,
    pub code_network: Option<Quota>,
    pub code_recipient: Option<Quota>,
    pub sign_up: Option<Quota>,
    pub mail_address: Option<Quota>,
    pub mail_network: Option<Quota>,
    pub token: Option<Quota>,
}

pub(super) fn read(r: &mut Reader) -> RateLimits {
    let enabled = r.flag("rate_limits.enabled", true);
    let mut quota = |key: &str, default: &str| {
        let parse = |text: &str| {
            if text == "off" {
                Ok(None)
            } else {
                text.parse::<Quota>().map(Some).map_err(|e| e.to_string())
            }
        };
        r.parsed(key, default, parse).flatten()
    };
    RateLimits {
        enabled,
        sign_in: quota("rate_limits.sign_in", "5/15m"),
        sign_in_account: quota("rate_limits.sign_in_account", "50/1h"),
        sign_in_network: quota("rate_limits.sign_in_network", "100/15m"),
        sign_in_success: quota("rate_limits.sign_in_success", "100/1h"),
        second_factor: quota("rate_limits.second_factor", "5/15m"),
        second_factor_account: quota("rate_limits.second_factor_account", "20/1h"),
        email_code: quota("rate_limits.email_code", "5/15m"),
        email_code_account: quota("rate_limits.email_code_account", "20/24h"),
        code_request: quota("rate_limits.code_request", "5/15m"),
        code_network: quota("rate_limits.code_network", "100/1h"),
        code_recipient: quota("rate_limits.code_recipient", "30/1h"),
        sign_up: quota("rate_limits.sign_up", "30/1h"),
        mail_address: quota("rate_limits.mail_address", "3/1h"),
        mail_network: quota("rate_limits.mail_network", "20/1h"),
        token: quota("rate_limits.token", "120/1m"),
    }
}

impl RateLimits {
    /// Returns the limit for a rule; `None` if it is off.
    pub fn quota(&self, rule: Rule) -> Option<Quota> {
        let quota = match rule {
            Rule::SignIn | Rule::SignInDevice | Rule::Confirm => self.sign_in,
            Rule::SignInAccount | Rule::SignInDevices => self.sign_in_account,
            Rule::SignInNetwork => self.sign_in_network,
            Rule::SignInSuccess => self.sign_in_success,
            Rule::SecondFactor | Rule::SecondFactorDevice => self.second_factor,
            Rule::SecondFactorAccount => self.second_factor_account,
            Rule::EmailCode | Rule::EmailCodeDevice => self.email_code,
            Rule::EmailCodeAccount => self.email_code_account,
            Rule::CodeRequest => self.code_request,
            Rule::CodeNetwork => self.code_network,
            Rule::CodeRecipient => self.code_recipient,
            Rule::SignUp => self.sign_up,
            Rule::MailAddress | Rule::MailRecipient => self.mail_address,
            Rule::MailNetwork => self.mail_network,
            Rule::Mint => self.token,
        };
        quota.filter(|_| self.enabled)
    }
}
