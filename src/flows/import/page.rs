//! A page of rows: read from the file, prepared outside the transaction, and carried out in it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::hashes;
use super::request::{FileFacts, Request, not_of_the_format};
use crate::app::App;
use crate::flows::error::if_conflict;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};
use crate::import::{Row, Rows};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::federation::pending_link::PendingLink;
use crate::model::import::batch::{Counts, DoneRow};
use crate::model::import::candidate::Candidate;
use crate::model::import::judge::{Creation, HashFound, Verdict, judge};
use crate::model::import::policy::Policy;
use crate::model::import::reason::{Reason, RowError};
use crate::model::kernel::id::{EventId, UserId};
use crate::random;
use crate::store::{self, import};

/// Rows that are carried out in one transaction.
pub(super) const PAGE: usize = 500;

/// Reads the next rows of a file, at most so many.
pub(super) fn next(rows: &mut Rows, most: usize) -> Result<Vec<Row>> {
    let page: std::result::Result<Vec<Row>, _> = rows.by_ref().take(most).collect();
    page.map_err(|error| not_of_the_format(&error))
}

/// A row with everything that a transaction cannot make.
#[derive(Clone)]
pub(super) enum Prepared {
    /// A row that cannot be read.
    Refused(RowError),
    /// A row of a user.
    User(Box<PreparedUser>),
}

/// The row of a user, with the ids and the hash of the rows that it would become.
#[derive(Clone)]
pub(super) struct PreparedUser {
    candidate: Candidate,
    repeated: Option<Reason>,
    found: HashFound,
    hash: Option<String>,
    user: UserId,
    password: EventId,
    accounts: Vec<EventId>,
}

/// Prepares the rows of a page.
pub(super) async fn prepare(
    app: &App,
    request: &Request,
    facts: &FileFacts,
    page: Vec<Row>,
    requester: &Requester,
) -> Result<Vec<Prepared>> {
    let mut prepared = Vec::with_capacity(page.len());
    let event_id = || EventId::at(app.now(), random::bytes(&*app.random));
    for row in page {
        prepared.push(match row {
            Err(error) => Prepared::Refused(error),
            Ok(candidate) => {
                let (found, read) = hashes::read(candidate.hash.as_ref(), &request.parameters);
                let repeated = facts.repeated.get(&candidate.place.number).cloned();
                // A hash of a row that is refused is not stored, so it is not wrapped either.
                let read = read.filter(|_| repeated.is_none());
                let hash = match read {
                    Some(read) => Some(hashes::stored(app, read, requester).await?),
                    None => None,
                };
                Prepared::User(Box::new(PreparedUser {
                    repeated,
                    found,
                    hash,
                    user: UserId::random(random::bytes(&*app.random)),
                    password: event_id(),
                    accounts: candidate.accounts.iter().map(|_| event_id()).collect(),
                    candidate,
                }))
            }
        });
    }
    Ok(prepared)
}

/// The transaction that carries a page out.
pub(super) struct Writer<'w, 't> {
    pub(super) tx: &'w mut Tx<'t>,
    pub(super) batch: EventId,
    pub(super) source: &'w str,
    pub(super) policy: &'w Policy,
    /// The users who were created, with the details of their events.
    created: Vec<(UserId, Map<String, Value>)>,
    /// The ids that users had in the source.
    foreign_ids: Vec<(String, UserId)>,
    /// What was done about the rows.
    done: Vec<DoneRow>,
}

