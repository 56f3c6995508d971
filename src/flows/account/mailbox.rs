//! Proves a mailbox; used by every link that does so (verification, change of email address, reset,
//! invitation).
//!
//! A link alone only proves who reads the mailbox. Three things show that the person who set the
//! password is the same: a live session of the account together with the device that it was given
//! to, a device that is known at the account, or the password itself. With one of them everything
//! stays as it is. Without any, the account belongs to the owner of the mailbox from then on: all
//! previous passwords, sessions and known devices end, and a new password is chosen.

use crate::app::App;
use crate::crypto::password::Verdict;
use crate::model::account::email::Email;
use crate::model::account::password::Password;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::mail::{MailToken, Purpose};
use crate::store::account::user_changes::Changes;
use crate::store::session::sessions::By;
use crate::store::{self, WriteOptions, work};

use super::claim_mailbox::{Profile, claim, mark};
use crate::flows::authenticated::Authenticated;
use crate::flows::limit::known_device;
use crate::flows::limit::known_device::Device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::mail_links;
use crate::flows::session::carried;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// What the request with the link contained.
#[derive(Clone, Copy, Default)]
pub struct Evidence<'r> {
    /// The live session whose token was sent.
    pub session: Option<&'r Authenticated>,
    /// Every session cookie of the request.
    pub session_cookies: &'r [&'r str],
    /// Tokens of known devices, not validated yet.
    pub devices: &'r [&'r str],
    /// The password that the user typed.
    pub password: Option<&'r str>,
}

/// What ties the person who follows a link to the person who set the password.
#[derive(Debug, Clone)]
pub(in crate::flows) enum Tie {
    /// A live session of the account.
    Session(SessionId),
    /// A device that is known at the account.
    Device(Device),
    /// The password, which matched this hash.
    Password(String),
    /// There is no tie.
    None,
}

impl Tie {
    /// Returns a new token for the device that was known at the account, for the user's present
    /// row. Returns `None` if there was none: a typed password does not prove a device.
    pub(in crate::flows) fn device(&self, app: &App, user: &User) -> Option<String> {
        let session = match self {
            Self::None | Self::Password(_) => return None,
            Self::Session(id) => Some(*id),
            Self::Device(device) => device.session(),
        };
        known_device::token(app, user, session)
    }
}

/// What the page of a link has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The link is sufficient.
    Enough,
    /// The password is needed, too; otherwise a new one has to be chosen and everything before
    /// ends.
    NotEnough,
}

/// The result of a proof.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The user, whose mailbox is now verified.
    pub user: User,
    /// The token with which the owner of the mailbox chooses a password, once; set if everything
    /// before has ended.
    pub choose: Option<String>,
    /// A new token for the device that was tied to the account, if the proof invalidated the
    /// previous one.
    pub device: Option<String>,
}

/// Finds what ties the request to the account. Another host of the same site can set cookies,
/// including those of an attacker's own account. So a session that a cookie names counts only
/// together with the device that it was given to, whose cookie over https no other host can set. No
/// device counts together with a live session of another user, or with a device of another user.
pub(super) async fn tie(app: &App, evidence: &Evidence<'_>, user: &User) -> Result<Tie> {
    let devices: Vec<Device> = evidence
        .devices
        .iter()
        .filter_map(|text| Device::open(app, text))
        .collect();
    // An admin who impersonates the user is not the user.
    let own = evidence
        .session
        .filter(|who| who.session.user_id == user.id && who.session.impersonated_by.is_none());
    if let Some(who) = own.filter(|who| !who.by_cookie) {
        return Ok(Tie::Session(who.session.id));
    }
    let is_anothers = own.is_none() && evidence.session.is_some()
        || devices.iter().any(|device| device.user() != user.id);
    if is_anothers || carried::is_anothers(app, evidence.session_cookies, user.id).await? {
        return Ok(Tie::None);
    }
    if let Some(who) = own.filter(|who| {
        devices
            .iter()
            .any(|device| device.session() == Some(who.session.id))
    }) {
        return Ok(Tie::Session(who.session.id));
    }
    Ok(devices
        .into_iter()
        .find(|device| device.is_known_to(user))
        .map_or(Tie::None, Tie::Device))
}

async fn holder(app: &App, id: UserId) -> Result<store::account::users::WithPassword> {
    app.db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::UserNotFound)
}

