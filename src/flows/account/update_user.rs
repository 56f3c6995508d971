//! Changes that users make to their own profile, and checks of their password.

use serde_json::Map;

use crate::app::App;
use crate::crypto::password::Verdict;
use crate::model::account::password::Password;
use crate::model::account::profile::{DisplayName, ImageUrl};
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::store::account::user_changes::{Changes, change};

pub use crate::store::account::users::Account;
use crate::store::{self, work};

use crate::flows::authenticated::Authenticated;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::permit::{OnBehalf, OwnAccount, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// The profile fields; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Display name; may be empty.
    pub name: Option<DisplayName>,
    /// URL of a picture; an empty text removes it.
    pub image: Option<ImageUrl>,
}

/// Changes the name and the picture.
pub async fn update_user(
    app: &App,
    who: OnBehalf<'_, to::UpdateUser>,
    profile: Profile,
    requester: &Requester,
) -> Result<()> {
    let user = who.user.id;
    let changes = Changes {
        name: profile.name,
        image: profile.image,
        ..Changes::default()
    };
    if changes.is_empty() {
        return Err(Error::NoFieldsToUpdate);
    }
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            change(tx.conn, user, &changes, now)
                .await?
                .ok_or(Error::Unauthorized)?;
            let fields = detail([
                ("name", changes.name.is_some().into()),
                ("image", changes.image.is_some().into()),
            ]);
            tx.record(Kind::UserUpdated, Some(user), None, fields).await
        }),
    )
    .await
}

/// Verifies the user's password and returns the stored hash.
pub async fn verify_password(
    app: &App,
    who: OwnAccount<'_, to::SetPassword>,
    password: &str,
    requester: &Requester,
) -> Result<Option<String>> {
    prove_password(app, &who, password, requester).await
}

/// Verifies the user's password for a flow that has permitted it, and returns the stored hash.
pub(in crate::flows) async fn prove_password(
    app: &App,
    who: &Authenticated,
    password: &str,
    requester: &Requester,
) -> Result<Option<String>> {
    let user = who.user.id;
    let password = Password::attempt(password, app.config.passwords.length)?;
    let known = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, user).await))
        .await?
        .ok_or(Error::Unauthorized)?;
    let against = app.against(known.password_hash.clone(), &known.user.email);
    let charges = RateLimitCheck::confirmation(app, who.session.id);
    charges.consume(app).await?;
    let verdict = charges
        .refund_if_not_evaluated(
            app,
            app.hasher
                .verify(requester, password, against)
                .await
                .map_err(Into::into),
        )
        .await?;
    if verdict == Verdict::Wrong {
        return Err(refused(app, who, requester).await);
    }
    charges.reset_now(app).await?;
    Ok(known.password_hash)
}

/// Returns the error for a wrong password of a signed-in user, after it was recorded in the audit
/// trail.
pub(in crate::flows) async fn refused(
    app: &App,
    who: &Authenticated,
    requester: &Requester,
) -> Error {
    let (user, session) = (Some(who.user.id), Some(who.session.id));
    app.transaction(
        requester,
        tx!(tx => tx.record(Kind::PasswordRefused, user, session, Map::new()).await),
    )
    .await
    .map_or_else(|error| error, |()| Error::InvalidPassword)
}

/// Returns the ways in which the user can sign in.
pub async fn accounts(app: &App, user: UserId) -> Result<Vec<Account>> {
    Ok(app
        .db
        .read(work!(conn => store::account::users::accounts(conn, user).await))
        .await?)
}
