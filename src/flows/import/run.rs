//! Carries an import out: pages of rows, each with the batch's cursor in one transaction, so that an
//! interrupted batch goes on where it stopped.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::page::{self, PAGE, Writer};
use super::request::{FileFacts, Request, Source};
use crate::app::App;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::import::batch::{Batch, Counts, State};
use crate::model::kernel::id::EventId;
use crate::random;
use crate::store::{self, work};

/// How often a page is tried again that met a user who came meanwhile.
const TRIES: usize = 5;

/// What is imported, and how.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Work<'w> {
    pub source: &'w Source,
    pub request: &'w Request,
    pub facts: &'w FileFacts,
}

/// Begins a batch for a file.
pub async fn begin(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    request: &Request,
    facts: &FileFacts,
    requester: &Requester,
) -> Result<Batch> {
    let batch = Batch {
        id: EventId::at(app.now(), random::bytes(&*app.random)),
        source: request.source.clone(),
        file_hash: facts.hash.clone(),
        options: request.options(),
        state: State::Running,
        cursor: 0,
        counts: Counts::default(),
        actor: requester.actor.clone(),
        started_at: app.now(),
        ended_at: None,
    };
    app.transaction(
        requester,
        tx!(tx => {
            let batch = Batch { started_at: tx.now(), ..batch };
            store::import::batches::insert(tx.conn, &batch).await?;
            let about = detail([
                ("batch", batch.id.to_string().into()),
                ("source", batch.source.clone().into()),
                ("file", batch.file_hash.clone().into()),
            ]);
            tx.record(Kind::ImportStarted, None, None, about).await?;
            Ok(batch)
        }),
    )
    .await
}

/// Returns a batch that was interrupted.
///
/// # Errors
/// [`Error::ImportRefused`] if there is none with this id, if it has ended, or if the file or the
/// options are not those with which it began.
pub async fn resume(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    batch: &str,
    request: &Request,
    facts: &FileFacts,
) -> Result<Batch> {
    let batch = find(app, batch).await?;
    let refused = |text: &str| Err(Error::ImportRefused(text.to_owned()));
    match batch.state {
        State::Running => {}
        State::Done => return refused("the batch has reached the end of its file"),
        State::RolledBack => return refused("the batch was taken back"),
    }
    if batch.file_hash != facts.hash {
        return refused("the file is not the one with which the batch began");
    }
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    if parsed(&batch.options) != parsed(&request.options()) {
        return refused(&format!(
            "the batch began with other options: {}",
            batch.options
        ));
    }
    Ok(batch)
}

/// Finds a batch by its id.
pub(super) async fn find(app: &App, id: &str) -> Result<Batch> {
    let unknown = || {
        Error::ImportRefused(
            "there is no such import; `countersign users imports` lists them".into(),
        )
    };
    let id: EventId = id.parse().map_err(|_| unknown())?;
    app.db
        .read(work!(conn => store::import::batches::find(conn, id).await))
        .await?
        .ok_or_else(unknown)
}

/// Carries out the rows of a batch behind its cursor; `progress` is called with the number of rows
/// after each page, and with those that were carried out before. Returns the counts of the whole
/// batch.
///
/// # Errors
/// [`Error::ImportRefused`] if the file cannot be read, or if another process goes on with the batch.
pub async fn run(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    work: Work<'_>,
    batch: Batch,
    requester: &Requester,
    mut progress: impl FnMut(u64),
) -> Result<Batch> {
    let Work {
        source,
        request,
        facts,
    } = work;
    let mut rows = source.rows(request)?;
    let mut cursor = batch.cursor;
    let done = usize::try_from(cursor).unwrap_or(usize::MAX);
    for row in rows.by_ref().take(done) {
        row.map_err(|error| super::request::not_of_the_format(&error))?
            .ok();
    }
    progress(cursor);
    loop {
        let rows = page::next(&mut rows, PAGE)?;
        if rows.is_empty() {
            break;
        }
        let count = rows.len() as u64;
        let rows = Arc::new(page::prepare(app, request, facts, rows, requester).await?);
        write(app, request, &batch, cursor, rows, requester).await?;
        cursor += count;
        progress(count);
    }
    finish(app, batch.id, requester).await
}

/// Carries out one page. A user who came between the look and the write makes the transaction fail
/// once; the next one sees that user.
async fn write(
    app: &App,
    request: &Request,
    batch: &Batch,
    cursor: u64,
    page: Arc<Vec<page::Prepared>>,
    requester: &Requester,
) -> Result<()> {
    let mut tries = TRIES;
    loop {
        let (page, id) = (Arc::clone(&page), batch.id);
        let (source, policy) = (batch.source.clone(), request.policy.clone());
        let written = app.transaction(
            requester,
            tx!(tx => {
                let counts = Writer::new(tx, id, &source, &policy).write(&page).await?;
                let to = cursor + page.len() as u64;
                if store::import::batches::advance(tx.conn, id, cursor, to, counts).await? {
                    Ok(())
                } else {
                    Err(Error::ImportRefused(
                        "another process goes on with the batch, or took it back".into(),
                    ))
                }
            }),
        );
        match Box::pin(written).await {
            Err(Error::UserExists) if tries > 1 => tries -= 1,
            Err(Error::UserExists) => {
                return Err(Error::Unavailable(
                    "users of the file are being created by others meanwhile".into(),
                ));
            }
            written => return written,
        }
    }
}

async fn finish(app: &App, id: EventId, requester: &Requester) -> Result<Batch> {
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            let (running, done) = (State::Running, State::Done);
            let ended = store::import::batches::end(tx.conn, id, running, done, now).await?;
            let batch = store::import::batches::find(tx.conn, id).await?;
            match batch {
                Some(batch) if ended => {
                    tx.record(Kind::ImportFinished, None, None, told(&batch)).await?;
                    Ok(batch)
                }
                _ => Err(Error::ImportRefused("another process has ended the batch".into())),
            }
        }),
    )
    .await
}

/// Returns the details of the event at the end of a batch.
fn told(batch: &Batch) -> Map<String, Value> {
    let counts = batch.counts;
    detail([
        ("batch", json!(batch.id)),
        ("source", json!(batch.source)),
        ("created", json!(counts.created)),
        ("unchanged", json!(counts.unchanged)),
        ("linked", json!(counts.linked)),
        ("skipped", json!(counts.skipped)),
        ("refused", json!(counts.refused)),
    ])
}