/// Returns what the page of the link has to ask for. Changes nothing.
pub async fn standing(app: &App, token: &MailToken, evidence: &Evidence<'_>) -> Result<Standing> {
    let user = holder(app, token.user).await?.user;
    let is_proven = token.purpose == Purpose::VerifyEmail && user.email_verified;
    let enough = is_proven || !matches!(tie(app, evidence, &user).await?, Tie::None);
    Ok(if enough {
        Standing::Enough
    } else {
        Standing::NotEnough
    })
}

/// Validates what came with the link or the code. A password is checked under the limits of a sign-in.
///
/// # Errors
/// [`Error::InvalidPassword`] for a wrong password, [`Error::Limited`] for too many attempts.
pub(in crate::flows) async fn weigh(
    app: &App,
    user: UserId,
    evidence: &Evidence<'_>,
    requester: &Requester,
) -> Result<Tie> {
    let known = holder(app, user).await?;
    let found = tie(app, evidence, &known.user).await?;
    let (Tie::None, Some(typed)) = (&found, evidence.password) else {
        return Ok(found);
    };
    let typed = Password::attempt(typed, app.config.passwords.length)?;
    let charges = RateLimitCheck::password(app, &known.user.email, &[], requester).await?;
    charges.consume(app).await?;
    let stored = known.password_hash;
    let verdict = charges
        .refund_if_not_evaluated(
            app,
            app.hasher
                .verify(
                    requester,
                    typed,
                    app.against(stored.clone(), &known.user.email),
                )
                .await
                .map_err(Into::into),
        )
        .await?;
    if let (Verdict::Right(_), Some(hash)) = (verdict, stored) {
        charges.reset_now(app).await?;
        return Ok(Tie::Password(hash));
    }
    let user = known.user.id;
    let why = detail([("reason", "wrong password at a link of a mail".into())]);
    app.transaction_with(
        WriteOptions::UNSYNCED,
        requester,
        tx!(tx => tx.record(Kind::SignInRefused, Some(user), None, why).await),
    )
    .await?;
    Err(Error::InvalidPassword)
}

/// Returns whether the tie still holds; the user's row is locked.
async fn holds(tx: &mut Tx<'_>, user: &User, tie: &Tie) -> Result<bool> {
    let now = tx.now();
    Ok(match tie {
        Tie::Session(id) => store::session::sessions::find_live(tx.conn, &By::Id(*id), now)
            .await?
            .is_some_and(|found| found.session.user_id == user.id),
        Tie::Device(device) => device.is_known_to(user),
        Tie::Password(hash) => {
            store::account::users::by_id(tx.conn, user.id)
                .await?
                .and_then(|found| found.password_hash)
                .as_ref()
                == Some(hash)
        }
        Tie::None => true,
    })
}

/// Marks the mailbox of `user`, or the one at `new_email`, as verified. The account and the user's
/// row are locked.
///
/// # Errors
/// [`Error::Unauthorized`] if the tie does not hold any more, [`Error::MailTokenInvalid`] if
/// another account has taken the new email address meanwhile.
pub(in crate::flows) async fn prove(
    tx: &mut Tx<'_>,
    user: &User,
    new_email: Option<&Email>,
    tie: &Tie,
) -> Result<(User, Option<MailToken>)> {
    if !holds(tx, user, tie).await? {
        return Err(Error::Unauthorized);
    }
    if matches!(tie, Tie::None) {
        let user = claim(tx, user, new_email, Profile::Forgotten).await?;
        let token = tx.make_link(Purpose::ResetPassword, &user).await?;
        return Ok((user, Some(token)));
    }
    // A change that did not need the agreement of this email address is not possible any more.
    let now = tx.now();
    match new_email {
        None => {
            store::mails::end_tokens_of(tx.conn, user.id, Purpose::VerifyChange, now).await?;
            store::login::codes::end_changes(tx.conn, user.id, now).await?;
        }
        Some(_) => store::mails::end_tokens(tx.conn, user.id, now).await?,
    }
    let user = mark(tx, user, new_email, Changes::default()).await?;
    Ok((user, None))
}

/// Builds the result of the proof for the browser, after the commit.
pub(in crate::flows) fn told(app: &App, (user, token): (User, Option<MailToken>)) -> Result<Proof> {
    Ok(Proof {
        user,
        choose: token
            .map(|token| mail_links::text(app, &token))
            .transpose()?,
        device: None,
    })
}
