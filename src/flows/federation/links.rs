//! The identities that are linked to one's own account: listing, linking and unlinking. A change needs a
//! session whose proof is younger than `sessions.fresh_for`; the last way to sign in is not removed,
//! and the other sessions that an identity opened end with its link.

use std::time::Duration;

use crate::app::App;
use crate::crypto::encode;
use crate::crypto::upstream_state::{Linker, UnconfirmedLink, Urls};
use crate::flows::account::two_factor::Own;
use crate::flows::account::ways_in::{self, Ways};
use crate::flows::key::inspect_keys;
use crate::flows::session::end_session::end;
use crate::flows::session::upstream_link::{self, NewLink};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::federation::decide::{self, Link as Decided, Linking};
use crate::model::federation::identity::Identity;
use crate::model::federation::pending_link::PendingLink;
use crate::model::federation::refused::Refused;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::mail::Template;
use crate::model::session::session::RevokedReason;
use crate::random;
pub use crate::store::federation::links::Link;
use crate::store::session::endings::Which;
use crate::store::session::sessions::By;
use crate::store::{self, work};

/// How long a user may think about a link.
const TO_CONFIRM: Duration = Duration::from_secs(10 * 60);

/// Refuses a session whose proofs are too old for a change of a way to sign in.
///
/// # Errors
/// [`Error::SessionNotFresh`].
pub(super) fn require_fresh(app: &App, own: Own<'_>) -> Result<()> {
    if own.has_fresh_proof(app) {
        Ok(())
    } else {
        Err(Error::SessionNotFresh(app.config.sessions.fresh_for))
    }
}

/// Returns the identities that are linked to a user, oldest first.
pub async fn of_user(app: &App, user: UserId) -> Result<Vec<Link>> {
    let links = work!(conn => store::federation::links::of_user(conn, user).await);
    Ok(app.db.read(links).await?)
}

/// What came of linking an identity.
pub(super) enum Linked {
    /// It is linked.
    Done,
    /// The user is asked on a page; the sealed question.
    Ask(String),
}

/// Links an identity to the account of the user who wanted it, if the session in which that was wanted
/// still lives.
///
/// # Errors
/// [`Error::UpstreamRefused`] with the reason.
pub(super) async fn link(
    app: &App,
    linker: Linker,
    identity: &Identity,
    urls: &Urls,
    requester: &Requester,
) -> Result<Linked> {
    // The session in which it is linked was opened in another way.
    let link = PendingLink {
        session: None,
        ..PendingLink::of(identity)
    };
    let new = NewLink::later(app, link);
    let (identity, to_link) = (identity.clone(), new.clone());
    let has_pages = app.config.pages.enabled;
    let decided = app
        .transaction(
            requester,
            tx!(tx => {
                let user = lock(tx, linker).await?;
                let owner = store::federation::links::owner(tx.conn, &to_link.link).await?;
                // By itself only where both sides are verified: the account of a mailbox that was never
                // verified may be a stranger's, to which the browser was signed in.
                let is_sure = user.email_verified || !has_pages;
                let own = identity.mailbox.as_ref();
                let own = own.filter(|mailbox| is_sure && mailbox.email == user.email);
                let decided = decide::link(Linking {
                    user: user.id,
                    linked: owner,
                    own_mailbox: own.map(|mailbox| mailbox.word),
                });
                if decided == Decided::Done {
                    upstream_link::keep(tx, &user, &to_link).await?;
                }
                Ok(decided)
            }),
        )
        .await?;
    match decided {
        Decided::Done => Ok(Linked::Done),
        Decided::Refused(why) => Err(Error::UpstreamRefused(why)),
        Decided::Ask if !app.config.pages.enabled => {
            Err(Error::UpstreamRefused(Refused::EmailDoesNotMatch))
        }
        Decided::Ask => {
            let question = UnconfirmedLink {
                link: new.link,
                linker,
                urls: urls.clone(),
                id: encode(&random::bytes::<16>(&*app.random)),
                expires_at: app.now() + TO_CONFIRM,
            };
            let ring = inspect_keys::loaded(app)?;
            let sealed = question.seal(&ring.masters.current().key);
            sealed.map(Linked::Ask).ok_or(Error::UrlTooLong)
        }
    }
}

