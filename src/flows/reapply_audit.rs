//! Doing again what a database has lost by going back (a failover, a restore), from an export of the audit trail that was kept elsewhere: sign-outs,
//! revocations, bans, roles, deletions. What the trail does not hold (passwords, addresses, new accounts) cannot be done again and is said.
//!
//! An event that the database still holds was not lost and is passed over. Each one that was done is recorded with its id, so a second run does nothing.

use std::collections::HashSet;

use serde_json::Value;

use crate::app::App;
use crate::model::audit::{Kind, Peer};
use crate::model::id::{SessionId, UserId};
use crate::model::key::{State, Wish};
use crate::model::lost_event::Deed;
pub use crate::model::lost_event::Exported;
use crate::model::time::Timestamp;
use crate::store;
use crate::store::audit::Filter;
use crate::store::endings::Which;

use super::authority::Authority;
use super::change_keys::{self, Order};
use super::record::{Recorder, detail};
use super::{Error, Result, administer_users, load_keys, manage_sessions, manage_users, read_audit};

/// So many sessions are a whole page of them: there may be more.
const MANY: usize = 100;

/// What came of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done again, or would be; in words.
    Done(String),
    /// A part of it was done again, or would be; in words, with what an operator has to do.
    Partly(String),
    /// The database is already so.
    Already,
    /// It cannot be done again; in words, with what an operator can do.
    NotPossible(String),
}

/// One lost event and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it happened.
    pub at: Timestamp,
    /// What it was.
    pub kind: String,
    /// Whom it concerned.
    pub subject: Option<UserId>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Does the lost events of an export again, in the order in which they happened; with `dry_run` it only says what it would do.
pub async fn reapply(app: &App, mut events: Vec<Exported>, dry_run: bool, peer: &Peer) -> Result<Vec<Line>> {
    events.sort_by_key(|event| (event.at, event.id));
    let done = reapplied_before(app).await?;
    let mut lines = Vec::new();
    for event in events {
        if done.contains(&event.id.to_string()) || is_held(app, &event).await? {
            continue;
        }
        let deed = event.deed();
        if matches!(deed, Deed::Nothing) {
            continue;
        }
        let outcome = carry_out(app, &event, deed, dry_run, peer).await?;
        if !dry_run && matches!(outcome, Outcome::Done(_) | Outcome::Partly(_)) {
            record(app, &event, peer).await?;
        }
        lines.push(Line { at: event.at, kind: event.kind, subject: event.subject, outcome });
    }
    Ok(lines)
}

/// The ids of events that an earlier run has done.
async fn reapplied_before(app: &App) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    let mut after = (Timestamp(0), String::new());
    loop {
        let filter = Filter { kind: Some(Kind::Reapplied.as_str().into()), after: Some(after), ..Filter::default() };
        let page = read_audit::list(app, Authority::Operator, filter, read_audit::PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = (last.at, last.id.clone());
        let event = |text: &str| serde_json::from_str::<Value>(text).ok()?["event"].as_str().map(ToOwned::to_owned);
        found.extend(page.iter().filter_map(|entry| event(&entry.detail)));
    }
}

/// Whether the database holds the event, or has deleted it for its age.
async fn is_held(app: &App, event: &Exported) -> Result<bool> {
    let (at, id, writer, sequence) = (event.at, event.id.to_string(), event.writer.clone(), event.sequence);
    Ok(app.db.read(move |conn| Box::pin(async move { store::audit::holds(conn, at, &id, &writer, sequence).await })).await?)
}

