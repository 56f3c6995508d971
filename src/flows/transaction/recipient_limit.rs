//! The limit of a recipient of mails: a number for each kind of mail, whatever requests it. Mails
//! with codes have a limit of their own, because users sign in with them; those that a known device
//! requests are counted apart, so that strangers do not use up its mails.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::crypto::limit_key;
use crate::metrics::Metrics;
use crate::model::account::email::Email;
use crate::model::limit::rate::{Quota, Rule, decide};
use crate::model::login::email_code::EmailCode;
use crate::model::mail::Template;
use crate::store::{self, Conn};

/// How many times the limit of an email address applies to the mailbox: `ana+shop@…` and
/// `ana+news@…` are the same mailbox at most providers.
const SPELLINGS: u32 = 3;

/// Counts the mails of each recipient.
#[derive(Clone)]
pub(super) struct RecipientLimit {
    /// The limit for each kind and email address; `None` for no limit.
    quota: Option<Quota>,
    /// The limit of mails with codes.
    codes: Option<Quota>,
    /// The limit of wrong codes at an email address.
    guesses: Option<Quota>,
    metrics: Arc<Metrics>,
}

impl RecipientLimit {
    /// Makes the limit of the settings.
    pub(super) fn new(app: &App) -> Self {
        let limits = &app.config.rate_limits;
        Self {
            quota: limits.quota(Rule::MailRecipient),
            codes: limits.quota(Rule::CodeRecipient),
            guesses: limits.quota(Rule::EmailCodeAccount),
            metrics: Arc::clone(&app.metrics),
        }
    }

    /// Returns after how long a recipient who is over the limit may get another mail of the kind.
    pub(super) fn refusal_delay(&self) -> Duration {
        self.quota.map_or(Duration::ZERO, every)
    }

    /// Returns after how long a recipient who is over the limit may get another code.
    pub(super) fn refusal_delay_of_codes(&self) -> Duration {
        self.codes.map_or(Duration::ZERO, every)
    }

    /// Counts one more mail of this kind to this email address, and to its mailbox. Returns `false`
    /// if it is over the limit and must not be queued.
    pub(super) async fn admits(
        &self,
        conn: &mut Conn,
        template: Template,
        to: &Email,
    ) -> store::Result<bool> {
        let Some(quota) = self.quota else {
            return Ok(true);
        };
        let parties = by_mailbox(quota, template, to);
        self.count(conn, Rule::MailRecipient, &parties).await
    }

    /// Counts one more mail with a code. Returns `false` if it is over the limit and must not be
    /// sent.
    pub(super) async fn admits_code(
        &self,
        conn: &mut Conn,
        code: &EmailCode,
    ) -> store::Result<bool> {
        let Some(quota) = self.codes else {
            return Ok(true);
        };
        let template = Template::Code(code.purpose);
        let parties = match &code.device {
            Some(device) => vec![(
                quota,
                vec![
                    template.as_str().to_owned(),
                    code.email.as_str().to_owned(),
                    device.clone(),
                ],
            )],
            None => by_mailbox(quota, template, &code.email),
        };
        self.count(conn, Rule::CodeRecipient, &parties).await
    }

    /// Returns whether so many wrong codes were tried at an email address that further ones have to
    /// wait. Then only a link, which cannot be guessed, is sure to let its owner in.
    pub(super) async fn is_guessed(&self, conn: &mut Conn, email: &Email) -> store::Result<bool> {
        let Some(quota) = self.guesses else {
            return Ok(false);
        };
        let key = limit_key::key(Rule::EmailCodeAccount, &[email.as_str()]);
        let state = store::limit::limits::find(conn, &key).await?;
        let now = conn.now();
        Ok(state
            .is_some_and(|state| now < state.expires_at && state.level >= i64::from(quota.count)))
    }

    async fn count(
        &self,
        conn: &mut Conn,
        rule: Rule,
        parties: &[(Quota, Vec<String>)],
    ) -> store::Result<bool> {
        let mut taken = Vec::new();
        for (quota, whom) in parties {
            let whom: Vec<&str> = whom.iter().map(String::as_str).collect();
            let key = limit_key::key(rule, &whom);
            let state = store::limit::limits::take(conn, &key).await?;
            let Ok(state) = decide(rule, *quota, state, conn.now()) else {
                self.metrics.mail("limited");
                return Ok(false);
            };
            taken.push((key, state));
        }
        for (key, state) in taken {
            store::limit::limits::put(conn, &key, state).await?;
        }
        Ok(true)
    }
}

fn every(quota: Quota) -> Duration {
    quota.period / quota.count
}

/// Returns the email address and its mailbox, each with its limit.
fn by_mailbox(quota: Quota, template: Template, to: &Email) -> Vec<(Quota, Vec<String>)> {
    let wide = Quota {
        count: quota.count.saturating_mul(SPELLINGS),
        ..quota
    };
    let party = |recipient: String| vec![template.as_str().to_owned(), recipient];
    vec![
        (quota, party(to.as_str().to_owned())),
        (wide, party(format!("{}+*", to.mailbox()))),
    ]
}
