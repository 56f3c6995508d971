//! Writing mails into the queue, in the transaction of what they tell of: a mail that was promised is not lost in a crash, and one of something
//! that did not happen is never sent. Sending is `deliver_mail`'s business, after the answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::app::App;
use crate::config::MailLifetimes;
use crate::model::email::Email;
use crate::model::id::EventId;
use crate::model::mail::{Mail, MailToken, Purpose, Template};
use crate::model::time::Timestamp;
use crate::model::user::User;
use crate::random::{self, Random};
use crate::store::{self, Conn};

use super::record::detail;

/// Writes mails of one moment.
#[derive(Clone)]
pub struct Outbox {
    now: Timestamp,
    random: Arc<dyn Random>,
    lifetimes: MailLifetimes,
}

/// Who has not proven the mailbox may be anybody, and has no word in what a stranger gets from us.
fn proven_name(user: &User) -> &str {
    if user.email_verified { &user.name } else { "" }
}

/// How long a link of this purpose is good.
pub fn lifetime(lifetimes: &MailLifetimes, purpose: Purpose) -> Duration {
    match purpose {
        Purpose::VerifyEmail => lifetimes.verify,
        Purpose::ResetPassword => lifetimes.reset,
        Purpose::ApproveChange | Purpose::VerifyChange => lifetimes.change,
        Purpose::DeleteUser => lifetimes.delete,
    }
}

/// The user of an address, locked: two who ask at once leave one live link, and a change of password meanwhile ends it.
pub(super) async fn lock_by_email(conn: &mut Conn, email: &Email) -> store::Result<Option<User>> {
    let Some(found) = store::users::by_email(conn, email).await? else { return Ok(None) };
    Ok(store::user_changes::lock(conn, found.user.id).await?.filter(|user| user.email == *email))
}

impl Outbox {
    /// For a flow that begins now.
    pub fn new(app: &App) -> Self {
        Self { now: app.now(), random: Arc::clone(&app.random), lifetimes: app.config.mail.lifetimes }
    }

    /// For a transaction that has its moment already.
    pub(super) fn at(now: Timestamp, random: Arc<dyn Random>, lifetimes: MailLifetimes) -> Self {
        Self { now, random, lifetimes }
    }

    fn id(&self) -> EventId {
        EventId::at(self.now, random::bytes(&*self.random))
    }

    /// A link; those of the same purpose that were sent before are worth nothing from now on.
    pub async fn link(&self, conn: &mut Conn, purpose: Purpose, user: &User, new_email: Option<&Email>, callback: Option<&str>) -> store::Result<()> {
        self.write_link(conn, purpose, user, new_email, callback, false).await
    }

    /// The same, but for the mail: everything looks as if it had been sent.
    pub async fn silent_link(&self, conn: &mut Conn, purpose: Purpose, user: &User, new_email: &Email) -> store::Result<()> {
        self.write_link(conn, purpose, user, Some(new_email), None, true).await
    }

    async fn write_link(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        user: &User,
        new_email: Option<&Email>,
        callback: Option<&str>,
        silent: bool,
    ) -> store::Result<()> {
        let token = MailToken {
            id: self.id(),
            purpose,
            user: user.id,
            email: user.email.clone(),
            new_email: new_email.cloned(),
            created_at: self.now,
            expires_at: self.now + lifetime(&self.lifetimes, purpose),
        };
        store::mails::insert_token(conn, &token).await?;
        let to = new_email.filter(|_| purpose == Purpose::VerifyChange).unwrap_or(&user.email);
        let recipient = (!silent).then_some(to);
        let words = detail([
            ("name", proven_name(user).into()),
            ("email", user.email.as_str().into()),
            ("newEmail", new_email.map(Email::as_str).into()),
            ("callback", callback.into()),
        ]);
        self.put(conn, Template::Link(purpose), recipient, Some(token.id), words).await
    }

    /// Tells a user of something that has happened.
    pub async fn notice(&self, conn: &mut Conn, template: Template, user: &User, more: Map<String, Value>) -> store::Result<()> {
        let mut words = detail([("name", proven_name(user).into()), ("email", user.email.as_str().into())]);
        words.extend(more);
        self.put(conn, template, Some(&user.email), None, words).await
    }

    /// A mail that nobody gets: an address that nobody has costs what a known one costs.
    pub async fn decoy(&self, conn: &mut Conn) -> store::Result<()> {
        self.put(conn, Template::Nobody, None, None, Map::new()).await
    }

    async fn put(&self, conn: &mut Conn, template: Template, to: Option<&Email>, token: Option<EventId>, detail: Map<String, Value>) -> store::Result<()> {
        let mail = Mail { id: self.id(), template, recipient: to.cloned(), token, detail, attempts: 0, created_at: self.now };
        store::mails::enqueue(conn, &mail).await
    }
}
