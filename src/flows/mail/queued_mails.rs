//! What operators do with the queue of mails: look at it, and have all of it sent now. Running
//! servers look for mails that are due every few seconds.

use crate::app::App;
use crate::flows::Result;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::tx;
use crate::model::audit::event::Requester;
use crate::model::mail::Mail;
use crate::store::mails::QueuedMail;
use crate::store::{self, work};

/// Returns up to `limit` mails of the queue, oldest first, and how many there are.
pub async fn list(
    app: &App,
    _: Permitted<'_, to::OperateMails>,
    limit: i64,
) -> Result<(Vec<QueuedMail>, i64)> {
    Ok(app
        .db
        .read(work!(conn => Ok((
            store::mails::list_queued(conn, limit).await?,
            store::queue::count::<Mail>(conn).await?,
        ))))
        .await?)
}

/// Makes every mail of the queue due now; returns how many waited for a later time. What a process
/// is just sending may be sent twice, with the same `Message-ID`.
pub async fn flush(
    app: &App,
    _: Permitted<'_, to::OperateMails>,
    requester: &Requester,
) -> Result<u64> {
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            Ok(store::mails::make_due(tx.conn, now).await?)
        }),
    )
    .await
}
