//! The start-up checklist as `serve` logs it and as `config check` prints it; `doctor` prints it
//! among its findings.

use crate::config::Log;
use crate::flows::ops::diagnose::{Finding, Verdict};

use super::output;

/// Logs the list: aligned lines for people, or one structured line an item.
pub(super) fn log(log: &Log, list: &[Finding]) {
    let is_human = output::is_human(log);
    let width = width(list);
    for Finding {
        subject,
        verdict,
        says,
    } in list
    {
        match (is_human, verdict) {
            (true, Verdict::Good) => tracing::info!("{subject:width$}  {says}"),
            (true, Verdict::Warning) => tracing::warn!("{subject:width$}  {says}"),
            (true, Verdict::Bad) => tracing::error!("{subject:width$}  {says}"),
            (false, Verdict::Good) => {
                tracing::info!(subject, verdict = "good", finding = says, "start-up check");
            }
            (false, Verdict::Warning) => {
                tracing::warn!(
                    subject,
                    verdict = "warning",
                    finding = says,
                    "start-up check"
                );
            }
            (false, Verdict::Bad) => {
                tracing::error!(subject, verdict = "bad", finding = says, "start-up check");
            }
        }
    }
}

/// Prints the list in aligned lines.
pub(super) fn print(list: &[Finding]) {
    let width = width(list);
    for item in list {
        output::note(&format!(
            "{} {:width$}  {}",
            mark(item.verdict),
            item.subject,
            item.says
        ));
    }
}

fn width(list: &[Finding]) -> usize {
    list.iter()
        .map(|item| item.subject.len())
        .max()
        .unwrap_or(0)
}

/// Returns the sign of a verdict.
pub(super) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "✓",
        Verdict::Warning => "!",
        Verdict::Bad => "✗",
    }
}
