//! Compares a code that was typed with those that were sent to its email address. Each try is counted
//! before anything is compared, and a right code is used up in the transaction that acts on it.

use crate::app::App;
use crate::crypto::challenge::ChallengeToken;
use crate::crypto::email_code;
use crate::flows::key::inspect_keys;
use crate::flows::limit::known_device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::account::email::Email;
use crate::model::audit::event::{Kind, Requester};
use crate::model::login::email_code::{CodePurpose, EmailCode, TRIES_OF_ASKER, TRIES_OF_OTHERS};
use crate::store::login::codes::Counted;
use crate::store::{self, WriteOptions, work};

use super::email_code::{Holder, admit};

/// A code that a user has typed.
#[derive(Clone, Copy)]
pub struct Typed<'t> {
    /// The email address to which it was sent.
    pub email: &'t Email,
    /// The code as it was typed.
    pub code: &'t str,
    /// The tokens of the browser or the app.
    pub holder: Holder<'t>,
}

/// A code that was right. It is used up in the transaction that acts on it.
#[derive(Debug, Clone)]
pub(in crate::flows) struct RightCode(pub(super) EmailCode);

impl RightCode {
    /// Returns the row of the code.
    pub(in crate::flows) fn row(&self) -> &EmailCode {
        &self.0
    }

    /// Makes one of a link, whose token shows that it was in the mail.
    pub(in crate::flows) fn of_link(row: EmailCode) -> Self {
        Self(row)
    }

    /// Uses the code and its link up; returns `false` if one of them was used before.
    pub(in crate::flows) async fn take(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let now = tx.now();
        Ok(store::login::codes::end(tx.conn, self.0.id, now).await?)
    }
}

/// A code that may be compared, after a try of it was counted.
#[derive(Debug, Clone)]
struct Candidate {
    code: EmailCode,
    by_asker: bool,
}

/// What can be compared with a code that was typed.
#[derive(Debug, Clone)]
enum Candidates {
    /// These, and a try of each was counted.
    Counted(Vec<Candidate>),
    /// There are codes, and the tries of all of them are used up.
    UsedUp,
    /// There is no code.
    Nothing,
}

/// With how many codes one is compared that was typed elsewhere than where they were asked for: the
/// latest ones. Otherwise each request of a guesser would make the next guess more likely.
const MOST_OF_OTHERS: usize = 3;

/// Decides which codes may be compared with one that was typed in a browser with these bindings: the
/// one that it asked for; the latest ones if it asked for none. The rows are the latest first.
fn candidates(rows: &[Counted], bindings: &[[u8; 32]]) -> Candidates {
    if rows.is_empty() {
        return Candidates::Nothing;
    }
    let is_own = |row: &&Counted| {
        row.code
            .binding
            .is_some_and(|hash| bindings.contains(&hash))
    };
    let by_asker = rows.iter().any(|row| is_own(&row));
    let admitted: Vec<Candidate> = rows
        .iter()
        .filter(|row| !by_asker || is_own(row))
        .take(if by_asker { 1 } else { MOST_OF_OTHERS })
        .filter_map(|row| {
            let has_tries = if by_asker {
                row.of_asker < TRIES_OF_ASKER
            } else {
                row.of_others < TRIES_OF_OTHERS
            };
            has_tries.then(|| Candidate {
                code: row.code.clone(),
                by_asker,
            })
        })
        .collect();
    if admitted.is_empty() {
        Candidates::UsedUp
    } else {
        Candidates::Counted(admitted)
    }
}

/// Compares a code with those that were sent to its email address. Each try is counted before
/// anything is compared, and given back if the code is right.
///
/// # Errors
/// [`Error::InvalidOtp`] for a wrong code, [`Error::OtpExpired`] if its time is over,
/// [`Error::TooManyCodeTries`] if all tries are used up, [`Error::Limited`].
pub(in crate::flows) async fn check(
    app: &App,
    purpose: CodePurpose,
    typed: Typed<'_>,
    requester: &Requester,
) -> Result<RightCode> {
    admit(app, purpose)?;
    let email = typed.email;
    let device = known_device::known(app, typed.holder.devices, email).await?;
    let charges = RateLimitCheck::email_code(app, email, device.as_deref(), requester);
    charges.consume(app).await?;
    let found = count(app, purpose, typed).await;
    let found = charges.refund_if_not_evaluated(app, found).await?;
    let candidates = match found {
        Candidates::Counted(candidates) => candidates,
        Candidates::UsedUp => {
            return Err(refused(app, email, Error::TooManyCodeTries, requester).await);
        }
        Candidates::Nothing => {
            let error = nothing_sent(app, purpose, email).await?;
            return Err(refused(app, email, error, requester).await);
        }
    };
    let of_account = RateLimitCheck::email_code_account(app, email, device.as_deref());
    if let Err(limited) = of_account.consume(app).await {
        give_back(app, candidates).await;
        return Err(limited);
    }
    let ring = charges
        .refund_if_not_evaluated(app, inspect_keys::loaded(app))
        .await?;
    let right = candidates
        .iter()
        .find(|found| email_code::matches(&found.code, typed.code, &ring.masters))
        .map(|found| RightCode(found.code.clone()));
    let Some(right) = right else {
        return Err(refused(app, email, Error::InvalidOtp, requester).await);
    };
    charges.reset_after(app).await;
    of_account.reset_after(app).await;
    give_back(app, candidates).await;
    Ok(right)
}

