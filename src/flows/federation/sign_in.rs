//! Signs in with an identity that was verified just now. It is a first step like a password: the gate
//! decides whether a second one follows.

use std::sync::Arc;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::upstream_state::Urls;
use crate::flows::account::sign_up::{account_id, new_user};
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::rate_limit;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::challenge::NewChallenge;
use crate::flows::login::remembered_device;
use crate::flows::login::sign_in::SignedIn;
use crate::flows::session::carried;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Options, PendingSession};
use crate::flows::session::presented::Presented;
use crate::flows::session::upstream_link::NewLink;
use crate::flows::session::upstream_tokens::NewTokens;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::federation::decide::Entry as Decided;
use crate::model::federation::identity::Identity;
use crate::model::federation::pending_link::PendingLink;
use crate::model::federation::refused::Refused;
use crate::model::session::session::RevokedReason;
use crate::store::WriteOptions;

use super::entry::{Entered, Entry, NewAccount, Next};
use super::plan::{self, Plan};

/// A sign-in with an identity.
pub struct ByUpstream {
    /// How far it has come.
    pub signed_in: SignedIn,
    /// Whether the account was made by it.
    pub is_new: bool,
}

/// An identity that was made an account for, whose mailbox has to be verified first.
pub(super) struct Unverified {
    /// The user who was made.
    pub(super) user: User,
}

/// What a sign-in has brought.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Outcome {
    /// A session, or a second step.
    SignedIn(ByUpstream),
    /// An account whose mailbox has to be verified.
    Unverified(Unverified),
}

/// How the client wants to be signed in.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    /// The options that the client chose.
    pub(super) options: Options,
    /// The tokens whose sessions the sign-in replaces.
    pub(super) presented: Presented<'a>,
    /// Whether the client asks for an account if there is none.
    pub(super) request_sign_up: bool,
    /// Where the browser is led afterwards.
    pub(super) urls: &'a Urls,
    /// What becomes of the tokens of the identity.
    pub(super) tokens: &'a NewTokens,
}

/// Opens a session, or the second step.
///
/// # Errors
/// [`Error::UpstreamRefused`] with what was decided; the refusals of the gate.
pub(super) async fn sign_in(
    app: &App,
    provider: &Provider,
    identity: &Identity,
    arrival: Arrival<'_>,
    requester: &Requester,
) -> Result<Outcome> {
    let outcome = Box::pin(enter(app, provider, identity, arrival, requester)).await;
    app.metrics.upstream.sign_in(
        provider.id.as_str(),
        match &outcome {
            Ok(Outcome::SignedIn(done)) => match done.signed_in {
                SignedIn::Session(..) => "success",
                SignedIn::Pending(_) => "second_step",
            },
            Ok(Outcome::Unverified(_)) | Err(Error::EmailNotVerified) => "unverified",
            Err(Error::UpstreamRefused(_)) => "refused",
            Err(Error::BannedUser | Error::UserDisabled) => "shut_out",
            Err(Error::Limited(_) | Error::TooManyRequests(_)) => "limited",
            Err(_) => "error",
        },
    );
    outcome
}

async fn enter(
    app: &App,
    provider: &Provider,
    identity: &Identity,
    arrival: Arrival<'_>,
    requester: &Requester,
) -> Result<Outcome> {
    let link = PendingLink::of(identity);
    let sign_up = plan::sign_up(app, provider, identity, arrival.request_sign_up);
    let ending = SessionRevocation::of(
        app,
        &arrival.presented.sessions(app),
        arrival.presented.refresh,
        RevokedReason::Replaced,
    )
    .await?
    .and_left(carried::had(app, arrival.presented.devices));
    let mut looked = false;
    let entered = loop {
        let plan = plan::look(app, identity, &link, sign_up).await?;
        let user = subject(app, identity, &plan)?;
        let attempt = Attempt {
            identity,
            link: &link,
            plan,
            user,
            sign_up,
            ending: &ending,
            arrival,
            requester,
        };
        match attempt.run(app).await {
            // The account was made, linked or changed between the look-up and the write: look once more.
            Err(Error::UserExists | Error::Unauthorized) if !looked => looked = true,
            Err(error) => {
                refused(app, &attempt, &error, requester).await?;
                return Err(rate_limit::noted(app, error));
            }
            Ok(entered) => break entered,
        }
    };
    let Entered { user, is_new, next } = entered;
    let signed_in = match next {
        Next::Unverified => return Ok(Outcome::Unverified(Unverified { user })),
        Next::Pending(pending) => SignedIn::Pending(pending),
        Next::Session(opening, beginning) => {
            let tokens = opening.grant(app, &user, beginning).await?;
            SignedIn::Session(user, tokens)
        }
    };
    Ok(Outcome::SignedIn(ByUpstream { signed_in, is_new }))
}

