//! Compares a password with the stored hash of an email address. An unknown email address costs as
//! much as a wrong password.

use crate::app::App;
use crate::crypto::foreign::Renewal;
use crate::crypto::password::{HashSlot, Verdict};
use crate::flows::Result;
use crate::model::account::email::Email;
use crate::model::account::password::Password;
use crate::model::kernel::id::UserId;
use crate::store::account::users::WithPassword;
use crate::store::{self, work};

/// The result of verifying a password.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Proven {
    /// The user, the hash that the password was compared with, and by what it is to be replaced.
    Right(WithPassword, String, Renewal),
    /// The password is wrong; the user is given if the email address is known.
    Wrong(Option<UserId>),
}

/// Compares a password with the stored hash of the email address.
pub(super) async fn prove(
    app: &App,
    slot: HashSlot,
    email: &Email,
    password: &Password,
) -> Result<Proven> {
    let key = email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &key).await))
        .await?;
    let stored = known.as_ref().and_then(|k| k.password_hash.clone());
    let verdict = app
        .hasher
        .verify_in(slot, password.clone(), app.against(stored.clone(), email))
        .await?;
    match (known, stored, verdict) {
        (Some(known), Some(verified), Verdict::Right(renewal)) => {
            Ok(Proven::Right(known, verified, renewal))
        }
        (known, ..) => Ok(Proven::Wrong(known.map(|k| k.user.id))),
    }
}
