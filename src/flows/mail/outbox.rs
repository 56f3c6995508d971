//! Writing mails into the queue, in the transaction of what they tell of: a mail that was promised
//! is not lost in a crash, and one of something that did not happen is never sent. Sending is
//! `deliver_mail`'s business, after the answer.
//!
//! Every mail passes the limit of its recipient here: so many of each kind, whoever asks for them
//! and from wherever. What is over it is dropped without a word, and leaves the links of before as
//! they are. A notice goes to a proven mailbox only.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::app::App;
use crate::config::MailLifetimes;
use crate::metrics::Metrics;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::kernel::id::{EventId, SessionId};
use crate::model::kernel::time::Timestamp;
use crate::model::limit::rate::{Quota, Rule, decide};
use crate::model::mail::{Mail, MailToken, Purpose, Template};
use crate::random::{self, Random};
use crate::store::{self, Conn};

use super::mail_words::words_for;
use crate::flows::audit::recorder::detail;
use crate::flows::limit::rate_limit;

/// Writes mails. Each is dated with the moment of its transaction.
#[derive(Clone)]
pub struct Outbox {
    random: Arc<dyn Random>,
    lifetimes: MailLifetimes,
    /// Of each kind to one address; `None`: as many as there are.
    quota: Option<Quota>,
    metrics: Arc<Metrics>,
}

/// A change of address that a user asked for.
#[derive(Debug, Clone)]
pub struct Change {
    /// The address to be.
    pub new_email: Email,
    /// The session that asked.
    pub session: Option<SessionId>,
}

/// Whether somebody's asking for this, without being signed in, is worth a mail to the user.
fn may_get(purpose: Purpose, user: &User) -> bool {
    user.disabled_at.is_none() && (purpose != Purpose::VerifyEmail || !user.email_verified)
}

/// How many times the limit of an address the mailbox behind it has: `ana+shop@…` and `ana+news@…`
/// are spellings of one at most providers.
const SPELLINGS: u32 = 3;

/// How long a link of this purpose is good.
pub fn lifetime(lifetimes: &MailLifetimes, purpose: Purpose) -> Duration {
    match purpose {
        Purpose::VerifyEmail => lifetimes.verify,
        Purpose::ResetPassword => lifetimes.reset,
        Purpose::ApproveChange | Purpose::VerifyChange => lifetimes.change,
        Purpose::DeleteUser => lifetimes.delete,
        Purpose::Invitation => lifetimes.invitation,
    }
}

/// The user of an address, locked: two who ask at once leave one live link, and a change of
/// password meanwhile ends it.
async fn lock_by_email(conn: &mut Conn, email: &Email) -> store::Result<Option<User>> {
    let Some(found) = store::account::users::by_email(conn, email).await? else {
        return Ok(None);
    };
    Ok(store::account::user_changes::lock(conn, found.user.id)
        .await?
        .filter(|user| user.email == *email))
}

impl Outbox {
    /// With the settings of the program.
    pub fn new(app: &App) -> Self {
        Self {
            random: Arc::clone(&app.random),
            lifetimes: app.config.mail.lifetimes,
            quota: app.config.rate_limits.quota(Rule::MailRecipient),
            metrics: Arc::clone(&app.metrics),
        }
    }

    fn id(&self, now: Timestamp) -> EventId {
        EventId::at(now, random::bytes(&*self.random))
    }

    /// The row behind a link that is made now.
    pub fn token(
        &self,
        now: Timestamp,
        purpose: Purpose,
        user: &User,
        change: Option<&Change>,
    ) -> MailToken {
        MailToken {
            id: self.id(now),
            purpose,
            user: user.id,
            email: user.email.clone(),
            new_email: change.map(|c| c.new_email.clone()),
            created_at: now,
            expires_at: now + lifetime(&self.lifetimes, purpose),
            session: change.and_then(|c| c.session),
        }
    }

    /// After how long a recipient that is over its limit may get one more mail of the kind.
    pub fn refusal_delay(&self) -> Duration {
        self.quota
            .map_or(Duration::ZERO, |quota| quota.period / quota.count)
    }

