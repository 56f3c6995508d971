//! Repeats one lost event, or finds that this is impossible or unnecessary.

use crate::app::App;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::audit::lost_event::Deed;
use crate::model::audit::lost_event::Exported;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::key::key::State;
use crate::model::key::plan::KeyOperation;
use crate::store::account::user_changes::{Ban, Changes};
use crate::store::session::endings::Which;
use crate::store::{self, work};

use crate::flows::account::claim_mailbox::Profile;
use crate::flows::account::{administer_users, claim_mailbox, manage_users};
use crate::flows::key::change_keys::KeyChange;
use crate::flows::key::{change_keys, open_ring};
use crate::flows::limit::operate_limits;
use crate::flows::permit::Permitted;
use crate::flows::reapply::lost_events;
use crate::flows::session::manage_sessions;
use crate::flows::{Error, Result};

/// The number of sessions in a full page: if there are this many, there may be more.
const MANY: usize = 100;

/// The reason of a ban that was lost: the audit trail does not contain the original one.
const LOST_BAN: &str = "banned before the database was restored to an earlier state";

/// The outcome of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was repeated, or would be; the text says what was done.
    Done(String),
    /// A part of it was repeated, or would be; the text says which, and what an operator has to do.
    Partly(String),
    /// The database already has this state, or a later event of the export decides.
    Already,
    /// It is not repeated: a decision at this time, after the lost event, stands.
    DecidedAnew(Timestamp),
    /// It cannot be repeated; the text says why, and what an operator can do.
    NotPossible(String),
}

impl Outcome {
    /// Returns whether a later run can skip the event. What cannot be done is listed again.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::NotPossible(_))
    }
}

pub(super) async fn carry_out(
    app: &App,
    event: &Exported,
    deed: Deed,
    dry_run: bool,
    requester: &Requester,
) -> Result<Outcome> {
    let user = match deed.user() {
        Some(id) => match find(app, id).await? {
            Some(user) => Some(user),
            None if matches!(deed, Deed::Delete(_)) => return Ok(Outcome::Already),
            None => {
                return Ok(Outcome::NotPossible(
                    "the account is not in this database".into(),
                ));
            }
        },
        None => None,
    };
    if is_so(app, &deed, user.as_ref()).await? {
        return Ok(Outcome::Already);
    }
    if let Some(at) = lost_events::decided_since(app, event, deed.overruled_by()).await? {
        return Ok(Outcome::DecidedAnew(at));
    }
    match act(app, event, deed, user, dry_run, requester).await {
        // An error by a rule, such as that of the last admin, is reported to the operator; any
        // other error ends the run.
        Err(error @ (Error::LastAdmin | Error::NonExistentRole)) => {
            Ok(Outcome::NotPossible(error.to_string()))
        }
        outcome => outcome,
    }
}

/// Returns whether the database already has the state after the event, or the time of what it began
/// is over.
async fn is_so(app: &App, deed: &Deed, user: Option<&User>) -> Result<bool> {
    let now = app.now();
    Ok(match (deed, user) {
        (Deed::EndSession(session), _) => !is_live(app, *session).await?,
        (Deed::Ban(_, Some(end)), _) if *end <= now => true,
        (Deed::Ban(_, end), Some(user)) => {
            user.is_banned(now)
                && user
                    .ban_expires_at
                    .is_none_or(|stands| end.is_some_and(|end| end <= stands))
        }
        (Deed::Unban(_), Some(user)) => !user.banned,
        (Deed::Disable(_, disabled), Some(user)) => user.disabled_at.is_some() == *disabled,
        (Deed::SetRole(_, role), Some(user)) => user.role == *role,
        (Deed::Block(network, end, _), _) => {
            let blocks = operate_limits::blocks(app, Permitted::as_operator()).await?;
            *end <= now
                || blocks
                    .iter()
                    .any(|block| block.network == *network && block.ends_at >= *end)
        }
        (Deed::Unblock(network), _) => !operate_limits::blocks(app, Permitted::as_operator())
            .await?
            .iter()
            .any(|block| block.network == *network),
        _ => false,
    })
}

