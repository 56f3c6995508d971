//! Learns the language of a user's mails from a sign-in with a known device. It is written after the
//! sign-in, in a transaction of its own: a sign-in shares the lock of the user's row with others at once,
//! and none of them could change the row while it holds that lock.

use crate::app::App;
use crate::flows::transaction::tx;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::store::WriteOptions;

/// Returns whether the request is in one of the languages that there are, and in another one than the
/// user's, `known`. Usually it is the same, and nothing is written.
pub(super) fn is_another(app: &App, known: Option<&str>, requester: &Requester) -> bool {
    let locales = &app.config.pages.locales;
    let wished = locales.preferred(&requester.accept_language);
    wished.is_some_and(|wished| known != Some(wished))
}

/// Keeps the language of a sign-in as the one of its user. A failure is logged: the user is signed in.
pub(super) async fn learn_language(app: &App, user: UserId, requester: &Requester) {
    let learn = tx!(tx => tx.learn_language(user).await);
    if let Err(error) = app
        .transaction_with(WriteOptions::UNSYNCED, requester, learn)
        .await
    {
        tracing::warn!(%user, %error, "the language of a user could not be stored");
    }
}
