//! Users who come from other software: files in every format, malformed ones, and batches on both
//! databases.

mod batches;
mod formats;
mod malformed;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use countersign::flows::Result;
use countersign::flows::import::request::{FileFacts, Request, Source};
use countersign::flows::import::run::{self, Work};
use countersign::flows::import::survey::{self, Judged};
use countersign::flows::permit::Permitted;
use countersign::import::{Format, ReadOptions, Row, Unreadable, rows};
use countersign::model::audit::event::Requester;
use countersign::model::import::batch::{Batch, Counts};
use countersign::model::import::policy::Policy;

use crate::support::TestApp;

/// Options without a map.
pub fn options(format: Format) -> ReadOptions {
    ReadOptions {
        format,
        map: BTreeMap::new(),
        drop: BTreeSet::new(),
    }
}

/// The rows of a text.
pub fn read(
    text: impl Into<Vec<u8>>,
    options: &ReadOptions,
) -> std::result::Result<Vec<Row>, Unreadable> {
    rows(std::io::Cursor::new(text.into()), options)?.collect()
}

/// A file of rows of our own form, and how it is imported.
pub struct File {
    source: Source,
    pub request: Request,
}

impl File {
    pub fn of(text: &str) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let request = Request {
            read: options(Format::Jsonl),
            source: "old".into(),
            policy: Policy::default(),
            allow_refused: false,
            parameters: Arc::default(),
        };
        Self {
            source: Source::of(file),
            request,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    pub fn facts(&self) -> FileFacts {
        survey::read(&self.source, &self.request, |_| ()).unwrap()
    }

    /// What a dry run says.
    pub async fn survey(&self, app: &TestApp) -> (Counts, Vec<Judged>) {
        let mut all = Vec::new();
        let facts = self.facts();
        let permitted = Permitted::as_operator();
        let report = |row: &Judged| {
            all.push(row.clone());
            Ok(())
        };
        let (source, request) = (&self.source, &self.request);
        let counts = survey::survey(&app.app, permitted, source, request, &facts, report)
            .await
            .unwrap();
        (counts, all)
    }

    /// Verdict and reason of each row of a dry run.
    pub async fn verdicts(&self, app: &TestApp) -> Vec<(u64, String)> {
        let (_, rows) = self.survey(app).await;
        let text = |row: &Judged| format!("{} {}", row.verdict.word(), row.verdict.reason());
        rows.iter()
            .map(|row| (row.place.line, text(row).trim().to_owned()))
            .collect()
    }

    pub async fn begin(&self, app: &TestApp) -> Result<Batch> {
        let permitted = Permitted::as_operator();
        run::begin(
            &app.app,
            permitted,
            &self.request,
            &self.facts(),
            &operator(),
        )
        .await
    }

    pub async fn resume(&self, app: &TestApp, batch: &Batch) -> Result<Batch> {
        let (permitted, id) = (Permitted::as_operator(), batch.id.to_string());
        run::resume(&app.app, permitted, &id, &self.request, &self.facts()).await
    }

    pub async fn run(&self, app: &TestApp, batch: Batch) -> Result<Batch> {
        let facts = self.facts();
        let work = Work {
            source: &self.source,
            request: &self.request,
            facts: &facts,
        };
        let permitted = Permitted::as_operator();
        run::run(&app.app, permitted, work, batch, &operator(), |_| ()).await
    }

    pub async fn import(&self, app: &TestApp) -> Batch {
        let batch = self.begin(app).await.unwrap();
        self.run(app, batch).await.unwrap()
    }
}

pub fn operator() -> Requester {
    Requester::named("cli:tester")
}