/// Counts a try of each code that may be compared; committed before anything is compared.
async fn count(app: &App, purpose: CodePurpose, typed: Typed<'_>) -> Result<Candidates> {
    let email = typed.email.clone();
    let bindings: Vec<[u8; 32]> = typed
        .holder
        .bindings
        .iter()
        .filter_map(|text| ChallengeToken::read(text))
        .map(|token| token.hash())
        .collect();
    let work = tx!(tx => {
        let now = tx.now();
        let rows = store::login::codes::lock_at(tx.conn, purpose, &email, bindings.first(), now).await?;
        let found = candidates(&rows, &bindings);
        if let Candidates::Counted(candidates) = &found {
            for Candidate { code, by_asker } in candidates {
                store::login::codes::charge(tx.conn, code.id, *by_asker).await?;
            }
        }
        Ok(found)
    });
    app.transaction(&Requester::named("service"), work).await
}

/// Gives the tries of a right code back.
async fn give_back(app: &App, candidates: Vec<Candidate>) {
    let work = tx!(tx => {
        for Candidate { code, by_asker } in &candidates {
            store::login::codes::refund(tx.conn, code.id, *by_asker).await?;
        }
        Ok(())
    });
    // If the database is unavailable, the tries stay counted, and nothing else can be done.
    drop(
        app.transaction_with(WriteOptions::UNSYNCED, &Requester::named("service"), work)
            .await,
    );
}

/// Returns why there is nothing to compare: a code whose time is over, or none.
async fn nothing_sent(app: &App, purpose: CodePurpose, email: &Email) -> Result<Error> {
    let (email, now) = (email.clone(), app.now());
    let is_over = app
        .db
        .read(work!(conn => store::login::codes::is_over(conn, purpose, &email, now).await))
        .await?;
    Ok(if is_over {
        Error::OtpExpired
    } else {
        Error::InvalidOtp
    })
}

/// Returns the error after it was recorded in the audit trail (a power cut may lose the last
/// records), for unknown email addresses as for any other.
async fn refused(app: &App, email: &Email, error: Error, requester: &Requester) -> Error {
    let (email, why) = (
        email.clone(),
        detail([
            ("reason", error.to_string().into()),
            ("proof", "mailbox".into()),
        ]),
    );
    let work = tx!(tx => {
        let known = store::account::users::by_email(tx.conn, &email).await?;
        let user = known.map(|found| found.user.id);
        tx.record(Kind::SignInRefused, user, None, why).await
    });
    app.transaction_with(WriteOptions::UNSYNCED, requester, work)
        .await
        .map_or_else(|unwritten| unwritten, |()| error)
}

/// Says whether a code is right, without using it up.
///
/// # Errors
/// Those of a code that is used up; [`Error::UserNotFound`] to a reader of the mailbox who has no account.
pub async fn look(
    app: &App,
    purpose: CodePurpose,
    typed: Typed<'_>,
    requester: &Requester,
) -> Result<()> {
    check(app, purpose, typed, requester).await?;
    let email = typed.email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &email).await))
        .await?;
    known.map(|_| ()).ok_or(Error::UserNotFound)
}

/// Returns whether a code was asked for by the browser or the app with one of these bindings.
pub(in crate::flows) fn is_of_asker(row: &EmailCode, bindings: &[&str]) -> bool {
    let held = bindings
        .iter()
        .filter_map(|text| ChallengeToken::read(text));
    row.binding
        .is_some_and(|hash| held.into_iter().any(|token| token.hash() == hash))
}
