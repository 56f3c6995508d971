//! One transaction of a flow: what it reads and writes, its events and mails, at one time. Any
//! `Err` of the work rolls everything back, a refusal as well as an error of the database. What
//! must be committed together with a refusal, such as the end of a session whose refresh token was
//! stolen, is an `Ok` value that says so.
//!
//! `app.transaction(requester, tx!(tx => { … }))` is the only way in which a flow writes. The work may
//! run more than once, because a database rolls back what it cannot serialize: everything that an
//! attempt has collected belongs to its own [`Tx`].

pub(in crate::flows) mod background;
pub(in crate::flows) mod code_mails;
pub(in crate::flows) mod mail_words;
pub mod outbox;
mod reader;
mod recipient_limit;
pub mod recorder;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::mail::{Mail, MailToken, Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Cause;
use crate::store::{self, Conn, Work, WriteOptions};

use super::{Error, Result};
use crate::flows::transaction::outbox::{Change, Outbox};
use crate::flows::transaction::recorder::Recorder;

/// Makes the work of a transaction: `tx!(tx => { … })` is a closure that is called once for each
/// attempt, and `tx!(tx, limit => { … })` one for a piece of background work. It holds the boxing
/// that a closure with a borrowing future needs.
macro_rules! tx {
    ($tx:ident => $work:expr) => {
        $crate::flows::transaction::attempt(move |$tx| Box::pin(async move { $work }))
    };
    ($tx:ident, $limit:ident => $work:expr) => {
        $crate::flows::transaction::piece(move |$tx, $limit| Box::pin(async move { $work }))
    };
}
pub(in crate::flows) use tx;

/// Gives a closure the type that [`App::transaction`] takes.
pub(in crate::flows) fn attempt<T, F>(work: F) -> F
where
    F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> Work<'t, T, Error>,
{
    work
}

/// Gives a closure the type that [`Background::piece`](super::ops::background::Background::piece)
/// takes, whose work is given the number of rows that it may write.
pub(in crate::flows) fn piece<T, F>(work: F) -> F
where
    F: for<'t, 'c> FnOnce(&'t mut Tx<'c>, i64) -> Work<'t, T, Error>,
{
    work
}

/// An error that is committed together with the writes of its transaction, such as the end of a
/// session whose token was stolen. The transaction returns it as an `Ok` value; after the commit
/// the caller gets it as an error.
#[derive(Debug)]
#[must_use]
pub struct Committed(pub Error);

/// One attempt at a transaction.
pub struct Tx<'c> {
    /// The connection, for functions of the store.
    pub conn: &'c mut Conn,
    /// Records the events of the transaction.
    pub recorder: Arc<Recorder>,
    outbox: Arc<Outbox>,
    /// Whether this attempt has queued a mail.
    mails_queued: bool,
}

impl App {
    /// Runs the work in one transaction, whose events name this requester. An `Err` rolls it back.
    /// Queued mails are sent after the commit.
    ///
    /// # Errors
    /// The work's own errors, and those of the database.
    pub async fn transaction<T, F>(&self, requester: &Requester, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> Work<'t, T, Error> + Clone + Send + 'static,
    {
        self.transaction_with(WriteOptions::STEPS, requester, work)
            .await
    }

    /// Runs the work as [`Self::transaction`] does, with other write options.
    pub async fn transaction_with<T, F>(
        &self,
        options: WriteOptions,
        requester: &Requester,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> Work<'t, T, Error> + Clone + Send + 'static,
    {
        let recorder = Arc::new(Recorder::new(self, requester));
        let outbox = Arc::new(Outbox::new(self, &recorder));
        let written = self.db.write_with(options, move |conn| {
            Box::pin(async move {
                let mut tx = Tx {
                    conn,
                    recorder,
                    outbox,
                    mails_queued: false,
                };
                let value = work(&mut tx).await?;
                Ok::<_, Error>((value, tx.mails_queued))
            })
        });
        let (value, mails_queued) = written.await?;
        if mails_queued {
            self.mail_waits.notify_one();
        }
        Ok(value)
    }
}

impl Tx<'_> {
    /// Returns the time of the transaction ([`Conn::now`]): every decision is made with it and
    /// every row is stamped with it.
    pub fn now(&self) -> Timestamp {
        self.conn.now()
    }

    /// Returns the requester of the request.
    pub fn requester(&self) -> &Requester {
        &self.recorder.requester
    }

    /// Runs a part of the work that is rolled back alone if it returns an `Err`. In a transaction
    /// of [`WriteOptions::STATEMENT`] it combines several statements into one step.
    pub(in crate::flows) async fn atomic<T, F>(&mut self, work: F) -> Result<T>
    where
        T: Send,
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> Work<'t, T, Error> + Send + 'static,
    {
        let (recorder, outbox) = (Arc::clone(&self.recorder), Arc::clone(&self.outbox));
        let step = self.conn.atomic(move |conn| {
            Box::pin(async move {
                let mut tx = Tx {
                    conn,
                    recorder,
                    outbox,
                    mails_queued: false,
                };
                let value = work(&mut tx).await?;
                Ok::<_, Error>((value, tx.mails_queued))
            })
        });
        let (value, mails_queued) = step.await?;
        self.mails_queued |= mails_queued;
        Ok(value)
    }

    /// Returns the reason and time for sessions that end now.
    pub(in crate::flows) fn cause(&self, reason: RevokedReason) -> Cause {
        self.recorder.cause(self.now(), reason)
    }

    /// Appends an event with the time of the transaction to the audit trail.
    pub async fn record(
        &mut self,
        kind: Kind,
        subject: Option<UserId>,
        session: Option<SessionId>,
        detail: Map<String, Value>,
    ) -> Result<()> {
        Ok(self
            .recorder
            .record(self.conn, kind, subject, session, detail)
            .await?)
    }

    /// Queues a link to the user's own email address ([`Outbox::link`]).
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] if the email address has had too many mails of the kind.
    pub async fn queue_link(
        &mut self,
        purpose: Purpose,
        user: &User,
        callback: Option<&str>,
    ) -> Result<()> {
        if self.offer_link(purpose, user, callback).await? {
            Ok(())
        } else {
            Err(Error::TooManyRequests(self.outbox.refusal_delay()))
        }
    }

