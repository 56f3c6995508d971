//! Begins a session that the gate has cleared: its tokens, its row (only if nothing that was proven
//! has changed meanwhile), its first access token.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::cookie::{self, Purpose};
use crate::crypto::key_ring::KeyRing;
use crate::crypto::token::{RefreshToken, SessionToken};
use crate::model::account::action::Action;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::Timestamp;
use crate::model::key::ring_id::RingId;
use crate::model::login::gate::Cleared;
use crate::model::login::policies::Bounds;
use crate::model::login::proof::Proofs;
use crate::model::session::session::{IMPERSONATION_LIFETIME, Lifetime, Session};
use crate::random;
use crate::store;
use crate::store::session::sessions::New;

use super::acting;
use super::end_session::{SessionRevocation, make_room};
pub use super::granted::SessionTokens;
pub use super::options::Options;
use super::upstream_link::{NewLink, Origin};
use crate::flows::authenticated::Authenticated;
use crate::flows::confirm_clock;
use crate::flows::key::inspect_keys;
use crate::flows::limit::known_device;
use crate::flows::token::issue_token;
use crate::flows::token::issue_token::TokenContext;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};

/// A session about to begin, with its tokens.
#[derive(Clone)]
pub struct PendingSession {
    new: New,
    lifetime: Lifetime,
    /// Whether the session keeps the end that it was prepared with, which is that of another
    /// session, however late it begins.
    keeps_end: bool,
    /// Which identity of another issuer opens it.
    origin: Origin,
    session_token: SessionToken,
    refresh_token: RefreshToken,
    ring: Arc<KeyRing>,
}

/// How a session began: when, by what proofs, and the version of the ring that the database had
/// then, so that a process with an older ring reloads before it signs.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    ring_id: RingId,
    began_at: Timestamp,
    proofs: Proofs,
}

impl PendingSession {
    /// Draws the tokens; writes nothing.
    pub fn prepare(
        app: &App,
        user: &User,
        options: Options,
        requester: &Requester,
    ) -> Result<Self> {
        Self::of(app, options.session(app, user, requester), false)
    }

    /// Prepares an impersonation session, which lasts an hour and no longer than the admin's own
    /// session.
    pub fn impersonate(
        app: &App,
        user: &User,
        admin: &Authenticated,
        requester: &Requester,
    ) -> Result<Self> {
        let own = &admin.session;
        let options = Options {
            delivery: own.delivery,
            remember: false,
            retry: own.retry,
        };
        let session = options.session(app, user, requester);
        let hour = session.created_at + IMPERSONATION_LIFETIME;
        let expires_at = [hour, own.expires_at, admin.idle_expires_at]
            .into_iter()
            .fold(session.expires_at, Timestamp::min);
        let mut opening = Self::of(
            app,
            Session {
                impersonated_by: Some(own.user_id),
                auth_time: own.auth_time,
                expires_at,
                ..session
            },
            true,
        )?;
        opening.new.acting_session = Some(own.id);
        Ok(opening)
    }

    /// Prepares the session that replaces another one: as old as that one, and with the same end.
    pub fn succeed(app: &App, before: &Session, requester: &Requester) -> Result<Self> {
        let now = app.now();
        let options = Options {
            delivery: before.delivery,
            remember: before.remember,
            retry: before.retry,
        };
        let session = Session {
            retry: options.permitted_retry(app, requester),
            id: SessionId::at(now, random::bytes(&*app.random)),
            created_at: now,
            updated_at: now,
            ip_address: requester.ip_address.clone(),
            user_agent: requester.user_agent.clone(),
            ..before.clone()
        };
        let mut opening = Self::of(app, session, true)?;
        opening.origin = Origin::OfSession(before.id);
        Ok(opening)
    }

    /// Links this identity to the user when the session begins.
    #[must_use]
    pub(in crate::flows) fn by_upstream(mut self, link: NewLink) -> Self {
        self.origin = Origin::Upstream(link);
        self
    }

