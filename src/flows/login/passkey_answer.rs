//! A use of a passkey. Whether it is right is checked before the transaction that acts on it; there the
//! challenge is used up, and what the passkey has shown is kept. A refusal rolls that back, and the
//! challenge is used up afterwards, by `RightPasskey::settle`.

use serde_json::{Map, Value};

use crate::app::App;
use crate::crypto::ceremony::{Ceremony, Purpose};
use crate::crypto::passkey::{self as crypto, Asserted, RelyingParty};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::Steps;
use crate::model::login::passkey::{Passkey, follows};
use crate::model::login::proof::Proof;
use crate::model::mail::Template;
use crate::store::{self, work};

use super::passkey_ceremony::{open, require_subject};

/// The answer of a browser in a ceremony, with the states that came with it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The credential, as `PublicKeyCredential.toJSON` writes it.
    pub response: &'a Map<String, Value>,
    /// The sealed states of the request; the first one that opens counts.
    pub states: &'a [&'a str],
}

/// A challenge that is about to be used up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    hash: [u8; 32],
    expires_at: Timestamp,
}

impl Answered {
    pub(super) fn of(ceremony: &Ceremony) -> Self {
        Self {
            hash: ceremony.hash(),
            expires_at: ceremony.expires_at,
        }
    }

    /// Uses the challenge up.
    ///
    /// # Errors
    /// [`Error::ChallengeNotFound`] if it was answered before.
    pub(super) async fn spend(self, tx: &mut Tx<'_>) -> Result<()> {
        if store::login::used_assertions::spend(tx.conn, &self.hash, self.expires_at).await? {
            Ok(())
        } else {
            Err(Error::ChallengeNotFound)
        }
    }
}

/// A use of a passkey that is right.
#[derive(Debug, Clone)]
pub(in crate::flows) struct RightPasskey {
    pub(super) user: UserId,
    row: EventId,
    asserted: Asserted,
    answered: Answered,
}

impl RightPasskey {
    /// Returns what it proves.
    pub(super) fn proof(&self) -> Proof {
        proof(self.asserted.verified)
    }

    /// Returns the steps that it is good for.
    pub(super) fn steps(&self) -> Steps {
        if self.asserted.verified {
            Steps::VERIFIED_PASSKEY | Steps::PASSKEY
        } else {
            Steps::PASSKEY
        }
    }

    /// Uses the challenge up, and keeps what the passkey has shown. The user's row is locked.
    ///
    /// # Errors
    /// [`Error::ChallengeNotFound`] if the challenge was answered before; [`Error::PasskeyNotFound`] if the passkey was
    /// removed meanwhile; [`Error::PasskeyCloned`] if its count of signatures has risen meanwhile.
    pub(super) async fn take(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.answered.spend(tx).await?;
        let stored = store::login::passkeys::lock(tx.conn, self.user, self.row)
            .await?
            .ok_or(Error::PasskeyNotFound)?;
        let shown = &self.asserted;
        if !follows(stored.counter, shown.counter) {
            return Err(Error::PasskeyCloned(self.row));
        }
        let used = Passkey {
            counter: shown.counter,
            backed_up: shown.backed_up,
            verifies: stored.verifies || shown.verified,
            // An imported passkey has none before its first use.
            user_handle: stored
                .user_handle
                .clone()
                .or_else(|| shown.user_handle.clone()),
            ..stored
        };
        let now = tx.now();
        Ok(store::login::passkeys::keep_use(tx.conn, &used, now).await?)
    }