/// Locks the user who wants a link, if the session in which that was wanted still lives.
///
/// # Errors
/// [`Error::UpstreamRefused`] if it has ended.
pub(super) async fn lock(tx: &mut Tx<'_>, linker: Linker) -> Result<User> {
    let over = || Error::UpstreamRefused(Refused::UnableToLinkAccount);
    store::account::user_changes::lock_account(tx.conn, linker.user).await?;
    let user = store::account::user_changes::lock(tx.conn, linker.user)
        .await?
        .ok_or_else(over)?;
    let now = tx.now();
    let by = By::Id(linker.session);
    let lives = store::session::sessions::find_live(tx.conn, &by, now)
        .await?
        .is_some_and(|found| {
            found.session.user_id == user.id && found.session.impersonated_by.is_none()
        });
    if lives { Ok(user) } else { Err(over()) }
}

/// Removes an identity from one's own account, and ends the other sessions that it opened.
///
/// # Errors
/// [`Error::AccountNotFound`]; [`Error::SessionNotFresh`]; [`Error::FailedToUnlinkLastAccount`] if the
/// user could not sign in any more.
pub async fn unlink(app: &App, own: Own<'_>, row: &str, requester: &Requester) -> Result<()> {
    let id: EventId = row.parse().map_err(|_| Error::AccountNotFound)?;
    let known = of_user(app, own.user.id).await?;
    if !known.iter().any(|link| link.id == id) {
        return Err(Error::AccountNotFound);
    }
    require_fresh(app, own)?;
    let (user, session) = (own.user.id, own.session.id);
    let ways = Ways::of(app);
    let work = tx!(tx => {
        remove(tx, user, id, Some(session)).await?;
        let left = store::account::user_changes::lock(tx.conn, user)
            .await?
            .ok_or(Error::Unauthorized)?;
        if ways_in::are_left(tx, &left, &ways).await? {
            Ok(())
        } else {
            Err(Error::FailedToUnlinkLastAccount)
        }
    });
    app.transaction(requester, work).await
}

/// Removes an identity from an account, and ends the sessions that it opened, except one. Locks in the
/// order account, user, link, session.
///
/// # Errors
/// [`Error::UserNotFound`]; [`Error::AccountNotFound`].
pub(super) async fn remove(
    tx: &mut Tx<'_>,
    user: UserId,
    id: EventId,
    except: Option<SessionId>,
) -> Result<()> {
    store::account::user_changes::lock_account(tx.conn, user).await?;
    let owner = store::account::user_changes::lock(tx.conn, user)
        .await?
        .ok_or(Error::UserNotFound)?;
    let link = store::federation::links::lock(tx.conn, user, id)
        .await?
        .ok_or(Error::AccountNotFound)?;
    let opened = store::session::origins::of_identity(tx.conn, user, id).await?;
    for session in opened.into_iter().filter(|one| Some(*one) != except) {
        end(tx, Which::One(session), RevokedReason::FactorsChanged).await?;
    }
    store::federation::links::remove(tx.conn, user, id).await?;
    // Sign-ins that wait for a second step and remembered devices rest on what was proven before.
    let now = tx.now();
    store::account::users::raise_login_epoch(tx.conn, user, now).await?;
    let what = detail([
        ("provider", link.provider.as_str().into()),
        ("account", id.to_string().into()),
    ]);
    tx.record(Kind::UpstreamUnlinked, Some(user), None, what.clone())
        .await?;
    tx.queue_notice(Template::UpstreamUnlinked, &owner, what)
        .await
}
