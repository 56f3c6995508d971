//! What users change about themselves, and how they prove once more who they are.

use crate::app::App;
use crate::crypto::password::Verdict;
use crate::model::account::password::Password;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::UserId;
use crate::store;
use crate::store::account::user_changes::{Changes, change};
pub use crate::store::account::users::Account;

use crate::flows::audit::recorder::{Recorder, detail};
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::read_session::Authenticated;
use crate::flows::{Error, Result};

/// What users say of themselves; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// May be empty.
    pub name: Option<String>,
    /// Address of a picture; an empty one takes it away.
    pub image: Option<String>,
}

/// Changes name and picture.
pub async fn update_user(app: &App, user: UserId, profile: Profile, peer: &Peer) -> Result<()> {
    let changes = Changes {
        name: profile.name,
        image: profile.image,
        ..Changes::default()
    };
    if changes.is_empty() {
        return Err(Error::NoFieldsToUpdate);
    }
    let recorder = Recorder::new(app, peer);
    let done = app.db.write(move |conn| {
        Box::pin(async move {
            if change(conn, user, &changes, conn.now()).await?.is_none() {
                return Ok(false);
            }
            let fields = detail([
                ("name", changes.name.is_some().into()),
                ("image", changes.image.is_some().into()),
            ]);
            recorder
                .record(conn, Kind::UserUpdated, Some(user), None, fields)
                .await?;
            Ok(true)
        })
    });
    if done.await? {
        Ok(())
    } else {
        Err(Error::Unauthorized)
    }
}

/// Whether this is the user's password; the stored hash that says so.
pub async fn verify_password(
    app: &App,
    who: &Authenticated,
    password: &str,
    peer: &Peer,
) -> Result<Option<String>> {
    let user = who.user.id;
    let password = Password::attempt(password, app.config.passwords.length)?;
    let known = app
        .db
        .read(move |conn| Box::pin(store::account::users::by_id(conn, user)))
        .await?
        .ok_or(Error::Unauthorized)?;
    let charges = RateLimitCheck::confirmation(app, who.session.id);
    charges.consume(app).await?;
    let verdict = charges
        .refund_if_not_evaluated(
            app,
            app.hasher
                .verify(peer, password, known.password_hash.clone())
                .await
                .map_err(Into::into),
        )
        .await?;
    if verdict == Verdict::Wrong {
        return Err(refused(app, who, peer).await);
    }
    charges.reset_now(app).await?;
    Ok(known.password_hash)
}

/// A wrong password of who is signed in, once it stands in the audit trail.
pub(in crate::flows) async fn refused(app: &App, who: &Authenticated, peer: &Peer) -> Error {
    let (recorder, user, session) = (Recorder::new(app, peer), who.user.id, who.session.id);
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            recorder
                .record(
                    conn,
                    Kind::PasswordRefused,
                    Some(user),
                    Some(session),
                    serde_json::Map::new(),
                )
                .await
        })
    });
    work.await
        .map_or_else(Into::into, |()| Error::InvalidPassword)
}

/// How the user may sign in.
pub async fn accounts(app: &App, user: UserId) -> Result<Vec<Account>> {
    Ok(app
        .db
        .read(move |conn| Box::pin(store::account::users::accounts(conn, user)))
        .await?)
}
