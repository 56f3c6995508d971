//! Seals the secrets of authenticator apps under the current master key, after a change of it: piece by
//! piece, because there may be very many. Every process that holds the former key goes on where
//! another one has stopped. A secret that no loaded key opens is left as it is.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::master_key::MasterKey;
use crate::crypto::totp::TotpSecret;
use crate::flows::Result;
use crate::flows::transaction::tx;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::store::{self, WriteOptions, work};

/// How many secrets are sealed again in one transaction.
const PIECE: i64 = 500;

/// What became of the secrets that were sealed under another master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Those that are sealed under the current key now.
    pub done: u64,
    /// Those that no loaded key opens.
    pub left: u64,
}

/// Seals the secrets under the current master key of this process; for the schedule.
pub async fn reseal_due(app: &App) -> Result<()> {
    let Some(ring) = app.ring() else {
        return Ok(());
    };
    let held: Vec<Arc<MasterKey>> = ring.masters.iter().map(|m| Arc::clone(&m.key)).collect();
    let resealed = reseal(app, &held, &ring.masters.current().key).await?;
    if resealed.done > 0 {
        tracing::info!(
            secrets = resealed.done,
            "sealed authenticator secrets under the current master key"
        );
    }
    if resealed.left > 0 {
        tracing::warn!(
            secrets = resealed.left,
            "authenticator secrets are sealed under a master key that is not loaded; their users can sign in with a recovery code only"
        );
    }
    Ok(())
}

/// Seals every secret under `current`, opened with one of the keys in `held`.
pub(in crate::flows) async fn reseal(
    app: &App,
    held: &[Arc<MasterKey>],
    current: &Arc<MasterKey>,
) -> Result<Resealed> {
    let (mut total, mut after) = (Resealed::default(), None);
    loop {
        let (id, from) = (current.id().to_owned(), after);
        let piece = app
            .db
            .read(work!(conn => {
                store::login::totp::sealed_otherwise(conn, &id, from, PIECE).await
            }))
            .await?;
        let Some((last, _)) = piece.last() else {
            return Ok(total);
        };
        after = Some(*last);
        let found = piece.len();
        let again = seal_again(&piece, held, current);
        let done = again.len();
        total.done += u64::try_from(done).unwrap_or(0);
        total.left += u64::try_from(found - done).unwrap_or(0);
        if again.is_empty() {
            continue;
        }
        let id = current.id().to_owned();
        let write = tx!(tx => {
            for (user, before, after) in again {
                store::login::totp::reseal(tx.conn, user, &before, &after, &id).await?;
            }
            Ok(())
        });
        app.transaction_with(WriteOptions::STEPS, &Requester::named("schedule"), write)
            .await?;
    }
}

/// Returns the secrets that can be opened, each with its former and its new form.
fn seal_again(
    piece: &[(UserId, String)],
    held: &[Arc<MasterKey>],
    current: &MasterKey,
) -> Vec<(UserId, String, String)> {
    piece
        .iter()
        .filter_map(|(user, before)| {
            let keys = held.iter().map(|key| &**key);
            let secret = TotpSecret::open(before, *user, keys).ok()?;
            Some((*user, before.clone(), secret.seal(*user, current)))
        })
        .collect()
}
