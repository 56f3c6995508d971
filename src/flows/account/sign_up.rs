//! Signs up with an email address and a password, and signs in at once if the settings say so.

use std::sync::Arc;

use serde_json::Map;

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::profile::{DisplayName, ImageUrl};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::login::policies::Policies;
use crate::model::login::proof::{Proof, Proofs};
use crate::model::mail::{Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::random;
use crate::store;

use super::choose_password::choose;
use crate::flows::error::if_conflict;
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::carried;
use crate::flows::session::clearance;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Beginning, Options, PendingSession, SessionTokens};
use crate::flows::session::presented::Presented;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// The fields of a sign-up.
pub struct Form {
    /// Display name as the user wrote it; may be empty.
    pub name: DisplayName,
    /// Email address in canonical form.
    pub email: Email,
    /// The password as typed.
    pub password: String,
    /// URL of a picture.
    pub image: Option<ImageUrl>,
    /// Where the link that verifies the mailbox leads to.
    pub callback: Option<String>,
}

/// Creates a user and, unless the settings say otherwise, a session.
pub async fn sign_up(
    app: &App,
    form: Form,
    options: Options,
    replaces: Presented<'_>,
    requester: &Requester,
) -> Result<(User, Option<SessionTokens>)> {
    if !app.config.sign_up.enabled {
        return Err(Error::SignUpDisabled);
    }
    if !app.config.sign_up.domains.admit(&form.email) {
        return Err(Error::EmailDomainNotAllowed);
    }
    // Before anything is counted: a user who has to choose another password has used nothing up.
    let password = choose(app, &form.password, &[form.email.as_str(), &form.name]).await?;
    let slot = app.hasher.reserve(requester)?;
    RateLimitCheck::sign_up(app, requester).consume(app).await?;
    if !app.config.sign_up.signs_in() {
        // The owner of the email address gets a mail in any case.
        RateLimitCheck::mail(app, Purpose::VerifyEmail, &form.email, requester)
            .consume(app)
            .await?;
    }
    // Hashed before the email address is looked up, so that known and unknown ones cost the same.
    let hash = app.hasher.hash_in(slot, password).await?;
    let user = new_user(app, form.email, form.name, form.image);
    let ending = SessionRevocation::of(
        app,
        &replaces.sessions(app),
        replaces.refresh,
        RevokedReason::Replaced,
    )
    .await?
    .and_left(carried::had(app, replaces.devices));
    let verifies = app.config.sign_up.require_email_verification;
    let creation = Creation {
        user: user.clone(),
        account: account_id(app),
        hash,
        opening: None,
        ending,
        unproven_until: app
            .config
            .sign_up
            .unproven_ttl
            .filter(|_| verifies)
            .map(|ttl| app.now() + ttl),
        verifies,
        callback: form.callback,
        policies: Arc::clone(&app.config.policies),
    };
    let hidden = !app.config.sign_up.signs_in();
    let attempt = with_current_keys(app, || async {
        let mut creation = creation.clone();
        if app.config.sign_up.signs_in() {
            creation.opening = Some(PendingSession::prepare(app, &user, options, requester)?);
        }
        app.transaction(requester, tx!(tx => creation.run(tx).await))
            .await
    });
    let opened = match attempt.await {
        // Another sign-up took the email address between the look-up and the write: now it is
        // known.
        Err(Error::UserExists) if hidden => {
            app.transaction(requester, tx!(tx => creation.run(tx).await))
                .await?
        }
        created => created?,
    };
    let grant = match opened {
        Some((opening, ring)) => Some(opening.grant(app, &user, ring).await?),
        None => None,
    };
    Ok((user, grant))
}

/// Makes the row of a user who signs up.
pub(in crate::flows) fn new_user(
    app: &App,
    email: Email,
    name: DisplayName,
    image: Option<ImageUrl>,
) -> User {
    let now = app.now();
    User {
        id: UserId::random(random::bytes(&*app.random)),
        email,
        email_verified: false,
        name: name.into(),
        image: image.map(String::from),
        role: "user".into(),
        banned: false,
        ban_reason: None,
        ban_expires_at: None,
        disabled_at: None,
        metadata: serde_json::Map::new(),
        version: 1,
        login_epoch: 0,
        two_factor: false,
        created_at: now,
        updated_at: now,
    }
}

pub(in crate::flows) fn account_id(app: &App) -> EventId {
    EventId::at(app.now(), random::bytes(&*app.random))
}

#[derive(Clone)]
struct Creation {
    user: User,
    account: EventId,
    hash: String,
    opening: Option<PendingSession>,
    ending: SessionRevocation,
    /// When the account is deleted if the mailbox is not verified by then.
    unproven_until: Option<Timestamp>,
    /// Whether a link is sent that verifies the mailbox.
    verifies: bool,
    callback: Option<String>,
    policies: Arc<Policies>,
}

impl Creation {
    /// Inserts the user in the transaction.
    ///
    /// # Errors
    /// [`Error::UserExists`] if the email address is taken.
    async fn run(self, tx: &mut Tx<'_>) -> Result<Option<(PendingSession, Beginning)>> {
        if self.opening.is_none()
            && let Some(known) = store::account::users::by_email(tx.conn, &self.user.email).await?
        {
            // If a sign-up does not sign in, a known email address cannot be distinguished from a
            // new one: neither by the answer nor by the time that it takes.
            self.tell_of_another(tx, &known.user).await?;
            return Ok(None);
        }
        store::account::users::insert(tx.conn, &self.user, self.account, Some(&self.hash))
            .await
            .map_err(if_conflict(Error::UserExists))?;
        tx.record(Kind::UserCreated, Some(self.user.id), None, Map::new())
            .await?;
        if let Some(until) = self.unproven_until {
            store::account::user_changes::expect_proof(tx.conn, self.user.id, until).await?;
        }
        if self.verifies {
            self.request_proof(tx).await?;
        }
        let Some(opening) = self.opening else {
            return Ok(None);
        };
        let proofs = Proofs::of(Proof::Password, tx.now());
        let evidence = clearance::evidence(&self.user, proofs);
        let cleared = clearance::decide_in(tx, &self.user, &evidence, &self.policies).await?;
        let ring = opening
            .insert(tx, &clearance::cleared(cleared)?, Some(&self.ending))
            .await?
            .ok_or_else(|| {
                Error::Internal("a user of this transaction cannot have changed".into())
            })?;
        // Only where a sign-up signs in: otherwise a new email address would cost a statement more
        // than a known one.
        tx.learn_language(self.user.id).await?;
        Ok(Some((opening, ring)))
    }

    /// Sends a mail to the owner of an email address that already has an account.
    async fn tell_of_another(&self, tx: &mut Tx<'_>, known: &User) -> Result<()> {
        tx.record(Kind::SignedUpAgain, Some(known.id), None, Map::new())
            .await?;
        if self.verifies && !known.email_verified {
            // The mailbox is not verified yet, and its owner may be the person who signs up now.
            self.request_proof(tx).await
        } else {
            tx.queue_notice(Template::SignedUpAgain, known, Map::new())
                .await
        }
    }

    async fn request_proof(&self, tx: &mut Tx<'_>) -> Result<()> {
        let (email, callback) = (&self.user.email, self.callback.as_deref());
        tx.queue_request(Purpose::VerifyEmail, email, callback)
            .await
    }
}
