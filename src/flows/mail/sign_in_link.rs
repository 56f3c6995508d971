//! The code of a mail, and the link beside it, which signs its reader in. Both are computed from the
//! row and the master key.

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::mail_token::Use;
use crate::crypto::{email_code, mail_token};
use crate::flows::confirm_clock;
use crate::flows::key::inspect_keys;
use crate::flows::{Error, Result};
use crate::model::kernel::trusted_clock::MAX_GAP;
use crate::model::login::email_code::{CodePurpose, EmailCode};
use crate::store::{self, work};

/// Where a sign-in link leads; an empty text for the default.
pub(super) struct SignInLinks<'l> {
    pub(super) done: &'l str,
    pub(super) new_user: &'l str,
    pub(super) failed: &'l str,
}

impl SignInLinks<'_> {
    /// Returns the link for a row; an empty text if its mail has none.
    pub(super) fn of(&self, app: &App, row: &EmailCode) -> Result<String> {
        if row.purpose != CodePurpose::SignIn || !row.has_link {
            return Ok(String::new());
        }
        let ring = inspect_keys::loaded(app)?;
        let token = mail_token::make(row.id, Use::SignIn, &ring.masters);
        let server = &app.config.server;
        let root = server.mount.outside("/");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("token", &token);
        let done = if self.done.is_empty() {
            root.as_ref()
        } else {
            self.done
        };
        query.append_pair("callbackURL", done);
        for (name, url) in [
            ("newUserCallbackURL", self.new_user),
            ("errorCallbackURL", self.failed),
        ] {
            if !url.is_empty() {
                query.append_pair(name, url);
            }
        }
        Ok(format!(
            "{}{}/magic-link/verify?{}",
            server.public_url.as_str().trim_end_matches('/'),
            server.base_path,
            query.finish()
        ))
    }
}

/// Returns the code of a row.
///
/// # Errors
/// [`Error::Unavailable`] if its master key is not loaded; the mail is sent later.
pub(super) fn code(app: &App, row: &EmailCode) -> Result<String> {
    let ring = inspect_keys::loaded(app)?;
    let code: Option<Zeroizing<String>> = email_code::of(row, &ring.masters);
    code.map(|code| code.to_string())
        .ok_or_else(|| Error::Unavailable("the master key of a code is not loaded".into()))
}

/// Returns the row of a sign-in link without using it up.
///
/// # Errors
/// [`Error::MailTokenInvalid`] if it is not one of this service, or was used or replaced;
/// [`Error::MailTokenExpired`] if its time is over.
pub async fn open(app: &App, text: &str) -> Result<EmailCode> {
    let ring = inspect_keys::loaded(app)?;
    let id = mail_token::open(text, Use::SignIn, &ring.masters).ok_or(Error::MailTokenInvalid)?;
    let found = app
        .db
        .read(work!(conn => store::login::codes::find(conn, id).await))
        .await?;
    let (code, lives) = found.ok_or(Error::MailTokenInvalid)?;
    if code.purpose != CodePurpose::SignIn || !code.has_link || !lives {
        return Err(Error::MailTokenInvalid);
    }
    if app.now() >= code.expires_at {
        confirm_clock::admit_expiry(app)?;
        return Err(Error::MailTokenExpired);
    }
    if code.created_at > app.now() + MAX_GAP {
        return Err(Error::MailTokenExpired);
    }
    Ok(code)
}
