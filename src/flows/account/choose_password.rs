//! Which passwords may be chosen (SP 800-63B-4 section 3.1.1.2): long enough, not a common one, not
//! the user's own name or email address, and not in the operator's list of breached passwords. No
//! rule asks for digits or special characters.

use std::sync::Arc;

use crate::app::App;
use crate::model::account::common_password::is_common;
use crate::model::account::password::Password;

use crate::flows::{Error, Result};

/// Returns the password if a user with these names and email addresses may choose it.
pub async fn choose(app: &App, text: &str, own: &[&str]) -> Result<Password> {
    let password = Password::chosen(text, app.config.passwords.length)?;
    consider(app, &password, own).await?;
    Ok(password)
}

/// Checks a password whose length is valid.
pub async fn consider(app: &App, password: &Password, own: &[&str]) -> Result<()> {
    if app.config.passwords.blocklist {
        let host = app.config.server.public_url.host_str().unwrap_or_default();
        let of_the_service = [app.config.mail.app_name.as_str(), host];
        if is_common(password.text())
            || password.resembles(own.iter().chain(&of_the_service).copied())
        {
            return Err(Error::PasswordTooCommon);
        }
    }
    let Some(breached) = &app.breached else {
        return Ok(());
    };
    let (breached, password) = (Arc::clone(breached), password.clone());
    // The disk may be slow. The operator asked for this check, so without its result no password is
    // accepted.
    let found = tokio::task::spawn_blocking(move || breached.contains(&password)).await;
    let found = found
        .map_err(|e| Error::Internal(e.to_string()))?
        .map_err(|e| Error::Unavailable(format!("passwords.breached_file: {e}")))?;
    if found {
        Err(Error::PasswordCompromised)
    } else {
        Ok(())
    }
}
