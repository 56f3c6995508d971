//! Links an identity of another issuer to the user whose session it opens, in the transaction of that
//! session.

use crate::app::App;
use crate::flows::error::if_conflict;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Kind;
use crate::model::federation::pending_link::PendingLink;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::mail::Template;
use crate::random;
use crate::store;
use crate::store::federation::links::Kept;

/// An identity that is to be linked.
#[derive(Debug, Clone)]
pub(in crate::flows) struct NewLink {
    /// The identity that is linked.
    pub(in crate::flows) link: PendingLink,
    /// The id of its row, if there is none yet.
    pub(in crate::flows) row: EventId,
    /// Whether the user gets a mail if it was not linked before: not with the account itself.
    pub(in crate::flows) tells: bool,
}

impl NewLink {
    /// Makes the link of an identity whose user has just proven more.
    pub(in crate::flows) fn later(app: &App, link: PendingLink) -> Self {
        Self {
            link,
            row: EventId::at(app.now(), random::bytes(&*app.random)),
            tells: true,
        }
    }
}

/// Links the identity, or writes what its issuer says now into the link that stands. The user is
/// locked.
///
/// # Errors
/// [`Error::SocialAccountAlreadyLinked`] if it is linked to another user.
pub(in crate::flows) async fn keep(tx: &mut Tx<'_>, user: &User, new: &NewLink) -> Result<EventId> {
    let now = tx.now();
    let kept = store::federation::links::keep(tx.conn, user.id, &new.link, new.row, now)
        .await
        .map_err(if_conflict(Error::SocialAccountAlreadyLinked))?;
    if let Kept::New(row) = kept {
        let what = detail([
            ("provider", new.link.provider.as_str().into()),
            ("account", row.to_string().into()),
        ]);
        tx.record(Kind::UpstreamLinked, Some(user.id), None, what.clone())
            .await?;
        if new.tells {
            tx.queue_notice(Template::UpstreamLinked, user, what)
                .await?;
        }
    }
    Ok(kept.row())
}

/// Which identity of another issuer opens a session.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// No identity: a way to sign in of this service.
    Own,
    /// This identity, which is linked when the session begins.
    Upstream(NewLink),
    /// That of the session which this one replaces.
    OfSession(SessionId),
}

impl Origin {
    /// Links the identity, and records which one opened the session.
    ///
    /// # Errors
    /// As [`keep`].
    pub(super) async fn record(
        &self,
        tx: &mut Tx<'_>,
        user: UserId,
        session: SessionId,
    ) -> Result<()> {
        match self {
            Self::Own => {}
            Self::OfSession(before) => {
                store::session::origins::inherit(tx.conn, *before, session).await?;
            }
            Self::Upstream(new) => {
                let user = store::account::users::by_id(tx.conn, user)
                    .await?
                    .ok_or(Error::Unauthorized)?
                    .user;
                let row = keep(tx, &user, new).await?;
                let at_issuer = new.link.session.as_deref();
                store::session::origins::opened(tx.conn, session, row, at_issuer).await?;
            }
        }
        Ok(())
    }
}
