//! `keys rewrap`: changes the master key.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::app::App;
use crate::cli::program::try_to_build_with_keys;
use crate::cli::{Failure, Output, Result, ask, operator, output};
use crate::config::Config;
use crate::flows;
use crate::flows::key::bootstrap;
use crate::flows::key::rewrap;
use crate::flows::key::rewrap::Options;
use crate::flows::permit::Permitted;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(in crate::cli) struct Arguments {
    /// A file with the new key: 43 characters of base64url, mode 0600
    #[arg(long)]
    new_master_key_file: PathBuf,
    /// The old master key leaked: end every refresh token and cookie
    #[arg(long)]
    compromised: bool,
    /// Continue although running processes lack the new key; they stop serving until they have it.
    /// Recorded in the audit trail
    #[arg(long)]
    although_processes_lack_it: bool,
    /// Open every key and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long)]
    yes: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Builds the program for a rewrap.
///
/// # Errors
/// Says so if an earlier rewrap to this key was completed, as after one that was killed before it
/// could print that: then the old key, which the settings still name, opens nothing any more.
pub(super) async fn open(config: Config, arguments: &Arguments) -> Result<App> {
    let file = &arguments.new_master_key_file;
    match try_to_build_with_keys(config).await {
        Err(flows::Error::MasterKeyNotLoaded { wanted, .. })
            if bootstrap::named_key(file).is_ok_and(|key| key.id() == wanted) =>
        {
            let file = file.display();
            Err(Failure::Refused(if arguments.compromised {
                format!(
                    "the keys are already sealed under the master key {wanted} of {file}, and it is not known whether that rewrap ended the sessions: put the key where every process reads its master key, then run `countersign sessions revoke --all`, or rewrap once more to another new key with --compromised"
                )
            } else {
                format!(
                    "nothing is left to do: the keys are already sealed under the master key {wanted} of {file}. Put it where every process reads its master key, and keep the old one as the previous key"
                )
            }))
        }
        outcome => Ok(outcome?),
    }
}

pub(super) async fn run(app: &App, arguments: Arguments) -> Result<()> {
    let Arguments {
        new_master_key_file,
        compromised,
        although_processes_lack_it,
        dry_run,
        yes,
        output,
    } = arguments;
    if compromised && !dry_run {
        ask::confirm(&app.config, "End every session and cookie?", yes)?;
    }
    let done = rewrap::rewrap(
        app,
        Permitted::as_operator(),
        &new_master_key_file,
        Options {
            compromised,
            dry_run,
            although_processes_lack_it,
        },
        &operator(),
    )
    .await?;
    let members = [
        ("masterKey", json!(done.key_id)),
        ("version", json!(done.version)),
        ("keys", json!(done.keys)),
        (
            "authenticatorSecrets",
            json!(done.secrets.as_ref().map_or(0, |secrets| secrets.done)),
        ),
        (
            "providerTokens",
            json!(done.tokens.as_ref().map_or(0, |tokens| tokens.done)),
        ),
    ];
    output::record(output, &app.config, !dry_run, &members);
    if !dry_run {
        output::done(&app.config, "The keys are sealed under the new master key.");
        output::note(
            "Now put the new key where every process reads its master key, and keep the old one as the previous key.",
        );
        if compromised {
            output::note(
                "Every refresh token and cookie has ended. Access tokens that were issued before are good until they expire; if the database leaked too, `countersign keys rotate --compromised` ends them.",
            );
        }
    }
    match done.secrets {
        Err(error) => Err(Failure::Refused(format!(
            "the master key has changed, but not every authenticator secret is sealed under it yet ({error}); a running service that has both keys goes on with them within minutes. Keep the old key until `countersign doctor` names it no more"
        ))),
        Ok(secrets) if secrets.left > 0 => Err(Failure::Refused(format!(
            "the master key has changed, but {} authenticator secrets could not be opened with the old key; `countersign doctor` says more. Until then their users sign in with a recovery code only",
            secrets.left
        ))),
        Ok(_) => told_of_tokens(done.tokens),
    }
}

/// Refuses if not all tokens of providers are sealed under the new key.
fn told_of_tokens(tokens: std::result::Result<rewrap::Resealed, String>) -> Result<()> {
    match tokens {
        Err(error) => Err(Failure::Refused(format!(
            "the master key has changed, but not all tokens of providers are sealed under it yet ({error}); a running service that has both keys goes on with them within minutes. Keep the old key until `countersign doctor` names it no more"
        ))),
        Ok(tokens) if tokens.left > 0 => Err(Failure::Refused(format!(
            "the master key has changed, but the tokens of {} connected accounts could not be opened with the old key; `countersign doctor` says more. They come anew when their users sign in at the provider",
            tokens.left
        ))),
        Ok(_) => Ok(()),
    }
}
