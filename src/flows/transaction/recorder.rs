//! Writes audit events inside a transaction, so that an action and its event are committed
//! together.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::app::{App, KEYS_NOT_LOADED};
use crate::crypto::key_ring::KeyRing;
use crate::crypto::presenter::{self, Sealed};
use crate::model::audit::event::{Event, Kind, Requester};
use crate::model::audit::webhook::{Choice, Webhook};
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::presenter::Presenter;
use crate::model::session::session::RevokedReason;
use crate::random::{self, Random};
use crate::store::session::endings::Cause;
use crate::store::{self, Conn};

// The SQL statements cut a session's presenters by the length of an entry and compare its tag.
const _: () = assert!(
    presenter::ENTRY == store::session::refresh::ENTRY
        && presenter::TAG == store::session::refresh::TAG
);

/// What the writes of one flow share. The time is not part of it: a flow begins when its request
/// arrives and may wait for the database, and the time at which it decides and writes is
/// [`Conn::now`].
#[derive(Clone)]
pub struct Recorder {
    /// The requester that acts.
    pub requester: Requester,
    writer: String,
    random: Arc<dyn Random>,
    ring: Option<Arc<KeyRing>>,
    /// The events that the webhook gets.
    told: Arc<[Choice]>,
    /// Whether users have to verify their mailbox before they can sign in.
    pub(in crate::flows) proven_mailboxes: bool,
    /// `sessions.max_per_user`, the number of sessions that a user may have.
    pub(in crate::flows) max_sessions: i64,
}

impl Recorder {
    /// Makes the recorder for the request of this requester.
    pub fn new(app: &App, requester: &Requester) -> Self {
        Self {
            requester: requester.clone(),
            writer: app.writer.clone(),
            random: Arc::clone(&app.random),
            ring: app.ring(),
            told: app
                .config
                .webhooks
                .as_ref()
                .map(|webhooks| Arc::clone(&webhooks.events))
                .unwrap_or_default(),
            proven_mailboxes: app.config.sign_up.require_email_verification,
            max_sessions: app.config.sessions.max_per_user,
        }
    }

    /// Returns a random number for the next state of the key ring, which no other change has.
    pub fn ring_identity(&self) -> i64 {
        i64::from_be_bytes(random::bytes(&*self.random))
    }

    /// Returns the requester as the presenter of a refresh token at this time.
    pub fn presenter(&self, conn: &Conn) -> Presenter {
        Presenter {
            ip_address: self.requester.ip_address.clone(),
            user_agent: self.requester.user_agent.clone(),
            since: conn.now(),
        }
    }

    /// Returns the same, sealed for the session's row.
    pub fn seal_presenter(&self, conn: &Conn, session: SessionId) -> store::Result<Sealed> {
        let ring = self
            .ring
            .as_ref()
            .ok_or_else(|| store::Error::Unavailable(KEYS_NOT_LOADED.into()))?;
        Ok(presenter::seal(
            session,
            &self.presenter(conn),
            &ring.masters,
        ))
    }

    /// Opens the last presenters of a session's row, the newest first; entries that do not open are
    /// left out.
    pub fn open_presenters(&self, session: SessionId, column: &str) -> Vec<Presenter> {
        let opened = self
            .ring
            .as_ref()
            .map(|ring| presenter::open(session, column, &ring.masters))
            .unwrap_or_default();
        opened.into_iter().flatten().collect()
    }

    /// Describes the end of sessions at `at`, for this reason.
    pub(in crate::flows) fn cause(&self, at: Timestamp, reason: RevokedReason) -> Cause {
        let note = || EventId::at(at, random::bytes(&*self.random));
        Cause {
            reason,
            at,
            note: [note(), note()],
        }
    }

    /// Appends an event of this kind for each of these users, with the time of the transaction. The
    /// webhook is not told: an import of many users would hold up all other events.
    pub(in crate::flows) async fn record_users(
        &self,
        conn: &mut Conn,
        kind: Kind,
        users: Vec<(UserId, Map<String, Value>)>,
    ) -> store::Result<()> {
        let now = conn.now();
        let event = |(user, detail)| Event {
            id: EventId::at(now, random::bytes(&*self.random)),
            at: now,
            kind,
            requester: self.requester.clone(),
            subject: Some(user),
            session: None,
            detail,
        };
        let events: Vec<Event> = users.into_iter().map(event).collect();
        store::audit::events::append_all(conn, &self.writer, &events).await
    }

    /// Appends an event with the time of the transaction.
    pub async fn record(
        &self,
        conn: &mut Conn,
        kind: Kind,
        subject: Option<UserId>,
        session: Option<SessionId>,
        detail: Map<String, Value>,
    ) -> store::Result<()> {
        let now = conn.now();
        let event = Event {
            id: EventId::at(now, random::bytes(&*self.random)),
            at: now,
            kind,
            requester: self.requester.clone(),
            subject,
            session,
            detail,
        };
        // Routine events already have the log line of their request; the others are logged as well.
        if matches!(kind, Kind::SignedIn | Kind::SignedOut | Kind::UserCreated) {
            tracing::debug!(
                kind = kind.as_str(),
                session = session.map(tracing::field::display),
                subject = subject.map(tracing::field::display),
                "audit"
            );
        } else {
            tracing::info!(
                kind = kind.as_str(),
                session = session.map(tracing::field::display),
                subject = subject.map(tracing::field::display),
                "audit"
            );
        }
        if self.told.iter().any(|choice| choice.takes(kind)) {
            store::audit::webhooks::enqueue(conn, &Webhook::of(&event)).await?;
        }
        store::audit::events::append(conn, &self.writer, &event).await
    }
}

/// Makes a map of details: `detail([("kid", kid.into())])`.
pub fn detail<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
