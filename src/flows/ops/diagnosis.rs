//! What a look at the service found: each thing and how well it is.

use crate::flows::key::processes::Running;
use crate::store::engine::server::TableSize;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything is in order.
    Good,
    /// It works but should be looked into.
    Warning,
    /// It does not work, or soon will not.
    Bad,
}

/// The result of one check.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The subject of the check.
    pub subject: &'static str,
    /// How serious the finding is.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub says: String,
}

impl Finding {
    /// Makes the finding of one check.
    pub fn new(subject: &'static str, verdict: Verdict, says: impl Into<String>) -> Self {
        Self {
            subject,
            verdict,
            says: says.into(),
        }
    }

    /// Makes a finding that everything is in order.
    pub fn good(subject: &'static str, says: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Good, says)
    }

    /// Makes a finding that should be looked into.
    pub fn warning(subject: &'static str, says: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Warning, says)
    }
}

/// All findings.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// In the order of the checks; the first bad one usually explains the others.
    pub findings: Vec<Finding>,
    /// The tables, the largest first.
    pub tables: Vec<TableSize>,
    /// The serving processes, and which master keys each has loaded.
    pub running: Vec<Running>,
}

impl Diagnosis {
    pub(super) fn say(&mut self, subject: &'static str, verdict: Verdict, says: impl Into<String>) {
        self.findings.push(Finding::new(subject, verdict, says));
    }

    /// Returns whether no finding is bad.
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|f| f.verdict != Verdict::Bad)
    }
}