    fn of(app: &App, session: Session, keeps_end: bool) -> Result<Self> {
        // Both before the row is written: otherwise a refusal would leave a session behind.
        confirm_clock::admit_issuing(app)?;
        let ring = inspect_keys::loaded(app)?;
        issue_token::admit_default(app, &ring)?;
        let session_token = SessionToken::new(&Zeroizing::new(random::bytes(&*app.random)));
        let refresh_token =
            RefreshToken::first(session.id, random::bytes(&*app.random), &ring.masters);
        let own = Bounds::of_idle(session.idle);
        let lifetime = app.config.sessions.lifetime.within(own);
        let idle_expires_at = lifetime.idle_end(session.created_at, session.expires_at);
        let new = New {
            session,
            token_hash: session_token.hash(),
            refresh_hash: refresh_token.hash(),
            idle_expires_at,
            acting_session: None,
        };
        Ok(Self {
            new,
            lifetime,
            keeps_end,
            origin: Origin::Own,
            session_token,
            refresh_token,
            ring,
        })
    }

    /// Returns the row of a session that begins at `now` by these proofs; it was prepared earlier.
    fn beginning_at(&self, now: Timestamp, proofs: Proofs) -> New {
        let prepared = &self.new.session;
        let expires_at = if self.keeps_end {
            prepared.expires_at
        } else {
            now + prepared.expires_at.since(prepared.created_at)
        };
        let session = Session {
            proofs,
            auth_time: proofs.auth_time().unwrap_or(prepared.auth_time),
            created_at: now,
            updated_at: now,
            expires_at,
            ..prepared.clone()
        };
        New {
            idle_expires_at: self.lifetime.idle_end(now, expires_at),
            session,
            ..self.new.clone()
        }
    }

    /// Returns the id of the session.
    pub fn session(&self) -> SessionId {
        self.new.session.id
    }

    /// Inserts the row that the gate has cleared, ends the sessions that it replaces, and makes room
    /// if the user has too many. Returns `None` if the password, the email address or a factor
    /// changed meanwhile, or if the user was banned or disabled.
    pub async fn insert(
        &self,
        tx: &mut Tx<'_>,
        cleared: &Cleared,
        replaced: Option<&SessionRevocation>,
    ) -> Result<Option<Beginning>> {
        if cleared.user() != self.new.session.user_id {
            return Err(Error::Internal("a clearance of another user".into()));
        }
        let (began_at, proofs) = (tx.now(), *cleared.proofs());
        let new = self.beginning_at(began_at, proofs);
        let version = self.ring.master_version;
        let Some(ring_id) =
            store::session::sessions::insert(tx.conn, &new, cleared, version).await?
        else {
            let current = store::key::signing_keys::master_version(tx.conn).await?;
            return if current == Some(i64::from(version)) {
                Ok(None)
            } else {
                Err(Error::MasterKeyChanged)
            };
        };
        let s = &new.session;
        self.origin.record(tx, s.user_id, s.id).await?;
        let how = detail([
            ("delivery", s.delivery.as_str().into()),
            ("amr", proofs.amr().into()),
        ]);
        tx.record(Kind::SignedIn, Some(s.user_id), Some(s.id), how)
            .await?;
        if let Some(replaced) = replaced {
            replaced.run(tx).await?;
        }
        match s.impersonated_by {
            Some(admin) => make_room(tx, admin, true, s.id).await?,
            None => make_room(tx, s.user_id, false, s.id).await?,
        }
        Ok(Some(Beginning {
            ring_id,
            began_at,
            proofs,
        }))
    }

    /// Signs the tokens for the client, after the row is committed.
    pub async fn grant(
        self,
        app: &App,
        user: &User,
        beginning: Beginning,
    ) -> Result<SessionTokens> {
        let new = self.beginning_at(beginning.began_at, beginning.proofs);
        let ends_at = new.session.ends_at(new.idle_expires_at);
        let s = &new.session;
        let grounds = TokenContext {
            session: s.id,
            proofs: s.proofs,
            auth_time: s.auth_time,
            ends_at,
            ring_id: beginning.ring_id,
        };
        let powers = acting::powers(app, user, s.impersonated_by)
            .await?
            .ok_or(Error::NotAllowed(Action::Impersonate))?;
        let target = app.config.tokens.targets.default();
        let access = issue_token::issue(app, user, &powers, &grounds, target).await?;
        Ok(SessionTokens {
            session_cookie: Zeroizing::new(cookie::sign(
                Purpose::Session,
                self.session_token.expose(),
                &self.ring.masters,
            )),
            dont_remember: cookie::sign(Purpose::DontRemember, "true", &self.ring.masters),
            device: if s.impersonated_by.is_none() {
                known_device::token(app, user, Some(s.id))
            } else {
                None
            },
            refresh_token: self.refresh_token.encode(&self.ring.masters),
            session: new.session,
            session_token: self.session_token,
            powers,
            access,
            ends_at,
        })
    }
}
