//! Compares codes that a known user has asked for: in a session, or after the first step of a sign-in. A
//! try is counted before anything is compared.

use crate::app::App;
use crate::crypto::email_code;
use crate::flows::key::inspect_keys;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::email::Email;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::login::email_code::{CodePurpose, TRIES_OF_ASKER};
use crate::store;
use crate::store::login::codes::Counted;

use super::typed_code::RightCode;

/// Compares a code with the one that a user has asked for in a session, for this email address. A try
/// of it is counted before.
///
/// # Errors
/// [`Error::InvalidOtp`] if it is wrong or there is none, [`Error::TooManyCodeTries`] if all tries are
/// used up.
pub(in crate::flows) async fn check(
    app: &App,
    purpose: CodePurpose,
    user: UserId,
    email: &Email,
    typed: &str,
) -> Result<RightCode> {
    let found = count(app, purpose, user, None).await?;
    let Counted { code, of_asker, .. } = found
        .filter(|found| found.code.email == *email)
        .ok_or(Error::InvalidOtp)?;
    if of_asker >= TRIES_OF_ASKER {
        return Err(Error::TooManyCodeTries);
    }
    let ring = inspect_keys::loaded(app)?;
    if email_code::matches(&code, typed, &ring.masters) {
        Ok(RightCode(code))
    } else {
        Err(Error::InvalidOtp)
    }
}

/// Counts a try of the code that a user has asked for in a session or for a pending sign-in, if it has
/// one left, and returns its row as it was before.
pub(super) async fn count(
    app: &App,
    purpose: CodePurpose,
    user: UserId,
    challenge: Option<EventId>,
) -> Result<Option<Counted>> {
    let work = tx!(tx => {
        let now = tx.now();
        let found =
            store::login::codes::lock_of_user(tx.conn, purpose, user, challenge, now).await?;
        if let Some(Counted { code, of_asker, .. }) = &found
            && *of_asker < TRIES_OF_ASKER
        {
            store::login::codes::charge(tx.conn, code.id, true).await?;
        }
        Ok(found)
    });
    app.transaction(&Requester::named("service"), work).await
}
