//! What only `countersign dev` offers for tests of applications: a known user, a session for any
//! user without a password, the mails that were sent, and a clock that a test can move. None of it
//! exists in `serve`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;

use crate::app::App;
use crate::clock::MovableClock;
use crate::mail::{Received, Transport};
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::time::Timestamp;
use crate::model::login::proof::{Proof, Proofs};

use crate::flows::key::current_keys::with_current_keys;
use crate::flows::permit::Permitted;

use crate::flows::account::manage_users;
use crate::flows::confirm_clock;
use crate::flows::key::{change_keys, load_keys};
use crate::flows::mail::deliver_mail;
use crate::flows::session::clearance::clear_in;
use crate::flows::session::open_session::{Options, PendingSession, SessionTokens};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// The email address of the user who always exists.
pub const USER_EMAIL: &str = "dev@example.com";
/// The password of the user who always exists.
pub const USER_PASSWORD: &str = "dev-password";

/// The name of the user who always exists.
const USER_NAME: &str = "Dev User";

/// The greatest distance that one call moves the clock: ten years.
const FURTHEST: Duration = Duration::from_secs(3_650 * 86_400);

/// The functions for tests; exists only in `countersign dev`.
#[derive(Debug, Clone)]
pub struct Dev {
    clock: Arc<MovableClock>,
}

impl Dev {
    /// Makes the functions, with the clock that the program was started with.
    pub fn new(clock: Arc<MovableClock>) -> Self {
        Self { clock }
    }

    /// Creates the known user, unless a kept database already has it.
    pub async fn ensure_user(&self, app: &App) -> Result<()> {
        let new = manage_users::New {
            email: USER_EMAIL.parse().map_err(|_| Error::InvalidEmail)?,
            name: USER_NAME.parse().unwrap_or_default(),
            image: None,
            password: Some(USER_PASSWORD.into()),
            role: "user".into(),
            email_verified: true,
            metadata: Map::new(),
        };
        match manage_users::create(app, Permitted::as_operator(), new, &requester()).await {
            Ok(_) | Err(Error::EmailTaken) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens a session for the user with this email address or id, without a password. Refused for
    /// a user who may not sign in.
    pub async fn open_session(
        &self,
        app: &App,
        user: &str,
        options: Options,
        requester: &Requester,
    ) -> Result<(User, SessionTokens)> {
        let user = manage_users::find(app, Permitted::as_operator(), user).await?;
        // The session begins as if its user had proven everything that may be asked for.
        let (id, policies) = (user.id, Arc::clone(&app.config.policies));
        let proofs = Proofs::of(Proof::Mailbox, app.now()).and(Proof::Totp, app.now());
        let refusal = if user.disabled_at.is_some() {
            || Error::UserDisabled
        } else {
            || Error::BannedUser
        };
        let (opening, ring) = with_current_keys(app, || async {
            let opening = PendingSession::prepare(app, &user, options, requester)?;
            let policies = Arc::clone(&policies);
            let work = tx!(tx => {
                let (_, cleared) = clear_in(tx, id, proofs, &policies).await?;
                let ring = opening
                    .insert(tx, &cleared, None)
                    .await?
                    .ok_or_else(refusal)?;
                Ok((opening, ring))
            });
            app.transaction(requester, work).await
        })
        .await?;
        let grant = opening.grant(app, &user, ring).await?;
        Ok((user, grant))
    }

    /// Sends what is queued, so that a test need not wait for the schedule, and returns the mails
    /// to this email address, or all, newest first.
    pub async fn inbox(&self, app: &App, to: Option<&str>) -> Result<Vec<Received>> {
        deliver_mail::deliver_due(app, || false).await?;
        match &app.mailer.transport {
            Transport::Inbox(inbox) => Ok(inbox.list(to)),
            _ => Err(Error::Internal(
                "countersign dev runs without its inbox".into(),
            )),
        }
    }

    /// Deletes the mails so far.
    pub fn clear_inbox(&self, app: &App) {
        if let Transport::Inbox(inbox) = &app.mailer.transport {
            inbox.clear();
        }
    }

    /// Moves the service's clock, backwards if negative, and applies the key changes that are due
    /// then. Returns the time after the move.
    pub async fn move_clock(&self, app: &App, by_ms: i64) -> Result<Timestamp> {
        let furthest = i64::try_from(FURTHEST.as_millis()).unwrap_or(i64::MAX);
        self.clock.advance_ms(by_ms.clamp(-furthest, furthest));
        // A test intends the time to pass: the jump is not a standstill of the service, which would
        // excuse late retries of clients.
        app.standstills.lived_until(app.now());
        // A test that moves the clock confirms it: deletion and rotation use it.
        let _confirmed =
            confirm_clock::confirm_by_operator(app, Permitted::as_operator(), &requester()).await?;
        match change_keys::change_scheduled(app).await {
            Ok(_) | Err(Error::AlreadyRotated) => load_keys::reload(app).await?,
            Err(error) => return Err(error),
        }
        Ok(app.now())
    }
}

fn requester() -> Requester {
    Requester {
        actor: "dev".into(),
        ..Requester::default()
    }
}
