//! The limit of a recipient of mails: a number for each kind of mail, whatever requests it.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::crypto::limit_key;
use crate::metrics::Metrics;
use crate::model::account::email::Email;
use crate::model::limit::rate::{Quota, Rule, decide};
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
    metrics: Arc<Metrics>,
}

impl RecipientLimit {
    /// Makes the limit of the settings.
    pub(super) fn new(app: &App) -> Self {
        Self {
            quota: app.config.rate_limits.quota(Rule::MailRecipient),
            metrics: Arc::clone(&app.metrics),
        }
    }

    /// Returns after how long a recipient who is over the limit may get another mail of the kind.
    pub(super) fn refusal_delay(&self) -> Duration {
        self.quota
            .map_or(Duration::ZERO, |quota| quota.period / quota.count)
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
        let wide = Quota {
            count: quota.count.saturating_mul(SPELLINGS),
            ..quota
        };
        let mut taken = Vec::new();
        for (quota, recipient) in [
            (quota, to.as_str().to_owned()),
            (wide, format!("{}+*", to.mailbox())),
        ] {
            let key = limit_key::key(Rule::MailRecipient, &[template.as_str(), &recipient]);
            let state = store::limit::limits::take(conn, &key).await?;
            let Ok(state) = decide(Rule::MailRecipient, quota, state, conn.now()) else {
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
