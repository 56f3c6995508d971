//! Queues mails in the transaction of the event that they report: a mail that was promised is not
//! lost in a crash, and a mail about something that did not happen is never sent. `deliver_mail`
//! sends them after the answer.
//!
//! Every mail passes the limit of its recipient here (`recipient_limit`). A mail over the limit is
//! dropped silently, and earlier links stay valid. A notice is only sent to a verified mailbox.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::app::App;
use crate::config::MailLifetimes;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::mail::{Mail, MailToken, Purpose, Template};
use crate::random::{self, Random};
use crate::store::{self, Conn};

use crate::flows::transaction::mail_words::words_for;
use crate::flows::transaction::reader::Reader;
use crate::flows::transaction::recipient_limit::RecipientLimit;
use crate::flows::transaction::recorder::{Recorder, detail};

/// Queues mails, each with the time of its transaction.
#[derive(Clone)]
pub struct Outbox {
    random: Arc<dyn Random>,
    lifetimes: MailLifetimes,
    pub(super) limit: RecipientLimit,
    pub(super) reader: Reader,
}

/// A change of the email address that a user has requested.
#[derive(Debug, Clone)]
pub struct Change {
    /// The new email address.
    pub new_email: Email,
    /// The session that requested it.
    pub session: Option<SessionId>,
}

/// Returns whether a request for this purpose without a sign-in may send the user a mail.
fn may_get(purpose: Purpose, user: &User) -> bool {
    user.disabled_at.is_none() && (purpose != Purpose::VerifyEmail || !user.email_verified)
}

/// Returns the lifetime of a link for this purpose.
pub fn lifetime(lifetimes: &MailLifetimes, purpose: Purpose) -> Duration {
    match purpose {
        Purpose::VerifyEmail => lifetimes.verify,
        Purpose::ResetPassword => lifetimes.reset,
        Purpose::ApproveChange | Purpose::VerifyChange => lifetimes.change,
        Purpose::DeleteUser => lifetimes.delete,
        Purpose::Invitation => lifetimes.invitation,
    }
}

/// Returns the user with an email address, locked: two concurrent requests leave one valid link,
/// and a concurrent change of the password ends it.
async fn lock_by_email(conn: &mut Conn, email: &Email) -> store::Result<Option<User>> {
    let Some(found) = store::account::users::by_email(conn, email).await? else {
        return Ok(None);
    };
    Ok(store::account::user_changes::lock(conn, found.user.id)
        .await?
        .filter(|user| user.email == *email))
}

impl Outbox {
    /// Makes an outbox with the settings of the program, for the mails of a request.
    pub fn new(app: &App, recorder: &Arc<Recorder>) -> Self {
        Self {
            reader: Reader::of(app, recorder),
            random: Arc::clone(&app.random),
            lifetimes: app.config.mail.lifetimes,
            limit: RecipientLimit::new(app),
        }
    }

    fn id(&self, now: Timestamp) -> EventId {
        EventId::at(now, random::bytes(&*self.random))
    }

    /// Makes the row of a new link.
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

    /// Returns after how long a recipient who is over the limit may get another mail of the kind.
    pub fn refusal_delay(&self) -> Duration {
        self.limit.refusal_delay()
    }

    /// Queues a link; earlier links for the same purpose become invalid. Returns `false` if the
    /// recipient's limit is reached; then nothing has changed.
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
        // Counted even if no mail is sent because the email address is taken: the count must not
        // reveal whether it is.
        if let Some(counted) = to.or(change.map(|change| &change.new_email))
            && !self
                .limit
                .admits(conn, Template::Link(purpose), counted)
                .await?
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
        let language = self.reader.of_link(conn, user.id).await?;
        words.extend(detail([
            ("callback", callback.into()),
            ("language", language.into()),
        ]));
        self.put(conn, Template::Link(purpose), to, Some(token.id), words)
            .await?;
        Ok(true)
    }

    /// Queues a notice to a user about an event. Nothing is sent to a mailbox that was never
    /// verified, since it may be a stranger's.
    pub async fn notice(
        &self,
        conn: &mut Conn,
        template: Template,
        user: &User,
        more: Map<String, Value>,
    ) -> store::Result<bool> {
        if !user.email_verified || !self.limit.admits(conn, template, &user.email).await? {
            return Ok(false);
        }
        let mut words = words_for(user, &user.email, None);
        let language = store::account::languages::of(conn, user.id).await?;
        words.extend(detail([("language", language.into())]));
        words.extend(more);
        self.put(conn, template, Some(&user.email), None, words)
            .await?;
        Ok(true)
    }

    /// Queues a request without a sign-in: one row, whether or not the email address is known. It
    /// is looked up after the answer, and counted then.
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
            detail([
                ("callback", callback.into()),
                ("language", self.reader.wished().into()),
            ]),
        )
        .await
    }

    /// Looks up the user with the email address of a request, and makes the link; returns `None` if
    /// no link is sent.
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
        if !self.limit.admits(conn, mail.template, email).await? {
            return Ok(None);
        }
        let token = self.token(conn.now(), purpose, &user, None);
        store::mails::insert_token(conn, &token).await?;
        let mut words = mail.detail.clone();
        words.extend(words_for(&user, email, None));
        if let Some(language) = store::account::languages::of(conn, user.id).await? {
            words.extend(detail([("language", language.into())]));
        }
        store::mails::resolve(conn, mail.id, token.id, &words).await?;
        Ok(Some(Mail {
            token: Some(token.id),
            detail: words,
            ..mail.clone()
        }))
    }

    /// Keeps the language of the request as the one of its user.
    pub(super) async fn learn_language(&self, conn: &mut Conn, user: UserId) -> store::Result<()> {
        self.reader.learn(conn, user).await
    }

    pub(super) async fn put(
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
