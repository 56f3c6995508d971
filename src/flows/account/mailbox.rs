//! Proving a mailbox: the one way for every link that does so (verification, change of address,
//! reset, invitation).
//!
//! A link alone proves only who reads the mailbox. Whether the one who set the password is the same
//! person, three things tell: a live session of the account beside the device that it was given to,
//! a device that is known at it, or the password itself. With one of them everything stays as it
//! is. Without, the account belongs to the mailbox from then on: password, sessions and known
//! devices of before end, and a new password is chosen.

use crate::app::App;
use crate::crypto::password::Verdict;
use crate::model::account::email::Email;
use crate::model::account::password::Password;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::SessionId;
use crate::model::mail::{MailToken, Purpose};
use crate::store::account::user_changes::Changes;
use crate::store::session::sessions::By;
use crate::store::{self, WriteOptions, work};

use super::claim_mailbox::{Profile, claim, mark};
use crate::flows::audit::recorder::detail;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::known_device;
use crate::flows::login::known_device::Device;
use crate::flows::mail::mail_links;
use crate::flows::session::carried;
use crate::flows::session::read_session::Authenticated;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// What came with a link that proves a mailbox.
#[derive(Clone, Copy, Default)]
pub struct Evidence<'r> {
    /// The live session whose token came along.
    pub session: Option<&'r Authenticated>,
    /// Every session cookie of the request.
    pub session_cookies: &'r [&'r str],
    /// Tokens of known devices, not yet looked at.
    pub devices: &'r [&'r str],
    /// What was typed as the password of the account.
    pub password: Option<&'r str>,
}

/// What ties the one who follows a link to the one who set the password.
#[derive(Debug, Clone)]
pub(in crate::flows) enum Tie {
    /// A session of the account.
    Session(SessionId),
    /// A device that is known at the account.
    Device(Device),
    /// The password, whose hash was this.
    Password(String),
    /// Nothing.
    None,
}

impl Tie {
    /// A new token for the device that was known at the account, as the user's row is now. `None`
    /// where none was: a password that was typed proves no device.
    pub(in crate::flows) fn device(&self, app: &App, user: &User) -> Option<String> {
        let session = match self {
            Self::None | Self::Password(_) => return None,
            Self::Session(id) => Some(*id),
            Self::Device(device) => device.session(),
        };
        known_device::token(app, user, session)
    }
}

/// How a link that proves a mailbox stands to the browser that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The link is all that it takes.
    Enough,
    /// The password is needed too; or a new one is chosen and what was before ends.
    NotEnough,
}

/// What came of a proof.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The user with the mailbox proven.
    pub user: User,
    /// The token that lets the mailbox's holder choose a password, once: what was there before has
    /// ended.
    pub choose: Option<String>,
    /// A new token for the device that was tied to the account, where the proof ended the one
    /// before.
    pub device: Option<String>,
}

/// Another host of the site can plant cookies, those of a stranger's own account among them. So a
/// session that a cookie names counts only beside the device that it was given to, whose cookie
/// over https no other host can set; and no device counts beside a live session of another user, or
/// beside the device of one.
async fn tie(app: &App, token: &MailToken, evidence: &Evidence<'_>, user: &User) -> Result<Tie> {
    let devices: Vec<Device> = evidence
        .devices
        .iter()
        .filter_map(|text| Device::open(app, text))
        .collect();
    // An admin who acts as the user is not the user.
    let own = evidence
        .session
        .filter(|who| who.session.user_id == token.user && who.session.impersonated_by.is_none());
    if let Some(who) = own.filter(|who| !who.by_cookie) {
        return Ok(Tie::Session(who.session.id));
    }
    let is_anothers = own.is_none() && evidence.session.is_some()
        || devices.iter().any(|device| device.user() != token.user);
    if is_anothers || carried::is_anothers(app, evidence.session_cookies, token.user).await? {
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

async fn holder(app: &App, token: &MailToken) -> Result<store::account::users::WithPassword> {
    let id = token.user;
    app.db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::UserNotFound)
}

/// What a page that shows the link has to ask for. Changes nothing.
pub async fn standing(app: &App, token: &MailToken, evidence: &Evidence<'_>) -> Result<Standing> {
    let user = holder(app, token).await?.user;
    let is_proven = token.purpose == Purpose::VerifyEmail && user.email_verified;
    let enough = is_proven || !matches!(tie(app, token, evidence, &user).await?, Tie::None);
    Ok(if enough {
        Standing::Enough
    } else {
        Standing::NotEnough
    })
}

/// Weighs what came with the link. A password is tried under the limits of a sign-in.
///
/// # Errors
/// [`Error::InvalidPassword`] for a wrong one, [`Error::Limited`] for too many.
pub(in crate::flows) async fn weigh(
    app: &App,
    token: &MailToken,
    evidence: &Evidence<'_>,
    peer: &Peer,
) -> Result<Tie> {
    let known = holder(app, token).await?;
    let found = tie(app, token, evidence, &known.user).await?;
    let (Tie::None, Some(typed)) = (&found, evidence.password) else {
        return Ok(found);
    };
    let typed = Password::attempt(typed, app.config.passwords.length)?;
    let charges = RateLimitCheck::password(app, &known.user.email, &[], peer).await?;
    charges.consume(app).await?;
    let stored = known.password_hash;
    let verdict = charges
        .refund_if_not_evaluated(
            app,
            app.hasher
                .verify(peer, typed, stored.clone())
                .await
                .map_err(Into::into),
        )
        .await?;
    if let (Verdict::Right { .. }, Some(hash)) = (verdict, stored) {
        charges.reset_now(app).await?;
        return Ok(Tie::Password(hash));
    }
    let user = known.user.id;
    let why = detail([("reason", "wrong password at a link of a mail".into())]);
    app.transaction_with(
        WriteOptions::UNSYNCED,
        peer,
        tx!(tx => tx.record(Kind::SignInRefused, Some(user), None, why).await),
    )
    .await?;
    Err(Error::InvalidPassword)
}

/// Whether what was weighed is still so; the user's row is locked.
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

/// The mailbox of `user`, or the one at `new_email`, is proven. The account and the user's row are
/// locked.
///
/// # Errors
/// [`Error::Unauthorized`] where what tied the link to the account is no longer so,
/// [`Error::MailTokenInvalid`] where another account has taken the new address meanwhile.
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
    // A change that was possible without this address's agreement is possible no longer.
    let now = tx.now();
    match new_email {
        None => {
            store::mails::end_tokens_of(tx.conn, user.id, Purpose::VerifyChange, now).await?;
        }
        Some(_) => store::mails::end_tokens(tx.conn, user.id, now).await?,
    }
    let user = mark(tx, user, new_email, Changes::default()).await?;
    Ok((user, None))
}

/// The proof as the browser gets it, once it is committed.
pub(in crate::flows) fn told(app: &App, (user, token): (User, Option<MailToken>)) -> Result<Proof> {
    Ok(Proof {
        user,
        choose: token
            .map(|token| mail_links::text(app, &token))
            .transpose()?,
        device: None,
    })
}
