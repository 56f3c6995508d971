//! Opens links of mails: the token is checked first, without the database; then its row must be
//! valid.

use std::time::Duration;

use crate::app::App;
use crate::crypto::mail_token;
use crate::model::kernel::trusted_clock::MAX_GAP;
use crate::model::mail::{MailToken, Purpose};
use crate::store::{self, work};

use crate::flows::confirm_clock;
use crate::flows::key::inspect_keys;
use crate::flows::{Error, Result};

/// Returns the row of a link that lets its reader choose a password.
pub async fn open_password(app: &App, text: &str) -> Result<MailToken> {
    let purpose = purpose_among(app, text, &[Purpose::ResetPassword, Purpose::Invitation])
        .ok_or(Error::MailTokenInvalid)?;
    open(app, text, purpose).await
}

/// The longest lifetime of a link that the settings accept. It is used instead of the present
/// setting, so that a link keeps a longer lifetime when the setting is shortened.
const LONGEST_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// Returns the row of a link for this purpose.
pub async fn open(app: &App, text: &str, purpose: Purpose) -> Result<MailToken> {
    let ring = inspect_keys::loaded(app)?;
    let id = mail_token::open(text, purpose, &ring.masters).ok_or(Error::MailTokenInvalid)?;
    let found = app
        .db
        .read(work!(conn => store::mails::find_token(conn, id).await))
        .await?;
    let (token, live) = found
        .filter(|(token, _)| token.purpose == purpose)
        .ok_or(Error::MailTokenInvalid)?;
    if app.now() >= token.expires_at {
        confirm_clock::admit_expiry(app)?;
        return Err(Error::MailTokenExpired);
    }
    // Its lifetime began in the future, by a clock that was ahead: it would be valid for as long as
    // that clock was ahead.
    let began = (token.expires_at - LONGEST_LIFETIME).max(token.created_at);
    if began > app.now() + MAX_GAP {
        return Err(Error::MailTokenExpired);
    }
    if live {
        Ok(token)
    } else {
        Err(Error::MailTokenInvalid)
    }
}

/// Returns the row of a link to `/verify-email`, whatever its purpose.
pub async fn open_at_verify_email(app: &App, text: &str) -> Result<MailToken> {
    let purpose = purpose_of(app, text).ok_or(Error::MailTokenInvalid)?;
    open(app, text, purpose).await
}

/// Returns the token of a link as text.
pub(in crate::flows) fn text(app: &App, token: &MailToken) -> Result<String> {
    let ring = inspect_keys::loaded(app)?;
    Ok(mail_token::make(token.id, token.purpose, &ring.masters).to_string())
}

/// Returns the purpose of a link to `/verify-email`.
pub fn purpose_of(app: &App, text: &str) -> Option<Purpose> {
    purpose_among(
        app,
        text,
        &[
            Purpose::VerifyEmail,
            Purpose::ApproveChange,
            Purpose::VerifyChange,
        ],
    )
}

fn purpose_among(app: &App, text: &str, purposes: &[Purpose]) -> Option<Purpose> {
    let ring = app.ring()?;
    purposes
        .iter()
        .copied()
        .find(|p| mail_token::open(text, *p, &ring.masters).is_some())
}
