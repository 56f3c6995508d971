//! The arguments of `keys …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use crate::cli::Output;
use crate::model::key::algorithm::Algorithm;

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
    /// A key that signs next
    #[default]
    Standby,
    /// A key that only verifies tokens that it signed elsewhere
    Retired,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Keys {
    /// List keys: kid, algorithm, state, times, when they leave the JWKS; the table also shows the
    /// master keys and which processes have loaded them
    List {
        /// Include revoked and removed keys
        #[arg(long)]
        all: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Sign with the standby key from now on; without --algorithm, of every algorithm that signs
    #[command(
        after_help = "Examples:\n  countersign keys rotate --dry-run\n  countersign keys rotate --algorithm RS256 --force    nothing verifies RS256 yet: begin now\n  countersign keys rotate --compromised --yes    the master key or the database with it leaked"
    )]
    Rotate {
        /// Only the keys of this algorithm: EdDSA, Ed25519, ES256 or RS256
        #[arg(long)]
        algorithm: Option<Algorithm>,
        /// The keys leaked: replace all of them. Verifiers with caches refuse new tokens until they
        /// fetch again
        #[arg(long)]
        compromised: bool,
        /// Do not wait until every verifier can have fetched the standby key
        #[arg(long)]
        force: bool,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Remove a leaked key from the JWKS at once; the standby key replaces it
    Revoke {
        /// Id (kid) of the key
        // One thumbprint in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// The reason; stored with the key
        #[arg(long)]
        reason: String,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Stop signing with an algorithm that no audience uses any more: its keys leave the JWKS when
    /// their last tokens have expired
    Close {
        /// The algorithm: EdDSA, Ed25519, ES256 or RS256
        algorithm: Algorithm,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print the public keys; private keys are never exported
    Export {
        /// Required, to make clear that private keys are not exported
        #[arg(long, required = true)]
        public: bool,
        /// Only the keys of this audience of the settings, or `all` for every key
        #[arg(long)]
        audience: Option<String>,
        /// Format of the keys
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Import a private key (PKCS#8, PKCS#1 or SEC1 PEM, or JWK), or the public keys of another issuer
    #[command(
        after_help = "Examples:\n  countersign keys import key.pem                                     becomes the standby key\n  countersign keys import key.pem --kid auth-2024 --as retired        its tokens are still in use\n  countersign keys import old-jwks.json --public --as retired --longest-ttl 24h\n\nKeys: Ed25519, P-256, and RSA with 2048 to 4096 bits and the exponent 65537. With --public, this service takes the URL of another\nissuer over: the keys of its JWK Set stay published until its last tokens have expired, and never sign."
    )]
    Import(Import),
    /// List the serving processes, and which master keys each has loaded
    Processes {
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Seal every private key under a new master key
    #[command(
        after_help = "Give every replica the new key first as COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE, then rewrap, then make it the master key and keep\nthe old one as the previous key for sessions.idle_ttl. Refused while a running process lacks the new key (`keys processes`). With --compromised\nthe old key is not accepted any more: all users have to sign in again."
    )]
    Rewrap(rewrap::Arguments),
    /// Give up everything that a lost master key sealed: new signing keys replace the old ones, and
    /// all users have to sign in again (docs/operations.md)
    Abandon {
        /// Required, so that the command is not mistaken for a rotation
        #[arg(long, required = true)]
        lost_master_key: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Explain an access token: its key, its claims, and whether it is valid or why not
    Verify {
        /// The token; - for standard input
        token: String,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// The arguments of `keys import`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Import {
    /// The file; - for standard input
    pub(super) file: PathBuf,
    /// The state of the imported key
    #[arg(long = "as", value_enum, default_value_t)]
    pub(super) state: As,
    /// The kid that the key had elsewhere; otherwise that of the JWK, then its thumbprint
    #[arg(long, allow_hyphen_values = true)]
    pub(super) kid: Option<String>,
    /// The algorithm that an Ed25519 key signs by: EdDSA (the default) or Ed25519
    #[arg(long)]
    pub(super) algorithm: Option<Algorithm>,
    /// The file is the JWK Set of another issuer; there is no private key. Needs --as retired
    #[arg(long)]
    pub(super) public: bool,
    /// The longest lifetime of the tokens that the key signed elsewhere, such as 24h
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(super) longest_ttl: Option<Duration>,
    /// The issuer of those tokens; a warning follows if tokens of this service have another one
    #[arg(long)]
    pub(super) issuer: Option<String>,
    /// Print the plan and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}
