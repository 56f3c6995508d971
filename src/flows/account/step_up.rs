//! Step-up authentication (RFC 9470): whether the own session is strong and young enough for what a
//! backend or a page demands, what would have to be proven besides, and the proof of the password again.
//! `two_factor_session` has the proofs by a code. Each proof replaces the session by a new one.

use crate::app::App;
use crate::flows::login::email_code;
use crate::flows::login::factor_code::RightCode;
use crate::flows::session::clearance;
use crate::flows::session::open_session::SessionTokens;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::login::gate::{Decision, Factors, Steps};
use crate::model::login::level::Level;
use crate::model::login::policy::{Demand, Rules};
use crate::model::login::strength::level;

use super::two_factor::Own;
use super::two_factor_session::{Change, replace};
use super::update_user::prove_password;

/// Whether a session meets a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does; the level that was reached.
    Suffices(Level),
    /// It does not, and this would lead further.
    Lacks(Lack),
}

/// What a session lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// What can be proven, each by itself.
    pub steps: Steps,
    /// Whether a sign-in by email would be such a proof.
    pub by_mail: bool,
    /// The factors that the user can enrol, because no enrolled one leads to the level.
    pub enrol: Steps,
}

/// Compares the own session with a demand.
///
/// # Errors
/// [`Error::InsufficientAuthentication`] if the user cannot reach the level in any way;
/// [`Error::Unauthorized`] and the like if the user may not sign in any more.
pub async fn standing(app: &App, own: Own<'_>, demand: Demand) -> Result<Standing> {
    let proofs = own.session.proofs;
    let evidence = clearance::evidence(&own.user, proofs);
    let (decision, factors) = clearance::decide_demand(app, &own.user, &evidence, demand).await?;
    let policy = app.config.policies.of(&own.user.role);
    let asked = match decision {
        Decision::Open(_) => {
            let reached = level(&proofs, policy).unwrap_or(Level::One);
            return Ok(Standing::Suffices(reached));
        }
        Decision::Ask(steps) => steps,
        Decision::Refuse(_) => return Err(refusal(clearance::cleared(decision))),
    };
    let need = policy
        .need(own.user.two_factor)
        .max(demand.level.unwrap_or(Level::One));
    Ok(Standing::Lacks(Lack {
        steps: asked,
        by_mail: asked.contains(Steps::MAILBOX) && email_code::is_offered(app),
        enrol: enrollable(app, asked, factors, need, policy.rules),
    }))
}

/// Returns the factors that the user can enrol to go on. The mailbox comes first, as in a sign-in, unless
/// no mail could prove it.
fn enrollable(app: &App, asked: Steps, factors: Factors, need: Level, rules: Rules) -> Steps {
    let enrols = Steps::ENROL_TOTP | Steps::ENROL_PASSKEY;
    let devices = Factors::TOTP | Factors::PASSKEY | Factors::VERIFIED_PASSKEY;
    let waits_for_mailbox = asked.contains(Steps::MAILBOX)
        && !email_code::is_offered(app)
        && need > Level::One
        && !factors.intersects(devices)
        && rules.contains(Rules::ENROLMENT);
    if waits_for_mailbox && need == Level::PhishingResistant {
        Steps::ENROL_PASSKEY
    } else if waits_for_mailbox {
        enrols
    } else {
        asked & enrols
    }
}

fn refusal<T>(outcome: Result<T>) -> Error {
    outcome.err().unwrap_or(Error::InsufficientAuthentication)
}

/// Proves the password of the user again. A new session replaces the own one.
///
/// # Errors
/// [`Error::InvalidPassword`] if it is wrong, or if the user has none; [`Error::Limited`].
pub async fn by_password(
    app: &App,
    own: Own<'_>,
    password: &str,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    prove_password(app, &own, password, requester)
        .await?
        .ok_or(Error::InvalidPassword)?;
    let right = RightCode::Password {
        epoch: own.user.login_epoch,
    };
    replace(app, own, Change::SteppedUp(right), requester).await
}
