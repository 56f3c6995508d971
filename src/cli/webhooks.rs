//! `webhooks …`: makes a new secret for the signatures of webhook messages.

use clap::Subcommand;
use serde_json::json;

use crate::config::Config;
use crate::flows::audit::webhook_secret;
use crate::random::OsRandom;

use super::Output;
use super::output;

#[derive(Debug, Subcommand)]
pub(super) enum Webhooks {
    /// Print a new secret, and how to put it in force without losing a message
    #[command(
        after_help = "The secret goes to standard output and the steps to standard error. Nothing is changed: the secrets are settings. While the former\nsecret is in webhooks.previous_secret, each message carries a signature by either, and the receiver may verify with the one it has.\n\nExample:\n  (umask 077; countersign webhooks rotate-secret > new-secret)"
    )]
    RotateSecret {
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// The order of steps in which no message is refused by the receiver.
const STEPS: [&str; 3] = [
    "Set webhooks.previous_secret to the present value of webhooks.secret, set webhooks.secret to the new secret, and restart each process.",
    "Give the receiver the new secret. Until then it verifies with the former one.",
    "Remove webhooks.previous_secret and restart each process.",
];

pub(super) fn run(command: &Webhooks, config: &Config) {
    let Webhooks::RotateSecret { output: form } = command;
    let secret = webhook_secret::generate(&OsRandom);
    if *form == Output::Json {
        output::object(*form, &[("secret", json!(secret.as_str()))]);
    } else {
        output::line(&secret);
    }
    match &config.webhooks {
        None => output::note("No webhook is set: write this into webhooks.secret."),
        Some(webhooks) if webhooks.previous_secret.is_some() => output::note(
            "A former secret is still in webhooks.previous_secret: finish that replacement first, or a receiver that has it refuses messages.",
        ),
        Some(_) => {
            for (step, number) in STEPS.iter().zip(1..) {
                output::note(&format!("{number}. {step}"));
            }
        }
    }
}