async fn carry_out(app: &App, event: &Exported, deed: Deed, dry_run: bool, peer: &Peer) -> Result<Outcome> {
    let by = Authority::Operator;
    let outcome = match deed {
        Deed::EndSession(session) => {
            if !is_live(app, session).await? {
                return Ok(Outcome::Already);
            }
            if !dry_run {
                manage_sessions::revoke(app, Which::One(session), peer).await?;
            }
            Outcome::Done(format!("session {session} ends"))
        }
        Deed::EndSessions(user, remark) => {
            if find(app, user).await?.is_none() {
                return Ok(gone());
            }
            let live = manage_sessions::list(app, user, manage_sessions::FIRST).await?.len();
            if !dry_run && live > 0 {
                manage_sessions::revoke_of_user(app, user, None, peer).await?;
            }
            let many = if live < MANY { "" } else { "at least " };
            Outcome::Partly(format!("{many}{live} session(s) end; {remark}"))
        }
        Deed::Ban(user, ends_at) => match find(app, user).await? {
            None => gone(),
            Some(found) if found.is_banned(app.now()) || ends_at.is_some_and(|end| end <= app.now()) => Outcome::Already,
            Some(_) => {
                if !dry_run {
                    let left = ends_at.map(|end| end.since(app.now()));
                    administer_users::ban(app, by, user, Some("banned before the database went back".into()), left, peer).await?;
                }
                Outcome::Done(ends_at.map_or_else(|| "banned".to_owned(), |end| format!("banned until {end}")))
            }
        },
        Deed::Unban(user) => match find(app, user).await? {
            None => gone(),
            Some(found) if !found.banned => Outcome::Already,
            Some(_) => {
                if !dry_run {
                    administer_users::unban(app, by, user, peer).await?;
                }
                Outcome::Done("the ban is lifted".into())
            }
        },
        Deed::Disable(user, disabled) => match find(app, user).await? {
            None => gone(),
            Some(found) if found.disabled_at.is_some() == disabled => Outcome::Already,
            Some(_) => {
                if !dry_run {
                    manage_users::set_disabled(app, user, disabled, peer).await?;
                }
                Outcome::Done(if disabled { "disabled".into() } else { "enabled".into() })
            }
        },
        Deed::SetRole(user, role) => match find(app, user).await? {
            None => gone(),
            Some(found) if found.role == role => Outcome::Already,
            Some(_) => {
                if !dry_run && let Err(error) = administer_users::set_role(app, by, user, role.clone(), peer).await {
                    return refused(error);
                }
                Outcome::Done(format!("the role is {role}"))
            }
        },
        Deed::Delete(user) => {
            if find(app, user).await?.is_none() {
                return Ok(Outcome::Already);
            }
            if !dry_run && let Err(error) = administer_users::remove(app, by, user, peer).await {
                return refused(error);
            }
            Outcome::Done("deleted".into())
        }
        Deed::RevokeKeys(kids) => revoke_keys(app, &kids, dry_run, event, peer).await?,
        Deed::Say(remark) => Outcome::NotPossible(remark.into()),
        Deed::Nothing => Outcome::Already,
    };
    Ok(outcome)
}

/// A refusal by a rule, such as that of the last admin, is for the operator; anything else ends the run.
fn refused(error: Error) -> Result<Outcome> {
    match error {
        Error::LastAdmin | Error::NonExistentRole => Ok(Outcome::NotPossible(error.to_string())),
        other => Err(other),
    }
}

fn gone() -> Outcome {
    Outcome::NotPossible("the account is not in this database".into())
}

async fn find(app: &App, user: UserId) -> Result<Option<crate::model::user::User>> {
    match manage_users::find(app, &user.to_string()).await {
        Ok(user) => Ok(Some(user)),
        Err(Error::UserNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn is_live(app: &App, session: SessionId) -> Result<bool> {
    let now = app.now();
    let by = store::sessions::By::Id(session);
    Ok(app.db.read(move |conn| Box::pin(async move { store::sessions::find_live(conn, &by, now).await })).await?.is_some())
}

async fn revoke_keys(app: &App, kids: &[String], dry_run: bool, event: &Exported, peer: &Peer) -> Result<Outcome> {
    let ring = load_keys::read_ring(app).await?;
    let mut published: Vec<_> = ring.keys.iter().filter(|key| key.state.is_published() && kids.contains(&key.kid)).collect();
    // Revoking the active key puts the standby in its place, which must not be one of them.
    published.sort_by_key(|key| key.state == State::Active);
    if published.is_empty() {
        return Ok(Outcome::Already);
    }
    for key in &published {
        if !dry_run {
            let reason = event.detail["reason"].as_str().unwrap_or("revoked before the database went back");
            change_keys::change(app, Order::new(Wish::Revoke(key.kid.clone()), peer.clone()).because(reason)).await?;
        }
    }
    Ok(Outcome::Done(format!("revoked: {}", published.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>().join(", "))))
}

async fn record(app: &App, event: &Exported, peer: &Peer) -> Result<()> {
    let recorder = Recorder::new(app, peer);
    let what = detail([("event", event.id.to_string().into()), ("kind", event.kind.clone().into())]);
    let (subject, session) = (event.subject, event.session);
    Ok(app.db.write(move |conn| Box::pin(async move { recorder.record(conn, Kind::Reapplied, subject, session, what).await })).await?)
}