impl<'w, 't> Writer<'w, 't> {
    /// Begins a page in its transaction.
    pub(super) fn new(
        tx: &'w mut Tx<'t>,
        batch: EventId,
        source: &'w str,
        policy: &'w Policy,
    ) -> Self {
        Self {
            tx,
            batch,
            source,
            policy,
            created: Vec::new(),
            foreign_ids: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Carries the rows out and records the users who are created.
    ///
    /// # Errors
    /// [`Error::UserExists`] if another transaction has meanwhile taken an email address, an id or an
    /// account of a row.
    pub(super) async fn write(mut self, page: &[Prepared]) -> Result<Counts> {
        let mut counts = Counts::default();
        for row in page {
            let (done, verdict) = match row {
                Prepared::Refused(error) => {
                    let verdict = Verdict::Refuse(error.reason.clone());
                    (DoneRow::of(error.place, &verdict), verdict)
                }
                Prepared::User(user) => Box::pin(self.carry_out(user)).await?,
            };
            counts.add(&verdict);
            if !matches!(verdict, Verdict::Unchanged(..)) {
                self.done.push(done);
            }
        }
        import::foreign_ids::insert_all(self.tx.conn, self.source, &self.foreign_ids, self.batch)
            .await
            .map_err(if_conflict(Error::UserExists))?;
        import::rows::insert_all(self.tx.conn, self.batch, &self.done).await?;
        let recorder = Arc::clone(&self.tx.recorder);
        recorder
            .record_users(self.tx.conn, Kind::UserCreated, self.created)
            .await?;
        Ok(counts)
    }

    async fn carry_out(&mut self, row: &PreparedUser) -> Result<(DoneRow, Verdict)> {
        let candidate = &row.candidate;
        let mut existing =
            import::foreign_ids::existing(self.tx.conn, self.source, candidate).await?;
        existing.repeated.clone_from(&row.repeated);
        existing.hash = row.found.clone();
        let mut verdict = judge(candidate, &existing, self.policy);
        if let Verdict::Link(user) = verdict
            && !self.is_still_verified(user, candidate).await?
        {
            verdict = Verdict::Refuse(Reason::NotVerifiedHere);
        }
        let mut done = DoneRow::of(candidate.place, &verdict);
        match &verdict {
            Verdict::Create(creation) => {
                let user = self.create(row, creation).await?;
                self.add_accounts(row, user).await?;
                done.user = Some(user);
            }
            Verdict::Link(user) => {
                done.added = self.add_accounts(row, *user).await?;
                done.user = Some(*user);
            }
            Verdict::Unchanged(..) | Verdict::Skip(_) | Verdict::Refuse(_) => {}
        }
        if let Some(user) = done.user {
            let foreign_id = candidate.foreign_id.clone();
            self.foreign_ids.push((foreign_id, user));
        }
        Ok((done, verdict))
    }

    /// Locks the user to whom a row is linked, and looks once more.
    async fn is_still_verified(&mut self, user: UserId, candidate: &Candidate) -> Result<bool> {
        let locked = store::account::user_changes::lock(self.tx.conn, user).await?;
        Ok(locked.is_some_and(|user| user.email_verified && user.email == candidate.email))
    }

    async fn create(&mut self, row: &PreparedUser, creation: &Creation) -> Result<UserId> {
        let candidate = &row.candidate;
        let now = self.tx.now();
        let ban = candidate.ban.as_ref();
        let user = User {
            id: creation.kept_id.unwrap_or(row.user),
            email: candidate.email.clone(),
            email_verified: creation.email_verified,
            name: candidate.name.to_string(),
            image: candidate.image.clone().map(String::from),
            role: creation.role.clone(),
            banned: ban.is_some(),
            ban_reason: ban.map(|ban| ban.reason.to_string()),
            ban_expires_at: ban.and_then(|ban| ban.ends_at),
            disabled_at: candidate.disabled.then_some(now),
            metadata: candidate.metadata.clone(),
            version: 1,
            login_epoch: 0,
            two_factor: false,
            // A clock there may be ahead of the one here.
            created_at: candidate.created_at.map_or(now, |at| at.min(now)),
            updated_at: now,
        };
        store::account::users::insert(self.tx.conn, &user, row.password, row.hash.as_deref())
            .await
            .map_err(if_conflict(Error::UserExists))?;
        let mut about = detail([("batch", self.batch.to_string().into())]);
        if !creation.notes.is_empty() {
            let notes: Vec<String> = creation.notes.iter().map(ToString::to_string).collect();
            about.insert("notes".into(), notes.into());
        }
        self.created.push((user.id, about));
        Ok(user.id)
    }

    /// Adds the accounts at providers that the user does not have; returns their rows.
    async fn add_accounts(&mut self, row: &PreparedUser, user: UserId) -> Result<Vec<EventId>> {
        let now = self.tx.now();
        let mut added = Vec::new();
        for (account, id) in row.candidate.accounts.iter().zip(&row.accounts) {
            let issuer = self.policy.issuers.get(&account.provider);
            let link = PendingLink {
                provider: account.provider.clone(),
                issuer: issuer.cloned().unwrap_or_default(),
                subject: account.subject.clone(),
                email: None,
                scopes: String::new(),
                session: None,
            };
            if store::import::foreign_ids::add_account(self.tx.conn, user, &link, *id, now)
                .await
                .map_err(if_conflict(Error::UserExists))?
            {
                added.push(*id);
            }
        }
        Ok(added)
    }
}
