//! Reads a whole file and decides about its rows without writing anything: what a dry run shows, and
//! what an import asks before it begins.

use super::hashes;
use super::page::{self, PAGE};
use super::request::{FileFacts, Request, Source, not_of_the_format};
use crate::app::App;
use crate::flows::Result;
use crate::flows::permit::{Permitted, to};
use crate::import::Row;
use crate::model::import::batch::Counts;
use crate::model::import::judge::{HashFound, Verdict, judge};
use crate::model::import::reason::Place;
use crate::model::import::repeated::Seen;
use crate::store::{self, work};

/// What would be done about one row.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Where the row stands.
    pub place: Place,
    /// The id in the source, if it could be read.
    pub foreign_id: Option<String>,
    /// What would be done.
    pub verdict: Verdict,
    /// The kind of the password hash; empty if there is none that can be verified.
    pub hash_kind: &'static str,
    /// Whether the hash is wrapped into argon2id, which takes the time of a hash of ours.
    pub is_wrapped: bool,
}

/// Reads a file once: counts its rows, and finds those that repeat each other.
///
/// # Errors
/// [`crate::flows::Error::ImportRefused`] if the file is not of the format.
pub fn read(
    source: &Source,
    request: &Request,
    mut progress: impl FnMut(u64),
) -> Result<FileFacts> {
    let (mut seen, mut rows) = (Seen::default(), 0);
    for row in source.rows(request)? {
        if let Ok(candidate) = row.map_err(|error| not_of_the_format(&error))? {
            seen.look_at(&candidate);
        }
        rows += 1;
        progress(1);
    }
    Ok(FileFacts {
        hash: source.hash()?,
        rows,
        repeated: seen.repeated(),
    })
}

/// Decides about every row, without writing anything; `report` is called for each, in the order of
/// the file.
///
/// # Errors
/// [`crate::flows::Error::ImportRefused`] if the file cannot be read.
pub async fn survey(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    source: &Source,
    request: &Request,
    facts: &FileFacts,
    mut report: impl FnMut(&Judged) -> Result<()>,
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut rows = source.rows(request)?;
    loop {
        let page = page::next(&mut rows, PAGE)?;
        if page.is_empty() {
            return Ok(counts);
        }
        for judged in decide(app, request, facts, page).await? {
            counts.add(&judged.verdict);
            report(&judged)?;
        }
    }
}

/// Decides about the rows of a page in one read.
async fn decide(
    app: &App,
    request: &Request,
    facts: &FileFacts,
    page: Vec<Row>,
) -> Result<Vec<Judged>> {
    let mut candidates = Vec::new();
    for row in &page {
        candidates.extend(row.as_ref().ok().cloned());
    }
    let source = request.source.clone();
    let found = app.db.read(work!(conn => {
        let mut found = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            found.push(store::import::foreign_ids::existing(conn, &source, candidate).await?);
        }
        Ok(found)
    }));
    let mut found = found.await?.into_iter();
    let judged = page.into_iter().map(|row| match row {
        Err(error) => Judged {
            place: error.place,
            foreign_id: error.foreign_id,
            verdict: Verdict::Refuse(error.reason),
            hash_kind: "",
            is_wrapped: false,
        },
        Ok(candidate) => {
            let (hash, read) = hashes::read(candidate.hash.as_ref(), &request.parameters);
            let mut existing = found.next().unwrap_or_default();
            existing.repeated = facts.repeated.get(&candidate.place.number).cloned();
            existing.hash = hash.clone();
            Judged {
                place: candidate.place,
                verdict: judge(&candidate, &existing, &request.policy),
                foreign_id: Some(candidate.foreign_id),
                hash_kind: match hash {
                    HashFound::Usable(kind) => kind,
                    _ => "",
                },
                is_wrapped: read.is_some_and(|hash| hash.must_be_wrapped(app)),
            }
        }
    });
    Ok(judged.collect())
}
