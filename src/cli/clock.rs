//! `clock …`: shows whether the service trusts this machine's clock, and confirms it.

use clap::Subcommand;
use serde_json::json;

use crate::app::App;
use crate::config::Config;
use crate::flows::confirm_clock;
use crate::flows::confirm_clock::Look;
use crate::flows::permit::Permitted;

use super::{Failure, Output, Result, ask, build, operator, output};

#[derive(Debug, Subcommand)]
pub(super) enum Clock {
    /// Show this machine's time, the last confirmed time and the database server's time
    Show {
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Confirm that this machine's clock is right, so that deletion and scheduled rotation continue
    #[command(
        after_help = "Needed when the clock is more than a day away from the last confirmed time, for example because the machine was off for days.\n\
        Compare the time with another source first: on a wrong clock the service would delete sessions, keys and audit events that are still in use."
    )]
    Confirm {
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) async fn run(command: Clock, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Clock) -> Result<()> {
    match command {
        Clock::Show { output } => show(output, &confirm_clock::look(app).await?),
        Clock::Confirm { yes, output } => {
            ask::confirm(
                &app.config,
                &format!("The time of this machine is {}. Is that right?", app.now()),
                yes,
            )?;
            let confirmed =
                confirm_clock::confirm_by_operator(app, Permitted::as_operator(), &operator())
                    .await?
                    .map_err(|doubt| Failure::Refused(doubt.to_string()))?;
            output::changed(
                &app.config,
                output,
                &format!(
                    "{confirmed} is the confirmed time; running processes follow within a minute."
                ),
                &[("confirmed", json!(confirmed))],
            );
        }
    }
    Ok(())
}

fn show(form: Output, look: &Look) {
    let doubt = look.outcome.err().map(|doubt| doubt.to_string());
    let members = [
        ("now", json!(look.now)),
        ("lastConfirmed", json!(look.evidence.last_confirmed)),
        ("database", json!(look.evidence.database)),
        ("confirmed", json!(doubt.is_none())),
        ("reason", json!(doubt)),
    ];
    output::object(form, &members);
}
