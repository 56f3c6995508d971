//! Looks up what a sign-in with an identity depends on, and asks the decision
//! (`model::federation::decide`).

use crate::app::App;
use crate::config::upstream::{Provider, UpstreamSignUp};
use crate::flows::Result;
use crate::model::account::user::User;
use crate::model::federation::decide::{self, Entry, Holder, Mailbox, SignUp};
use crate::model::federation::identity::Identity;
use crate::model::federation::pending_link::PendingLink;
use crate::model::kernel::id::UserId;
use crate::store::{self, Conn};

/// Returns whether an identity without an account may make one.
pub(super) fn sign_up(
    app: &App,
    provider: &Provider,
    identity: &Identity,
    is_requested: bool,
) -> SignUp {
    let rules = &app.config.sign_up;
    let is_wanted = match provider.sign_up {
        UpstreamSignUp::Always => true,
        UpstreamSignUp::Requested => is_requested,
        UpstreamSignUp::Never => false,
    };
    if !rules.enabled || !is_wanted {
        return SignUp::Disabled;
    }
    match &identity.mailbox {
        Some(mailbox) if !rules.domains.admit(&mailbox.email) => SignUp::DomainNotAllowed,
        _ => SignUp::Allowed,
    }
}

/// What an identity leads to, and the user whose account it is.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) entry: Entry,
    /// The user, unless the account is to be made or nothing follows.
    pub(super) user: Option<User>,
    /// Whether the identity is linked to a user.
    pub(super) is_linked: bool,
}

/// Decides by what the database says now.
pub(super) async fn plan(
    conn: &mut Conn,
    identity: &Identity,
    link: &PendingLink,
    sign_up: SignUp,
) -> store::Result<Plan> {
    let linked = store::federation::links::owner(conn, link).await?;
    let mailbox = match &identity.mailbox {
        None => None,
        Some(mailbox) => {
            let found = store::account::users::by_email(conn, &mailbox.email).await?;
            let holder = found.map(|found| Holder {
                user: found.user.id,
                verified: found.user.email_verified,
            });
            Some(Mailbox {
                word: mailbox.word,
                holder,
            })
        }
    };
    let entry = decide::sign_in(decide::SignIn {
        linked,
        mailbox,
        sign_up,
    });
    let user = match user_of(entry) {
        None => None,
        Some(id) => store::account::users::by_id(conn, id)
            .await?
            .map(|found| found.user),
    };
    let is_linked = linked.is_some();
    Ok(Plan {
        entry,
        user,
        is_linked,
    })
}

fn user_of(entry: Entry) -> Option<UserId> {
    match entry {
        Entry::Linked(user) | Entry::Link(user) | Entry::Reclaim(user) => Some(user),
        Entry::SignUp { .. } | Entry::Refused(_) => None,
    }
}

/// As [`plan`], outside a transaction.
pub(super) async fn look(
    app: &App,
    identity: &Identity,
    link: &PendingLink,
    sign_up: SignUp,
) -> Result<Plan> {
    let (identity, link) = (identity.clone(), link.clone());
    let look = store::work!(conn => plan(conn, &identity, &link, sign_up).await);
    Ok(app.db.read(look).await?)
}
