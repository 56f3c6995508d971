//! Seals the secrets of authenticator apps and the tokens of other issuers under the current master key,
//! after a change of it: piece by piece, because there may be very many. Every process that holds the
//! former key goes on where another one has stopped. What no loaded key opens is left as it is.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::master_key::MasterKey;
use crate::crypto::totp::TotpSecret;
use crate::crypto::upstream_tokens::{Place, UpstreamTokens};
use crate::flows::Result;
use crate::flows::transaction::tx;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::{EventId, UserId};
use crate::store::{self, Conn, WriteOptions, work};

/// How many rows are sealed again in one transaction.
const PIECE: i64 = 500;

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// The secrets of authenticator apps.
    Secrets,
    /// The tokens of other issuers.
    Tokens,
}

/// What became of the rows that were sealed under another master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Those that are sealed under the current key now.
    pub done: u64,
    /// Those that no loaded key opens.
    pub left: u64,
}

/// Seals the secrets and tokens under the current master key of this process; for the schedule.
///
/// # Errors
/// Those of the database.
pub async fn reseal_due(app: &App) -> Result<()> {
    let Some(ring) = app.ring() else {
        return Ok(());
    };
    let held: Vec<Arc<MasterKey>> = ring.masters.iter().map(|m| Arc::clone(&m.key)).collect();
    let current = &ring.masters.current().key;
    let secrets = reseal(app, Table::Secrets, &held, current).await?;
    if secrets.done > 0 {
        tracing::info!(
            secrets = secrets.done,
            "sealed authenticator secrets under the current master key"
        );
    }
    if secrets.left > 0 {
        tracing::warn!(
            secrets = secrets.left,
            "authenticator secrets are sealed under a master key that is not loaded; their users can sign in with a recovery code only"
        );
    }
    let tokens = reseal(app, Table::Tokens, &held, current).await?;
    if tokens.done > 0 {
        tracing::info!(
            identities = tokens.done,
            "sealed the tokens of providers under the current master key"
        );
    }
    if tokens.left > 0 {
        tracing::warn!(
            identities = tokens.left,
            "tokens of providers are sealed under a master key that is not loaded; they come anew when their users sign in at the provider"
        );
    }
    Ok(())
}

/// Seals every row of a table under `current`, opened with one of the keys in `held`.
pub(super) async fn reseal(
    app: &App,
    table: Table,
    held: &[Arc<MasterKey>],
    current: &Arc<MasterKey>,
) -> Result<Resealed> {
    let (mut total, mut after) = (Resealed::default(), None);
    loop {
        let (id, from) = (current.id().to_owned(), after);
        let piece = app
            .db
            .read(work!(conn => sealed_otherwise(conn, table, &id, from).await))
            .await?;
        let Some(last) = piece.last() else {
            return Ok(total);
        };
        after = Some(last.row);
        let found = piece.len();
        let again: Vec<Again> = piece
            .into_iter()
            .filter_map(|sealed| sealed.again(held, current))
            .collect();
        let done = again.len();
        total.done += u64::try_from(done).unwrap_or(0);
        total.left += u64::try_from(found - done).unwrap_or(0);
        if again.is_empty() {
            continue;
        }
        let id = current.id().to_owned();
        let write = tx!(tx => {
            for one in again {
                one.write(tx.conn, &id).await?;
            }
            Ok(())
        });
        app.transaction_with(WriteOptions::STEPS, &Requester::named("schedule"), write)
            .await?;
    }
}

/// A row with something sealed.
#[derive(Debug, Clone, Copy)]
enum Row {
    Secret(UserId),
    Tokens(EventId),
}

/// What a row holds, as it is sealed now.
struct Sealed {
    row: Row,
    jwe: String,
}

/// What a row holds, sealed again.
#[derive(Clone)]
struct Again {
    row: Row,
    before: String,
    after: String,
}

/// Returns the rows of a table that are sealed under another key, after the row `after`.
async fn sealed_otherwise(
    conn: &mut Conn,
    table: Table,
    key: &str,
    after: Option<Row>,
) -> store::Result<Vec<Sealed>> {
    Ok(match table {
        Table::Secrets => {
            let after = match after {
                Some(Row::Secret(user)) => Some(user),
                Some(Row::Tokens(_)) | None => None,
            };
            let found = store::login::totp::sealed_otherwise(conn, key, after, PIECE).await?;
            let sealed = |(user, jwe)| Sealed {
                row: Row::Secret(user),
                jwe,
            };
            found.into_iter().map(sealed).collect()
        }
        Table::Tokens => {
            let after = match after {
                Some(Row::Tokens(account)) => Some(account),
                Some(Row::Secret(_)) | None => None,
            };
            let found =
                store::federation::upstream_tokens::sealed_otherwise(conn, key, after, PIECE)
                    .await?;
            let sealed = |(account, jwe)| Sealed {
                row: Row::Tokens(account),
                jwe,
            };
            found.into_iter().map(sealed).collect()
        }
    })
}

impl Sealed {
    /// Seals it under the current key; `None` if no key opens it.
    fn again(self, held: &[Arc<MasterKey>], current: &MasterKey) -> Option<Again> {
        let keys = held.iter().map(|key| &**key);
        let after = match self.row {
            Row::Secret(user) => TotpSecret::open(&self.jwe, user, keys)
                .ok()?
                .seal(user, current),
            Row::Tokens(account) => {
                let place = Place::Account(account);
                let tokens = UpstreamTokens::open(&self.jwe, place, keys).ok()?;
                tokens.seal(place, current)
            }
        };
        Some(Again {
            row: self.row,
            before: self.jwe,
            after,
        })
    }
}

impl Again {
    /// Writes it, unless the row has changed meanwhile.
    async fn write(&self, conn: &mut Conn, key: &str) -> store::Result<()> {
        let (before, after) = (self.before.as_str(), self.after.as_str());
        match self.row {
            Row::Secret(user) => store::login::totp::reseal(conn, user, before, after, key).await,
            Row::Tokens(account) => {
                store::federation::upstream_tokens::reseal(conn, account, before, after, key).await
            }
        }
    }
}
