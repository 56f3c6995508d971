//! The arguments that commands which change something have in common.

use clap::Args;

use crate::app::App;

use super::{Output, Result, ask};

/// The arguments of a command that does not ask before it changes something.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Trial {
    /// Check everything, show what would be done and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// The arguments of a command that asks for confirmation before it changes something.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Caution {
    #[command(flatten)]
    pub(super) trial: Trial,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(super) yes: bool,
}

impl Caution {
    /// Asks for confirmation, unless `--yes` was given.
    pub(super) fn confirm(self, app: &App, question: &str) -> Result<()> {
        ask::confirm(&app.config, question, self.yes)
    }
}