/// Returns the user of the plan, or the row of the one who is to be made.
///
/// # Errors
/// [`Error::UpstreamRefused`] if nothing follows from the identity.
fn subject(app: &App, identity: &Identity, plan: &Plan) -> Result<User> {
    match (plan.entry, &plan.user, &identity.mailbox) {
        (Decided::Refused(why), ..) => Err(Error::UpstreamRefused(why)),
        (_, Some(user), _) => Ok(user.clone()),
        (Decided::SignUp { verified }, None, Some(mailbox)) => Ok(User {
            email_verified: verified,
            ..new_user(
                app,
                mailbox.email.clone(),
                identity.name.clone(),
                identity.image.clone(),
            )
        }),
        (_, None, _) => Err(Error::UpstreamRefused(Refused::AccountNotLinked)),
    }
}

/// One attempt to sign in, by a plan that has to hold in the transaction.
struct Attempt<'a> {
    identity: &'a Identity,
    link: &'a PendingLink,
    plan: Plan,
    user: User,
    sign_up: crate::model::federation::decide::SignUp,
    ending: &'a SessionRevocation,
    arrival: Arrival<'a>,
    requester: &'a Requester,
}

impl Attempt<'_> {
    async fn run(&self, app: &App) -> Result<Entered> {
        let success = RateLimitCheck::success(app, &self.user.email, self.requester);
        success.look(app)?;
        let remembered = if self.plan.user.is_some() {
            remembered_device::since(app, self.arrival.presented.remembered, &self.user).await?
        } else {
            None
        };
        let verifies = app.config.sign_up.require_email_verification;
        let ttl = app.config.sign_up.unproven_ttl.filter(|_| verifies);
        with_current_keys(app, || async {
            let entry = Entry {
                identity: self.identity.clone(),
                link: NewLink {
                    link: self.link.clone(),
                    row: account_id(app),
                    tells: self.plan.user.is_some() && !self.plan.is_linked,
                    tokens: self.arrival.tokens.clone(),
                },
                plan: self.plan.clone(),
                user: self.user.clone(),
                sign_up: self.sign_up,
                new_account: NewAccount {
                    account: account_id(app),
                    charge: RateLimitCheck::sign_up(app, self.requester),
                    unproven_until: ttl.map(|ttl| app.now() + ttl),
                    callback: self.arrival.urls.done.clone(),
                    verifies,
                },
                remembered,
                opening: PendingSession::prepare(
                    app,
                    &self.user,
                    self.arrival.options,
                    self.requester,
                )?,
                challenge: NewChallenge::prepare(app, self.arrival.options),
                ending: self.ending.clone(),
                success: success.clone(),
                policies: Arc::clone(&app.config.policies),
                notify: app.config.mail.notify_new_sign_in,
            };
            app.transaction(self.requester, tx!(tx => Box::pin(entry.run(tx)).await))
                .await
        })
        .await
    }
}

/// Records a refusal that concerns a user; a power cut may lose the last records.
async fn refused(
    app: &App,
    attempt: &Attempt<'_>,
    error: &Error,
    requester: &Requester,
) -> Result<()> {
    let is_told = matches!(
        error,
        Error::BannedUser | Error::UserDisabled | Error::EmailNotVerified
    );
    let Some(user) = attempt.plan.user.as_ref().filter(|_| is_told) else {
        return Ok(());
    };
    let (user, why) = (
        user.id,
        detail([
            ("reason", error.to_string().into()),
            ("provider", attempt.link.provider.as_str().into()),
        ]),
    );
    let record = tx!(tx => tx.record(Kind::SignInRefused, Some(user), None, why).await);
    app.transaction_with(WriteOptions::UNSYNCED, requester, record)
        .await
}