    /// Counts one more mail of this kind to this address, and to the mailbox behind it; `false`: it
    /// is over the limit and not to be written.
    async fn admits(&self, conn: &mut Conn, template: Template, to: &Email) -> store::Result<bool> {
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
            let key = rate_limit::key(Rule::MailRecipient, &[template.as_str(), &recipient]);
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

    /// A link; those of the same purpose that were sent before are no longer good. `false`: over
    /// the recipient's limit, and nothing has changed.
    pub async fn link(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        user: &User,
        callback: Option<&str>,
    ) -> store::Result<bool> {
        self.write_link(conn, purpose, user, None, Some(&user.email), callback)
            .await
    }

    /// Queues the approval link (old email address) or the verification link (new email address).
    /// Without `to`, rows are written but nothing is sent, so that a taken email address looks like
    /// a free one. Returns `false` if the recipient's limit is reached; then nothing has changed.
    pub async fn link_of_change(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        user: &User,
        change: &Change,
        to: Option<&Email>,
        callback: Option<&str>,
    ) -> store::Result<bool> {
        self.write_link(conn, purpose, user, Some(change), to, callback)
            .await
    }

    async fn write_link(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        user: &User,
        change: Option<&Change>,
        to: Option<&Email>,
        callback: Option<&str>,
    ) -> store::Result<bool> {
        // Also where no mail goes, because the address is taken: that it counts must not tell
        // whether it is.
        if let Some(counted) = to.or(change.map(|change| &change.new_email))
            && !self.admits(conn, Template::Link(purpose), counted).await?
        {
            return Ok(false);
        }
        let token = self.token(conn.now(), purpose, user, change);
        store::mails::insert_token(conn, &token).await?;
        let mut words = words_for(
            user,
            to.unwrap_or(&user.email),
            change.map(|c| &c.new_email),
        );
        words.extend(detail([("callback", callback.into())]));
        self.put(conn, Template::Link(purpose), to, Some(token.id), words)
            .await?;
        Ok(true)
    }

    /// Tells a user of something that has happened; nothing is sent to a mailbox that was not
    /// proven, since it may be a stranger's.
    pub async fn notice(
        &self,
        conn: &mut Conn,
        template: Template,
        user: &User,
        more: Map<String, Value>,
    ) -> store::Result<bool> {
        if !user.email_verified || !self.admits(conn, template, &user.email).await? {
            return Ok(false);
        }
        let mut words = words_for(user, &user.email, None);
        words.extend(more);
        self.put(conn, template, Some(&user.email), None, words)
            .await?;
        Ok(true)
    }

    /// What is asked for without a session: one row, whether the address is known or not; that is
    /// looked up after the answer, and counted then.
    pub async fn request(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        email: &Email,
        callback: Option<&str>,
    ) -> store::Result<()> {
        self.put(
            conn,
            Template::Link(purpose),
            Some(email),
            None,
            detail([("callback", callback.into())]),
        )
        .await
    }

    /// Looks up who has the address of a request, and makes the link; `None`: no link is sent.
    pub async fn resolve(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        mail: &Mail,
    ) -> store::Result<Option<Mail>> {
        let Some(email) = &mail.recipient else {
            return Ok(None);
        };
        let Some(user) = lock_by_email(conn, email)
            .await?
            .filter(|user| may_get(purpose, user))
        else {
            return Ok(None);
        };
        if !self.admits(conn, mail.template, email).await? {
            return Ok(None);
        }
        let token = self.token(conn.now(), purpose, &user, None);
        store::mails::insert_token(conn, &token).await?;
        let mut words = mail.detail.clone();
        words.extend(words_for(&user, email, None));
        store::mails::resolve(conn, mail.id, token.id, &words).await?;
        Ok(Some(Mail {
            token: Some(token.id),
            detail: words,
            ..mail.clone()
        }))
    }

    async fn put(
        &self,
        conn: &mut Conn,
        template: Template,
        to: Option<&Email>,
        token: Option<EventId>,
        detail: Map<String, Value>,
    ) -> store::Result<()> {
        let now = conn.now();
        let mail = Mail {
            id: self.id(now),
            template,
            recipient: to.cloned(),
            token,
            detail,
            attempts: 0,
            created_at: now,
        };
        store::mails::enqueue(conn, &mail).await
    }
}
