//! What the proof of a mailbox changes in the database: the email address is marked as verified,
//! and an account that nothing ties to the owner of the mailbox is taken over by that owner.

use serde_json::Map;

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::profile::{DisplayName, ImageUrl};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::account::user_changes::{Changes, change};
use crate::store::session::endings::Which;

use crate::flows::error::if_conflict;
use crate::flows::session::end_session::end;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// What happens to the name and picture of an account that the owner of its mailbox takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) enum Profile {
    /// They stay: the owner asked for a new password, and so knows the account.
    Kept,
    /// They are removed: the owner followed a link that another person may have asked for, so the
    /// name may be a stranger's text, which later mails to the owner would contain.
    Forgotten,
}

impl Profile {
    /// Returns the text in the audit trail.
    fn as_str(self) -> &'static str {
        if self == Self::Kept {
            "kept"
        } else {
            "forgotten"
        }
    }

    fn changes(self) -> Changes {
        match self {
            Self::Kept => Changes::default(),
            Self::Forgotten => Changes {
                name: Some(DisplayName::default()),
                image: Some(ImageUrl::default()),
                ..Changes::default()
            },
        }
    }
}

/// Makes the account belong to the owner of the mailbox alone: every previous password, passkey,
/// session, known device and link ends. The account and the user's row are locked.
pub(in crate::flows) async fn claim(
    tx: &mut Tx<'_>,
    user: &User,
    new_email: Option<&Email>,
    profile: Profile,
) -> Result<User> {
    let had_password = store::account::users::by_id(tx.conn, user.id)
        .await?
        .is_some_and(|found| found.password_hash.is_some());
    let had_links = !store::federation::links::of_user(tx.conn, user.id)
        .await?
        .is_empty();
    let had_sessions = take_everything(tx, user.id).await?;
    let mut changes = Changes::default();
    if had_password || had_links || had_sessions {
        let what = detail([("profile", profile.as_str().into())]);
        tx.record(Kind::AccountReclaimed, Some(user.id), None, what)
            .await?;
        changes = profile.changes();
    }
    mark(tx, user, new_email, changes).await
}

/// Ends every password, passkey, link and session of the account, and the sessions in which its user
/// impersonates another one. Returns whether the user had any of them beside the password. Second factors that were enrolled
/// before the mailbox was ever verified may be a stranger's and end, too; others stay, so that no
/// mailbox alone gets past a device.
async fn take_everything(tx: &mut Tx<'_>, user: UserId) -> Result<bool> {
    let now = tx.now();
    // A passkey opens sessions by itself, like a password.
    let passkeys = store::login::factors::Scope::PASSKEYS;
    let all = store::login::factors::Scope::ALL;
    let is_proven = store::login::totp::is_of_a_proven_mailbox(tx.conn, user).await?;
    let scope = if is_proven { passkeys } else { all };
    let had_factors = store::login::factors::remove(tx.conn, user, scope, false, now).await?;
    if had_factors {
        let why = detail([("reason", "reclaimed".into())]);
        tx.record(Kind::FactorsReset, Some(user), None, why).await?;
    }
    store::account::users::drop_accounts(tx.conn, user, now).await?;
    store::mails::end_tokens(tx.conn, user, now).await?;
    let all = Which::OfUser { user, except: None };
    let ended = end(tx, all, RevokedReason::PasswordChanged).await?;
    end(tx, Which::ActedBy(user), RevokedReason::Revoked).await?;
    Ok(had_factors || !ended.is_empty())
}

/// Repeats what [`claim`] removed, after the database was restored to an earlier state: password,
/// sessions and links, and the profile if it was forgotten.
pub(in crate::flows) async fn reclaim_again(
    app: &App,
    user: UserId,
    profile: Profile,
    requester: &Requester,
) -> Result<()> {
    app.transaction(
        requester,
        tx!(tx => {
            store::account::user_changes::lock_account(tx.conn, user).await?;
            store::account::user_changes::lock(tx.conn, user).await?;
            take_everything(tx, user).await?;
            let now = tx.now();
            change(tx.conn, user, &profile.changes(), now).await?;
            let what = detail([("profile", profile.as_str().into())]);
            tx.record(Kind::AccountReclaimed, Some(user), None, what).await
        }),
    )
    .await
}

pub(super) async fn mark(
    tx: &mut Tx<'_>,
    user: &User,
    new_email: Option<&Email>,
    changes: Changes,
) -> Result<User> {
    let changes = Changes {
        email: new_email.cloned(),
        email_verified: Some(true),
        ..changes
    };
    let now = tx.now();
    let proven = change(tx.conn, user.id, &changes, now)
        .await
        .map_err(if_conflict(Error::MailTokenInvalid))?
        .ok_or(Error::UserNotFound)?;
    let kind = if new_email.is_some() {
        Kind::EmailChanged
    } else {
        Kind::EmailVerified
    };
    tx.record(kind, Some(user.id), None, Map::new()).await?;
    // The owner of the mailbox reads in this language.
    tx.learn_language(user.id).await?;
    Ok(proven)
}
