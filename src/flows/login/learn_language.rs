//! Learns the language of a user's mails from a sign-in. It is written after the sign-in, in a
//! transaction of its own: a sign-in shares the lock of the user's row with others at once, and none of
//! them could change the row while it holds that lock.

use crate::app::App;
use crate::flows::transaction::tx;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::store::WriteOptions;
use crate::store::account::languages::Known;

/// Keeps the language of a sign-in as the one of its user. `stored` is the language that the user has
/// so far; usually it is the same, and nothing is written. A failure is logged: the user is signed in.
pub(super) async fn learn_language(
    app: &App,
    user: UserId,
    stored: Option<&str>,
    known: Known,
    requester: &Requester,
) {
    let wished = app
        .config
        .pages
        .locales
        .preferred(&requester.accept_language);
    let is_new = match stored {
        None => wished.is_some(),
        Some(stored) => known == Known::Replace && wished.is_some_and(|wished| wished != stored),
    };
    if !is_new {
        return;
    }
    let learn = tx!(tx => tx.learn_language(user, known).await);
    if let Err(error) = app
        .transaction_with(WriteOptions::UNSYNCED, requester, learn)
        .await
    {
        tracing::warn!(%user, %error, "the language of a user could not be stored");
    }
}