    /// Uses the challenge up if what was to act on the answer was refused, so that the same answer is not
    /// good once the refusal has no reason any more. After a fault of the service it may be sent again.
    ///
    /// # Errors
    /// That of the outcome; that of the database if the use could not be kept.
    pub(in crate::flows) async fn settle<T>(&self, app: &App, outcome: Result<T>) -> Result<T> {
        let Err(error) = outcome else {
            return outcome;
        };
        // A copy is found again by its count of signatures, and its alarm is not lost with its challenge.
        if error.is_fault() || matches!(error, Error::PasskeyCloned(_)) {
            return Err(error);
        }
        let answered = self.answered;
        let work = tx!(tx => match answered.spend(tx).await {
            Err(Error::ChallengeNotFound) => Ok(()),
            spent => spent,
        });
        app.transaction(&Requester::named("service"), work).await?;
        Err(error)
    }
}

/// Returns what a passkey proves that has verified its user or not.
pub(super) fn proof(verified: bool) -> Proof {
    if verified {
        Proof::VerifiedPasskey
    } else {
        Proof::Passkey
    }
}

/// Says which pages may use passkeys.
pub(super) fn admits(app: &App) -> impl Fn(&str) -> bool + Sync {
    |origin| app.config.passkeys.admits(origin)
}

/// Verifies the use of a passkey: by this user, or by any user whose passkey it is.
///
/// # Errors
/// [`Error::ChallengeNotFound`], [`Error::PasskeyNotFound`], [`Error::AuthenticationFailed`],
/// [`Error::SameUserRequired`].
pub(super) async fn check(
    app: &App,
    answer: Answer<'_>,
    whose: Option<UserId>,
) -> Result<RightPasskey> {
    let ceremony = open(app, answer.states, Purpose::Authenticate)?;
    if let Some(user) = whose {
        require_subject(app, &ceremony, user).await?;
    }
    let id = crypto::credential_id(answer.response).ok_or(Error::AuthenticationFailed)?;
    let row = app
        .db
        .read(work!(conn => store::login::passkeys::by_credential(conn, &id).await))
        .await?
        .ok_or(Error::PasskeyNotFound)?;
    if whose.is_some_and(|user| user != row.user) {
        return Err(Error::SameUserRequired);
    }
    // The answer to a question that was put to a known user begins no sign-in of that user.
    let subject = ceremony.subject.map(|subject| subject.user);
    if whose.is_none() && subject == Some(row.user) {
        return Err(Error::ChallengeNotFound);
    }
    let party = RelyingParty {
        id: &app.config.passkeys.rp_id,
        admits: &admits(app),
    };
    let asserted = crypto::authenticate(answer.response, &party, &ceremony.challenge, &row)
        .map_err(|why| {
            tracing::debug!(%why, user = %row.user, "a passkey was refused");
            Error::AuthenticationFailed
        })?;
    // Without a question to a known user only the handle says who answers (WebAuthn section 7.2).
    if whose.is_none() && asserted.user_handle.is_none() {
        return Err(Error::AuthenticationFailed);
    }
    // The count of signatures is compared after the challenge was used up: a request that came twice
    // is no copy of the passkey.
    Ok(RightPasskey {
        user: row.user,
        row: row.id,
        asserted,
        answered: Answered::of(&ceremony),
    })
}

/// Records that a passkey has a copy, and tells its user.
pub(super) async fn tell_of_copy(
    app: &App,
    user: UserId,
    passkey: EventId,
    requester: &Requester,
) -> Result<()> {
    let work = tx!(tx => {
        let what = detail([("passkey", passkey.to_string().into())]);
        tx.record(Kind::PasskeyCloned, Some(user), None, what.clone()).await?;
        if let Some(found) = store::account::users::by_id(tx.conn, user).await? {
            tx.queue_notice(Template::PasskeyCloned, &found.user, what).await?;
        }
        Ok(())
    });
    app.transaction(requester, work).await
}

/// Finds whose passkey it is, for the event about its copy.
pub(super) async fn owner(app: &App, answer: Answer<'_>) -> Option<UserId> {
    let id = crypto::credential_id(answer.response)?;
    let find = work!(conn => store::login::passkeys::by_credential(conn, &id).await);
    let found = app.db.read(find).await.ok()?;
    found.map(|row| row.user)
}
