//! Writing to the audit trail from inside a transaction: what is done and what is said of it stand
//! or fall together.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::app::App;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::presenter::{self, Sealed};
use crate::model::audit::event::{Event, Kind, Peer};
use crate::model::audit::webhook::{Choice, Webhook};
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::presenter::Presenter;
use crate::model::session::session::RevokedReason;
use crate::random::{self, Random};
use crate::store::session::endings::Cause;
use crate::store::{self, Conn};

// The statements cut a session's presenters by the length of an entry and compare its tag.
const _: () = assert!(
    presenter::ENTRY == store::session::refresh::ENTRY
        && presenter::TAG == store::session::refresh::TAG
);

/// What the writes of one flow share. The time is not among it: a flow begins when its request
/// arrives and may wait for the database, and the moment at which it decides and writes is
/// [`Conn::now`].
#[derive(Clone)]
pub struct Recorder {
    /// Who does it.
    pub peer: Peer,
    writer: String,
    random: Arc<dyn Random>,
    ring: Option<Arc<KeyRing>>,
    /// What a webhook is told of.
    told: Arc<[Choice]>,
    /// Whether nobody signs in without having proven the mailbox.
    pub(in crate::flows) proven_mailboxes: bool,
    /// `sessions.max_per_user`
    pub(in crate::flows) max_sessions: i64,
}

impl Recorder {
    /// For the writes of this peer's request.
    pub fn new(app: &App, peer: &Peer) -> Self {
        Self {
            peer: peer.clone(),
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

    /// A number for the next state of the key ring that no other change has.
    pub fn ring_identity(&self) -> i64 {
        i64::from_be_bytes(random::bytes(&*self.random))
    }

    /// The peer as the one who presents a refresh token now.
    pub fn presenter(&self, conn: &Conn) -> Presenter {
        Presenter {
            ip_address: self.peer.ip_address.clone(),
            user_agent: self.peer.user_agent.clone(),
            since: conn.now(),
        }
    }

    /// The same, sealed for the session's row.
    pub fn seal_presenter(&self, conn: &Conn, session: SessionId) -> store::Result<Sealed> {
        let ring = self
            .ring
            .as_ref()
            .ok_or_else(|| store::Error::Unavailable("the keys are not loaded".into()))?;
        Ok(presenter::seal(
            session,
            &self.presenter(conn),
            &ring.masters,
        ))
    }

    /// What a session's row knows of its last presenters, the newest first; what does not open is
    /// left out.
    pub fn open_presenters(&self, session: SessionId, column: &str) -> Vec<Presenter> {
        let opened = self
            .ring
            .as_ref()
            .map(|ring| presenter::open(session, column, &ring.masters))
            .unwrap_or_default();
        opened.into_iter().flatten().collect()
    }

    /// Sessions that end at `at`, for this reason.
    pub(in crate::flows) fn cause(&self, at: Timestamp, reason: RevokedReason) -> Cause {
        let note = || EventId::at(at, random::bytes(&*self.random));
        Cause {
            reason,
            at,
            note: [note(), note()],
        }
    }

    /// Appends an event of this moment.
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
            peer: self.peer.clone(),
            subject,
            session,
            detail,
        };
        // Routine has its request's line already; the rest should be seen by who reads the log.
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

/// Details as a map: `detail([("kid", kid.into())])`.
pub fn detail<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
