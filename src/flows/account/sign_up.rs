//! Signing up with an address and a password, and in at once where the settings say so.

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::mail::{Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::random;
use crate::store::session::sessions::Proof;
use crate::store::{self, Conn};

use super::choose_password::choose;
use crate::flows::audit::recorder::Recorder;
use crate::flows::key::load_keys;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::sign_in::Presented;
use crate::flows::mail::outbox::Outbox;
use crate::flows::session::carried;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Options, PendingSession, RingVersion, SessionTokens};
use crate::flows::{Error, Result};

/// What the form says.
pub struct Form {
    /// As the user wrote it; may be empty.
    pub name: String,
    /// Canonical.
    pub email: Email,
    /// As typed.
    pub password: String,
    /// Address of a picture.
    pub image: Option<String>,
    /// Where the link that proves the mailbox leads to.
    pub callback: Option<String>,
}

/// Makes a user, and a session unless the settings say no.
pub async fn sign_up(
    app: &App,
    form: Form,
    options: Options,
    replaces: Presented<'_>,
    peer: &Peer,
) -> Result<(User, Option<SessionTokens>)> {
    if !app.config.sign_up.enabled {
        return Err(Error::SignUpDisabled);
    }
    if !app.config.sign_up.domains.admit(&form.email) {
        return Err(Error::EmailDomainNotAllowed);
    }
    // Before anything is charged: who has to think of another password has used nothing up.
    let password = choose(app, &form.password, &[form.email.as_str(), &form.name]).await?;
    let place = app.hasher.reserve(peer)?;
    RateLimitCheck::sign_up(app, peer).consume(app).await?;
    if !app.config.sign_up.signs_in() {
        // Whoever has the address gets a mail.
        RateLimitCheck::mail(app, Purpose::VerifyEmail, &form.email, peer)
            .consume(app)
            .await?;
    }
    // Hashed before anybody looks whether the address is known: both cost the same.
    let hash = app.hasher.hash_in(place, password).await?;
    let user = new_user(app, form.email, form.name, form.image);
    let opening = if app.config.sign_up.signs_in() {
        Some(PendingSession::prepare(app, &user, options, peer)?)
    } else {
        None
    };
    let ending = SessionRevocation::of(
        app,
        &replaces.sessions(app),
        replaces.refresh,
        RevokedReason::Replaced,
    )
    .await?
    .and_left(carried::had(app, replaces.devices));
    let verification = app
        .config
        .sign_up
        .require_email_verification
        .then(|| Outbox::new(app));
    let creation = Creation {
        user: user.clone(),
        account: account_id(app),
        hash,
        opening,
        ending,
        unproven_until: app
            .config
            .sign_up
            .unproven_ttl
            .filter(|_| verification.is_some())
            .map(|ttl| app.now() + ttl),
        verification,
        callback: form.callback,
        recorder: Recorder::new(app, peer),
    };
    let hidden = !app.config.sign_up.signs_in();
    let attempt = creation.clone();
    let created = match app.db.write(move |conn| Box::pin(attempt.run(conn))).await {
        // Another process has changed the master key and this one has not followed yet.
        Err(store::Error::MasterKeyChanged) => {
            load_keys::reload(app).await?;
            let opening = Some(PendingSession::prepare(app, &user, options, peer)?);
            let again = Creation {
                opening,
                ..creation
            };
            app.db.write(move |conn| Box::pin(again.run(conn))).await
        }
        // Another sign-up took the address between the look and the write: now it is known.
        Err(store::Error::Conflict) if hidden => {
            app.db.write(move |conn| Box::pin(creation.run(conn))).await
        }
        created => created,
    };
    let opened = match created {
        Ok(opened) => opened,
        Err(store::Error::Conflict) => return Err(Error::UserExists),
        Err(error) => return Err(error.into()),
    };
    app.mail_waits.notify_one();
    let grant = match opened {
        Some((opening, ring)) => Some(opening.grant(app, &user, ring).await?),
        None => None,
    };
    Ok((user, grant))
}

/// A user as one begins.
pub(in crate::flows) fn new_user(
    app: &App,
    email: Email,
    name: String,
    image: Option<String>,
) -> User {
    let now = app.now();
    User {
        id: UserId::random(random::bytes(&*app.random)),
        email,
        email_verified: false,
        name,
        image,
        role: "user".into(),
        banned: false,
        ban_reason: None,
        ban_expires_at: None,
        disabled_at: None,
        metadata: serde_json::Map::new(),
        version: 1,
        login_epoch: 0,
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
    /// When the account goes, if nobody proves it.
    unproven_until: Option<Timestamp>,
    /// Writes the link that proves the mailbox.
    verification: Option<Outbox>,
    callback: Option<String>,
    recorder: Recorder,
}

impl Creation {
    async fn run(self, conn: &mut Conn) -> store::Result<Option<(PendingSession, RingVersion)>> {
        if self.opening.is_none()
            && let Some(known) = store::account::users::by_email(conn, &self.user.email).await?
        {
            // Where a sign-up does not sign in, a known address is not told from a new one: neither
            // by the answer nor by the time it takes.
            self.recorder
                .record(
                    conn,
                    Kind::SignedUpAgain,
                    Some(known.user.id),
                    None,
                    serde_json::Map::new(),
                )
                .await?;
            match &self.verification {
                // The mailbox is still to be proven, and its holder may be the one who signs up
                // now.
                Some(outbox) if !known.user.email_verified => {
                    outbox
                        .request(
                            conn,
                            Purpose::VerifyEmail,
                            &self.user.email,
                            self.callback.as_deref(),
                        )
                        .await?;
                }
                _ => {
                    self.recorder
                        .outbox()
                        .notice(
                            conn,
                            Template::SignedUpAgain,
                            &known.user,
                            serde_json::Map::new(),
                        )
                        .await?;
                }
            }
            return Ok(None);
        }
        store::account::users::insert(conn, &self.user, self.account, Some(&self.hash)).await?;
        self.recorder
            .record(
                conn,
                Kind::UserCreated,
                Some(self.user.id),
                None,
                serde_json::Map::new(),
            )
            .await?;
        if let Some(until) = self.unproven_until {
            store::account::user_changes::expect_proof(conn, self.user.id, until).await?;
        }
        if let Some(outbox) = &self.verification {
            outbox
                .request(
                    conn,
                    Purpose::VerifyEmail,
                    &self.user.email,
                    self.callback.as_deref(),
                )
                .await?;
        }
        let Some(opening) = &self.opening else {
            return Ok(None);
        };
        // Nobody else can have touched a user that this transaction made.
        let ring = opening
            .insert(
                conn,
                &self.recorder,
                Proof::Password(&self.hash),
                Some(&self.ending),
            )
            .await?
            .ok_or(store::Error::Conflict)?;
        Ok(self.opening.map(|opening| (opening, ring)))
    }
}