    /// Queues a link as [`Self::queue_link`] does; over the limit of the email address nothing is
    /// queued, without an error. Returns whether it was queued.
    pub async fn offer_link(
        &mut self,
        purpose: Purpose,
        user: &User,
        callback: Option<&str>,
    ) -> Result<bool> {
        let queued = self.outbox.link(self.conn, purpose, user, callback).await?;
        self.mails_queued |= queued;
        Ok(queued)
    }

    /// Queues a link for a change of the email address ([`Outbox::link_of_change`]). Returns
    /// whether it was queued, which it is not over the limit of the recipient.
    pub async fn offer_link_of_change(
        &mut self,
        purpose: Purpose,
        user: &User,
        change: &Change,
        to: Option<&Email>,
        callback: Option<&str>,
    ) -> Result<bool> {
        let queued = self
            .outbox
            .link_of_change(self.conn, purpose, user, change, to, callback)
            .await?;
        self.mails_queued |= queued;
        Ok(queued)
    }

    /// Returns the error for a link over the limit of its recipient.
    pub fn too_many_mails(&self) -> Error {
        Error::TooManyRequests(self.outbox.refusal_delay())
    }

    /// Queues a notice to a user whose mailbox is verified ([`Outbox::notice`]).
    pub async fn queue_notice(
        &mut self,
        template: Template,
        user: &User,
        more: Map<String, Value>,
    ) -> Result<()> {
        self.mails_queued |= self.outbox.notice(self.conn, template, user, more).await?;
        Ok(())
    }

    /// Queues a request for a link to an email address that is only looked up after the answer
    /// ([`Outbox::request`]).
    pub async fn queue_request(
        &mut self,
        purpose: Purpose,
        email: &Email,
        callback: Option<&str>,
    ) -> Result<()> {
        self.outbox
            .request(self.conn, purpose, email, callback)
            .await?;
        self.mails_queued = true;
        Ok(())
    }

    /// Looks up the user with the email address of a queued request, and makes the link
    /// ([`Outbox::resolve`]).
    pub async fn resolve_request(&mut self, purpose: Purpose, mail: &Mail) -> Result<Option<Mail>> {
        Ok(self.outbox.resolve(self.conn, purpose, mail).await?)
    }

    /// Keeps the language of the request as the one in which mails to its user are written.
    pub(in crate::flows) async fn learn_language(&mut self, user: UserId) -> Result<()> {
        Ok(self.outbox.learn_language(self.conn, user).await?)
    }

    /// Makes a link that is not mailed, because its reader already has the page open. Returns its
    /// row, which is stored.
    pub async fn make_link(&mut self, purpose: Purpose, user: &User) -> Result<MailToken> {
        let token = self.outbox.token(self.now(), purpose, user, None);
        store::mails::insert_token(self.conn, &token).await?;
        Ok(token)
    }
}
