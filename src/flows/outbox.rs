//! Writing mails into the queue, in the transaction of what they tell of: a mail that was promised is not lost in a crash, and one of something
//! that did not happen is never sent. Sending is `deliver_mail`'s business, after the answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::app::App;
use crate::config::MailLifetimes;
use crate::model::email::Email;
use crate::model::id::{EventId, SessionId};
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

/// A change of address that somebody asked for.
#[derive(Debug, Clone)]
pub struct Change {
    /// The address to be.
    pub new_email: Email,
    /// The session that asked.
    pub session: Option<SessionId>,
}

/// Who has not proven the mailbox may be anybody, and has no word in what a stranger gets from us; nor has anybody more than a line.
fn proven_name(user: &User, to: &Email) -> String {
    if user.email_verified && user.email == *to { user.name.split_whitespace().collect::<Vec<_>>().join(" ") } else { String::new() }
}

fn words_for(user: &User, to: &Email, new_email: Option<&Email>) -> Map<String, Value> {
    detail([("name", proven_name(user, to).into()), ("email", user.email.as_str().into()), ("newEmail", new_email.map(Email::as_str).into())])
}

/// Whether somebody's asking for this, without being signed in, is worth a mail to the user.
fn may_get(purpose: Purpose, user: &User) -> bool {
    user.disabled_at.is_none() && (purpose != Purpose::VerifyEmail || !user.email_verified)
}

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

/// The user of an address, locked: two who ask at once leave one live link, and a change of password meanwhile ends it.
async fn lock_by_email(conn: &mut Conn, email: &Email) -> store::Result<Option<User>> {
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

    /// Its moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    fn id(&self) -> EventId {
        EventId::at(self.now, random::bytes(&*self.random))
    }

    /// The row behind a link.
    pub fn token(&self, purpose: Purpose, user: &User, change: Option<&Change>) -> MailToken {
        MailToken {
            id: self.id(),
            purpose,
            user: user.id,
            email: user.email.clone(),
            new_email: change.map(|c| c.new_email.clone()),
            created_at: self.now,
            expires_at: self.now + lifetime(&self.lifetimes, purpose),
            session: change.and_then(|c| c.session),
        }
    }

    /// A link; those of the same purpose that were sent before are worth nothing from now on.
    pub async fn link(&self, conn: &mut Conn, purpose: Purpose, user: &User, callback: Option<&str>) -> store::Result<()> {
        self.write_link(conn, purpose, user, None, Some(&user.email), callback).await
    }

    /// A link of a change of address: to the old mailbox, which agrees, or to the new one, which is proven. `to` nobody, everything looks as if.
    pub async fn link_of_change(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        user: &User,
        change: &Change,
        to: Option<&Email>,
        callback: Option<&str>,
    ) -> store::Result<()> {
        self.write_link(conn, purpose, user, Some(change), to, callback).await
    }

    async fn write_link(
        &self,
        conn: &mut Conn,
        purpose: Purpose,
        user: &User,
        change: Option<&Change>,
        to: Option<&Email>,
        callback: Option<&str>,
    ) -> store::Result<()> {
        let token = self.token(purpose, user, change);
        store::mails::insert_token(conn, &token).await?;
        let mut words = words_for(user, to.unwrap_or(&user.email), change.map(|c| &c.new_email));
        words.extend(detail([("callback", callback.into())]));
        self.put(conn, Template::Link(purpose), to, Some(token.id), words).await
    }

    /// Tells a user of something that has happened.
    pub async fn notice(&self, conn: &mut Conn, template: Template, user: &User, more: Map<String, Value>) -> store::Result<()> {
        let mut words = words_for(user, &user.email, None);
        words.extend(more);
        self.put(conn, template, Some(&user.email), None, words).await
    }

    /// What somebody who is not signed in asks for: one row, whoever has the address, and nobody is looked up before the answer.
    pub async fn request(&self, conn: &mut Conn, purpose: Purpose, email: &Email, callback: Option<&str>) -> store::Result<()> {
        self.put(conn, Template::Link(purpose), Some(email), None, detail([("callback", callback.into())])).await
    }

    /// Looks up who has the address of a request, and makes the link; `None`: nobody gets one.
    pub async fn resolve(&self, conn: &mut Conn, purpose: Purpose, mail: &Mail) -> store::Result<Option<Mail>> {
        let Some(email) = &mail.recipient else { return Ok(None) };
        let Some(user) = lock_by_email(conn, email).await?.filter(|user| may_get(purpose, user)) else { return Ok(None) };
        let token = self.token(purpose, &user, None);
        store::mails::insert_token(conn, &token).await?;
        let mut words = mail.detail.clone();
        words.extend(words_for(&user, email, None));
        store::mails::resolve(conn, mail.id, token.id, &words).await?;
        Ok(Some(Mail { token: Some(token.id), detail: words, ..mail.clone() }))
    }

    async fn put(&self, conn: &mut Conn, template: Template, to: Option<&Email>, token: Option<EventId>, detail: Map<String, Value>) -> store::Result<()> {
        let mail = Mail { id: self.id(), template, recipient: to.cloned(), token, detail, attempts: 0, created_at: self.now };
        store::mails::enqueue(conn, &mail).await
    }
}
