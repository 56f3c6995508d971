//! A passkey that was just made. Whether it is one that is taken is checked before the transaction that
//! stores it.

use crate::app::App;
use crate::crypto::ceremony::Purpose;
use crate::crypto::passkey::{self as crypto, RelyingParty};
use crate::flows::error::if_conflict;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Kind;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::login::passkey::{MOST, Passkey};
use crate::model::login::proof::Proof;
use crate::model::mail::Template;
use crate::random;
use crate::store::{self, work};

use super::passkey_answer::{Answer, Answered, admits, proof};
use super::passkey_ceremony::{open, require_subject};

/// The answer of a browser that has made a passkey.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// The answer of the browser.
    pub answer: Answer<'a>,
    /// The name that the user gave the passkey.
    pub name: Option<&'a str>,
}

/// A passkey that was just made.
#[derive(Debug, Clone)]
pub(in crate::flows) struct NewPasskey {
    passkey: Passkey,
    answered: Answered,
    /// Whether the browser may have made it without its user.
    pub(in crate::flows) conditional: bool,
}

impl NewPasskey {
    /// Returns what making it proves.
    pub(super) fn proof(&self) -> Proof {
        proof(self.passkey.verifies)
    }

    /// Returns the credential id, by which its row is found.
    pub(in crate::flows) fn credential_id(&self) -> &[u8] {
        &self.passkey.credential_id
    }

    /// Stores it, and tells the user. The user's row is locked.
    ///
    /// # Errors
    /// [`Error::ChallengeNotFound`] if the challenge was answered before, [`Error::PreviouslyRegistered`] if the
    /// passkey is known, [`Error::PasskeyLimitReached`] if the user has too many.
    pub(in crate::flows) async fn take(&self, tx: &mut Tx<'_>, user: &User) -> Result<()> {
        self.answered.spend(tx).await?;
        let stored = store::login::passkeys::of_user(tx.conn, user.id).await?;
        if stored.len() >= MOST {
            return Err(Error::PasskeyLimitReached);
        }
        let handle = store::login::passkeys::handle(tx.conn, user.id).await?;
        let passkey = Passkey {
            user_handle: Some(handle.ok_or(Error::ChallengeNotFound)?),
            ..self.passkey.clone()
        };
        let now = tx.now();
        store::login::passkeys::insert(tx.conn, &passkey, now)
            .await
            .map_err(if_conflict(Error::PreviouslyRegistered))?;
        let what = detail([
            ("passkey", passkey.id.to_string().into()),
            ("aaguid", passkey.aaguid.clone().into()),
            ("verified", passkey.verifies.into()),
        ]);
        tx.record(Kind::PasskeyAdded, Some(user.id), None, what.clone())
            .await?;
        tx.queue_notice(Template::PasskeyAdded, user, what).await
    }
}

/// Verifies a passkey that a browser has made for this user.
///
/// # Errors
/// [`Error::ChallengeNotFound`], [`Error::FailedToVerifyRegistration`], [`Error::PreviouslyRegistered`]
/// and [`Error::SameUserRequired`].
pub(in crate::flows) async fn check(
    app: &App,
    user: UserId,
    registration: Registration<'_>,
) -> Result<NewPasskey> {
    let Registration { answer, name } = registration;
    let ceremony = open(app, answer.states, Purpose::Register)?;
    require_subject(app, &ceremony, user).await?;
    let party = RelyingParty {
        id: &app.config.passkeys.rp_id,
        admits: &admits(app),
    };
    let (challenge, conditional) = (&ceremony.challenge, ceremony.conditional);
    let made =
        crypto::register(answer.response, &party, challenge, conditional).map_err(|why| {
            tracing::debug!(%why, %user, "a new passkey was refused");
            Error::FailedToVerifyRegistration
        })?;
    let id = made.credential_id.clone();
    let known = app
        .db
        .read(work!(conn => store::login::passkeys::by_credential(conn, &id).await))
        .await?;
    if known.is_some() {
        return Err(Error::PreviouslyRegistered);
    }
    let now = app.now();
    Ok(NewPasskey {
        passkey: Passkey {
            id: EventId::at(now, random::bytes(&*app.random)),
            user,
            credential_id: made.credential_id,
            public_key: made.public_key,
            counter: made.counter,
            aaguid: made.aaguid,
            transports: made.transports,
            backup_eligible: made.backup_eligible,
            backed_up: made.backed_up,
            verifies: made.verifies,
            user_handle: None,
            name: name.map(str::to_owned),
            created_at: now,
            last_used_at: None,
        },
        answered: Answered::of(&ceremony),
        conditional,
    })
}
