//! What `keys …` can be told.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::cli::Output;

use super::rewrap;

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(in crate::cli) enum Format {
    /// A JWK Set (RFC 7517)
    #[default]
    Jwks,
    /// SubjectPublicKeyInfo PEM blocks
    Pem,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum As {
    /// Signs next
    #[default]
    Standby,
    /// Only verifies tokens that it signed elsewhere
    Retired,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Keys {
    /// List keys: kid, algorithm, state, since when, when they leave the JWKS; as a table also the
    /// master keys and which processes hold them
    List {
        /// Revoked and removed keys too
        #[arg(long)]
        all: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Let the standby key sign from now on
    #[command(
        after_help = "Examples:\n  countersign keys rotate --dry-run\n  countersign keys rotate --compromised --yes    the master key or the database with it leaked"
    )]
    Rotate {
        /// The keys leaked: replace all of them. Verifiers with caches refuse new tokens until they
        /// fetch again
        #[arg(long)]
        compromised: bool,
        /// Do not wait until every verifier can have seen the standby key
        #[arg(long)]
        force: bool,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Take a leaked key out of the JWKS at once; the standby key takes over
    Revoke {
        /// The key
        // One thumbprint in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Why; kept with the key
        #[arg(long)]
        reason: String,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print the public keys; private keys are never exported
    Export {
        /// Required, so that nobody expects more
        #[arg(long, required = true)]
        public: bool,
        /// Which form
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Import an Ed25519 private key (PKCS#8 PEM or JWK)
    Import {
        /// The file; - for standard input
        file: PathBuf,
        /// What it becomes
        #[arg(long = "as", value_enum, default_value_t)]
        state: As,
        /// The kid you expect; refused if the key's thumbprint is another
        #[arg(long, allow_hyphen_values = true)]
        kid: Option<String>,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// List the processes that serve, and which master keys each of them holds
    Processes {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Seal every private key under a new master key
    #[command(
        after_help = "Give every replica the new key first as COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE, then rewrap, then make it the master key and keep\nthe old one as the previous key for sessions.idle_ttl. Refused while a running process lacks the new key (`keys processes`). With --compromised\nthe old key is not accepted any more: everybody signs in again."
    )]
    Rewrap(rewrap::Arguments),
    /// Give up everything that a lost master key sealed: new signing keys, everybody signs in again
    /// (docs/operations.md)
    Abandon {
        /// Required, so that the command is not mistaken for a rotation
        #[arg(long, required = true)]
        lost_master_key: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Explain an access token: which key, which claims, valid or why not
    Verify {
        /// The token; - for standard input
        token: String,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}
