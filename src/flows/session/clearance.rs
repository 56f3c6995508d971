//! Asks the gate (`model::login::gate`) with the facts of an account as the database has them, and
//! says its refusals as errors.

use crate::app::App;
use crate::flows::transaction::Tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{
    Account, Cleared, Decision, Evidence, Factors, Refusal, Standing, decide,
};
use crate::model::login::level::Level;
use crate::model::login::policies::Policies;
use crate::model::login::policy::Demand;
use crate::model::login::proof::Proofs;
use crate::store::{self, work};

/// Returns what the gate has to know of an account.
pub(in crate::flows) fn account(user: &User, factors: Factors, now: Timestamp) -> Account {
    Account {
        user: user.id,
        epoch: user.login_epoch,
        standing: standing(user, now),
        two_step: user.two_factor,
        mailbox_verified: user.email_verified,
        factors,
    }
}

fn standing(user: &User, now: Timestamp) -> Standing {
    if user.disabled_at.is_some() {
        Standing::Disabled
    } else if user.is_banned(now) {
        Standing::Banned
    } else {
        Standing::Good
    }
}

/// Returns proofs of this user that were made just now.
pub(in crate::flows) fn evidence(user: &User, proofs: Proofs) -> Evidence {
    Evidence {
        user: user.id,
        epoch: user.login_epoch,
        proofs,
    }
}

/// Asks the gate outside a transaction: the session that it clears begins only if
/// `users.login_epoch` is still the same then.
pub(in crate::flows) async fn decide_now(
    app: &App,
    user: &User,
    evidence: &Evidence,
) -> Result<Decision> {
    let id = user.id;
    let policy = app.config.policies.of(&user.role);
    // Without a second step nothing depends on the factors of the account.
    let factors = if user.two_factor || policy.least > Level::One {
        app.db
            .read(work!(conn => store::login::factors::of_user(conn, id).await))
            .await?
    } else {
        Factors::PASSWORD
    };
    let now = app.now();
    let account = account(user, factors, now);
    Ok(decide(evidence, &account, policy, Demand::default(), now))
}

/// Asks the gate whether a session meets a demand beyond the policy; returns the answer with what the
/// account can prove.
pub(in crate::flows) async fn decide_demand(
    app: &App,
    user: &User,
    evidence: &Evidence,
    demand: Demand,
) -> Result<(Decision, Factors)> {
    let (id, now) = (user.id, app.now());
    let factors = app
        .db
        .read(work!(conn => store::login::factors::of_user(conn, id).await))
        .await?;
    let policy = app.config.policies.of(&user.role);
    let account = account(user, factors, now);
    Ok((decide(evidence, &account, policy, demand, now), factors))
}

/// Asks the gate inside a transaction, about the user's row as it is there.
pub(in crate::flows) async fn decide_in(
    tx: &mut Tx<'_>,
    user: &User,
    evidence: &Evidence,
    policies: &Policies,
) -> Result<Decision> {
    let policy = policies.of(&user.role);
    let factors = store::login::factors::of_user(tx.conn, user.id).await?;
    let now = tx.now();
    let account = account(user, factors, now);
    Ok(decide(evidence, &account, policy, Demand::default(), now))
}

/// Locks the row of a user who signs in or whose session is replaced, and asks the gate about
/// proofs that hold for the row as it is now.
///
/// # Errors
/// [`Error::Unauthorized`] if the user does not exist, and the refusals of [`cleared`].
pub(in crate::flows) async fn clear_in(
    tx: &mut Tx<'_>,
    user: UserId,
    proofs: Proofs,
    policies: &Policies,
) -> Result<(User, Cleared)> {
    let user = store::account::user_changes::lock(tx.conn, user)
        .await?
        .ok_or(Error::Unauthorized)?;
    let evidence = evidence(&user, proofs);
    let cleared = cleared(decide_in(tx, &user, &evidence, policies).await?)?;
    Ok((user, cleared))
}

/// Returns the clearance, or the reason why there is none.
///
/// # Errors
/// [`Error::InsufficientAuthentication`] if more has to be proven.
pub(in crate::flows) fn cleared(decision: Decision) -> Result<Cleared> {
    match decision {
        Decision::Open(cleared) => Ok(cleared),
        Decision::Ask(_) | Decision::Refuse(Refusal::OutOfReach) => {
            Err(Error::InsufficientAuthentication)
        }
        Decision::Refuse(Refusal::Banned) => Err(Error::BannedUser),
        Decision::Refuse(Refusal::Disabled) => Err(Error::UserDisabled),
        Decision::Refuse(Refusal::NotProven | Refusal::Outdated) => Err(Error::Unauthorized),
    }
}