async fn act(
    app: &App,
    event: &Exported,
    deed: Deed,
    user: Option<User>,
    dry_run: bool,
    requester: &Requester,
) -> Result<Outcome> {
    Ok(match deed {
        Deed::EndSession(session) => {
            if !dry_run {
                manage_sessions::revoke(app, Permitted::as_operator(), Which::One(session), requester).await?;
            }
            Outcome::Done(format!("session {session} ends"))
        }
        Deed::EndSessions(user, remark) => end_sessions(app, event, user, remark, dry_run, requester).await?,
        Deed::EndActing(user) => {
            if !dry_run && manage_sessions::revoke(app, Permitted::as_operator(), Which::ActedBy(user), requester).await?.is_empty() {
                return Ok(Outcome::Already);
            }
            Outcome::Done("the sessions in which the user impersonates another user end".into())
        }
        Deed::EndEverything => match lost_events::decided_since(app, event, &[Kind::SessionRevoked]).await? {
            Some(_) => Outcome::Already,
            None => Outcome::NotPossible("every session had ended, and every link in a mail; run `countersign sessions revoke --all` again".into()),
        },
        Deed::Ban(id, ends_at) => {
            if !dry_run {
                let reason = user.filter(|user| user.banned).and_then(|user| user.ban_reason).unwrap_or_else(|| LOST_BAN.into());
                let changes = Changes { ban: Some(Ban::Set { reason, ends_at }), ..Changes::default() };
                administer_users::update(app, Permitted::as_operator(), id, changes, requester).await?;
            }
            Outcome::Done(ends_at.map_or_else(|| "banned without end".to_owned(), |end| format!("banned until {end}")))
        }
        Deed::Unban(user) => {
            if !dry_run {
                administer_users::unban(app, Permitted::as_operator(), user, requester).await?;
            }
            Outcome::Done("the ban is lifted".into())
        }
        Deed::Disable(user, disabled) => {
            if !dry_run {
                manage_users::set_disabled(app, Permitted::as_operator(), user, disabled, requester).await?;
            }
            Outcome::Done(if disabled { "disabled".into() } else { "enabled".into() })
        }
        Deed::SetRole(user, role) => {
            if !dry_run {
                administer_users::set_role(app, Permitted::as_operator(), user, role.clone(), requester).await?;
            }
            Outcome::Done(format!("the role is {role}"))
        }
        Deed::Delete(user) => {
            if !dry_run {
                administer_users::remove(app, Permitted::as_operator(), user, requester).await?;
            }
            Outcome::Done("deleted".into())
        }
        Deed::Reclaim { user, forget_profile } => {
            if let Some(at) = lost_events::decided_since(app, event, &[Kind::PasswordChanged]).await? {
                let remark = format!(
                    "the password was changed at {at}: make sure that the owner of the mailbox did it, or set one with `countersign users set-password`"
                );
                return Ok(Outcome::NotPossible(remark));
            }
            if !dry_run {
                let profile = if forget_profile { Profile::Forgotten } else { Profile::Kept };
                claim_mailbox::reclaim_again(app, user, profile, requester).await?;
            }
            Outcome::Partly(
                "the password from before the owner of the mailbox proved it is removed, and every session ends; the owner has to set a new one by mail".into(),
            )
        }
        Deed::Block(network, end, reason) => {
            if !dry_run {
                operate_limits::block(app, Permitted::as_operator(), network, end.since(app.now()), &reason, requester).await?;
            }
            Outcome::Done(format!("{network} is blocked until {end}"))
        }
        Deed::Unblock(network) => {
            if !dry_run {
                operate_limits::unblock(app, Permitted::as_operator(), network, requester).await?;
            }
            Outcome::Done(format!("the block of {network} is lifted"))
        }
        Deed::RevokeKeys(kids) => revoke_keys(app, &kids, dry_run, event, requester).await?,
        Deed::Say(remark) => Outcome::NotPossible(remark.into()),
        Deed::Nothing => Outcome::Already,
    })
}

async fn end_sessions(
    app: &App,
    event: &Exported,
    user: UserId,
    remark: &str,
    dry_run: bool,
    requester: &Requester,
) -> Result<Outcome> {
    let live = manage_sessions::list(app, user, manage_sessions::FIRST)
        .await?
        .len();
    if !dry_run && live > 0 {
        manage_sessions::revoke_of_user(app, Permitted::as_operator(), user, requester).await?;
    }
    let many = if live < MANY { "" } else { "at least " };
    let kind = Kind::parse(&event.entry.kind)
        .filter(|kind| matches!(kind, Kind::PasswordChanged | Kind::EmailChanged));
    Ok(
        match lost_events::decided_since(app, event, kind.as_slice()).await? {
            Some(at) => Outcome::Done(format!(
                "{many}{live} session(s) end; it was changed again at {at}, and that change stands"
            )),
            None => Outcome::Partly(format!("{many}{live} session(s) end; {remark}")),
        },
    )
}

async fn find(app: &App, user: UserId) -> Result<Option<User>> {
    match manage_users::find(app, Permitted::as_operator(), &user.to_string()).await {
        Ok(user) => Ok(Some(user)),
        Err(Error::UserNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn is_live(app: &App, session: SessionId) -> Result<bool> {
    let now = app.now();
    let by = store::session::sessions::By::Id(session);
    Ok(app
        .db
        .read(work!(conn => store::session::sessions::find_live(conn, &by, now).await))
        .await?
        .is_some())
}

async fn revoke_keys(
    app: &App,
    kids: &[String],
    dry_run: bool,
    event: &Exported,
    requester: &Requester,
) -> Result<Outcome> {
    let ring = open_ring::read_ring(app).await?;
    let mut published: Vec<_> = ring
        .keys()
        .filter(|key| key.state.is_published() && kids.contains(&key.kid))
        .collect();
    // Revoking the active key makes the standby key active, so a standby key that is to be revoked
    // has to go first.
    published.sort_by_key(|key| key.state == State::Active);
    if published.is_empty() {
        return Ok(Outcome::Already);
    }
    for key in &published {
        if !dry_run {
            let reason = event.detail["reason"]
                .as_str()
                .unwrap_or("revoked before the database was restored to an earlier state");
            change_keys::change(
                app,
                Permitted::as_operator(),
                KeyChange::new(KeyOperation::Revoke(key.kid.clone()), requester.clone())
                    .with_reason(reason),
            )
            .await?;
        }
    }
    Ok(Outcome::Done(format!(
        "revoked: {}",
        published
            .iter()
            .map(|key| key.kid.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    )))
}
