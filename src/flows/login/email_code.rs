//! Asks for a code that is sent to a mailbox, by an email address alone. Whether the address is known
//! is not revealed: each request is one row, and the account is looked up when the mail is sent.
//!
//! The browser or the app that asks gets a secret, its binding. Its wrong codes are counted apart from
//! those of all others, and its next request ends its earlier code alone, so that strangers neither use
//! up an owner's tries nor end an owner's code. `typed_code` compares the codes that come back.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::challenge::ChallengeToken;
use crate::flows::key::inspect_keys;
use crate::flows::limit::known_device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::require_mail::require_mail;
use crate::flows::transaction::code_mails::Places;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::email::Email;
use crate::model::account::profile::DisplayName;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::email_code::{CodePurpose, EmailCode};
use crate::random;

/// Where the link of a mail leads.
#[derive(Debug, Clone, Default)]
pub struct Callbacks {
    /// Where it leads after the sign-in.
    pub done: Option<String>,
    /// Where it leads a new user, in place of `done`.
    pub new_user: Option<String>,
    /// Where it leads if the link is no longer good.
    pub failed: Option<String>,
}

/// How long a browser keeps the binding: longer than a code works, because its time begins when a
/// mail is sent, which may be late.
const BINDING_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A request for a code.
pub struct Wanted {
    /// The email address that gets the mail.
    pub email: Email,
    /// What the code is for.
    pub purpose: CodePurpose,
    /// Whether the mail is to have a link, too.
    pub has_link: bool,
    /// The display name, if the email address gets a new account.
    pub name: Option<DisplayName>,
    /// Where the link leads.
    pub callbacks: Callbacks,
}

/// The tokens of the browser or the app of a request.
#[derive(Clone, Copy, Default)]
pub struct Holder<'h> {
    /// Bindings of codes that were asked for.
    pub bindings: &'h [&'h str],
    /// Tokens of devices that are known at an account.
    pub devices: &'h [&'h str],
}

/// The answer to a request for a code.
pub struct Asked {
    /// The binding, which the browser or the app keeps.
    pub binding: Zeroizing<String>,
    /// When it is of no use any more.
    pub until: Timestamp,
}

/// Refuses if the settings do not offer codes for this purpose.
pub(super) fn admit(app: &App, purpose: CodePurpose) -> Result<()> {
    let refusal = match purpose {
        CodePurpose::SignIn if !app.config.sign_in.by_mail => {
            return Err(Error::EmailSignInDisabled);
        }
        CodePurpose::SignIn => Error::EmailSignInDisabled,
        CodePurpose::VerifyEmail => Error::VerificationEmailNotEnabled,
        CodePurpose::ResetPassword => Error::ResetPasswordDisabled,
        CodePurpose::ChangeEmail => Error::ChangeEmailDisabled,
        CodePurpose::SecondStep => Error::OtpNotConfigured,
    };
    require_mail(app, refusal)
}

/// Returns whether a user can sign in by a mail.
pub(in crate::flows) fn is_offered(app: &App) -> bool {
    admit(app, CodePurpose::SignIn).is_ok()
}

/// Makes the row of a code under the current master key.
///
/// # Errors
/// [`Error::Unavailable`] while no key is loaded.
pub(in crate::flows) fn new_row(
    app: &App,
    purpose: CodePurpose,
    email: Email,
    requester: &Requester,
) -> Result<EmailCode> {
    let (ring, now) = (inspect_keys::loaded(app)?, app.now());
    Ok(EmailCode {
        id: EventId::at(now, random::bytes(&*app.random)),
        purpose,
        email,
        user: None,
        challenge: None,
        binding: None,
        key_version: ring.masters.current().version,
        has_link: false,
        name: None,
        user_agent: requester.user_agent.clone(),
        device: None,
        created_at: now,
        expires_at: now + app.config.mail.lifetimes.code,
    })
}

/// Sends a code to an email address, known or not.
///
/// # Errors
/// [`Error::EmailSignInDisabled`] and its like if the settings do not offer it; [`Error::Limited`].
pub async fn request(
    app: &App,
    wanted: Wanted,
    holder: Holder<'_>,
    requester: &Requester,
) -> Result<Asked> {
    admit(app, wanted.purpose)?;
    let (email, purpose) = (wanted.email, wanted.purpose);
    let device = known_device::known(app, holder.devices, &email).await?;
    RateLimitCheck::code_request(app, purpose, &email, device.as_deref(), requester)
        .consume(app)
        .await?;
    let binding = holder
        .bindings
        .iter()
        .find_map(|text| ChallengeToken::read(text))
        .unwrap_or_else(|| ChallengeToken::new(random::bytes(&*app.random)));
    let sign_up = &app.config.sign_up;
    let places = Places {
        done: wanted.callbacks.done,
        new_user: wanted.callbacks.new_user,
        failed: wanted.callbacks.failed,
        may_sign_up: sign_up.enabled && sign_up.domains.admit(&email),
    };
    let code = EmailCode {
        binding: Some(binding.hash()),
        has_link: wanted.has_link,
        name: wanted.name.map(String::from),
        device,
        ..new_row(app, purpose, email, requester)?
    };
    let until = code.created_at + BINDING_LIFETIME;
    app.transaction(
        requester,
        tx!(tx => tx.queue_code_request(&code, &places).await),
    )
    .await?;
    Ok(Asked {
        binding: binding.expose(),
        until,
    })
}
