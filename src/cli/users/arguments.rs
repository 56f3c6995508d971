//! The arguments of `users …`; `users` carries them out.

use clap::{ArgGroup, Subcommand};
use serde_json::{Map, Value};

use crate::model::account::email::Email;
use crate::model::account::profile::{BanReason, DisplayName, ImageUrl};
use crate::model::kernel::period::Period;

use super::import::Import;
use crate::cli::paging::Numbered;
use crate::cli::{Caution, Output, Trial};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Users {
    /// Create a user; the password is read from the terminal or from standard input
    #[command(
        after_help = "Example:\n  echo \"$PASSWORD\" | countersign users create ana@example.com --name Ana --email-verified"
    )]
    Create {
        /// Email address
        email: Email,
        /// Name of the user, in at most 256 characters
        #[arg(long, default_value = "")]
        name: DisplayName,
        /// Roles, joined by commas
        #[arg(long, default_value = "user")]
        role: String,
        /// The mailbox counts as verified
        #[arg(long)]
        email_verified: bool,
        /// JSON object that feeds custom claims
        #[arg(long, default_value = "{}", value_parser = metadata)]
        metadata: Map<String, Value>,
        #[command(flatten)]
        trial: Trial,
    },
    /// List users, oldest first
    List {
        /// Only users whose email address contains this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only users with this role
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        #[command(flatten)]
        paging: Numbered,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show one user
    Show {
        /// Email address or id of the user
        user: String,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Set a password, read as in `create`; every session of the user ends
    SetPassword {
        /// Email address or id of the user
        user: String,
        #[command(flatten)]
        trial: Trial,
    },
    /// Replace a user's roles: `user`, `admin`, those of [roles] in the settings, or several joined
    /// by commas
    SetRole {
        /// Email address or id of the user
        user: String,
        /// Roles, joined by commas, such as admin
        role: String,
        #[command(flatten)]
        trial: Trial,
    },
    /// Invite a user: create an account without a password, and queue a mail whose link sets one; a
    /// running service sends it
    #[command(
        after_help = "Examples:\n  countersign users invite ana@example.com --name Ana\n  countersign users invite ana@example.com --redirect-to https://app.example.com/welcome"
    )]
    Invite {
        /// Email address
        email: Email,
        /// Name of the user, in at most 256 characters
        #[arg(long, default_value = "")]
        name: DisplayName,
        /// Roles, joined by commas
        #[arg(long, default_value = "user")]
        role: String,
        /// The page that receives the token and asks for a password: a URL of a trusted origin, or
        /// a path of this service; without it a page of this service
        #[arg(long, value_name = "URL")]
        redirect_to: Option<String>,
        #[command(flatten)]
        trial: Trial,
    },
    /// Change a user's name, email address or picture; a new email address ends every session, and
    /// a notice is sent to the old one
    Update {
        /// Email address or id of the user
        user: String,
        /// New name, in at most 256 characters
        #[arg(long)]
        name: Option<DisplayName>,
        /// New email address
        #[arg(long)]
        email: Option<Email>,
        /// Whether the mailbox counts as verified
        #[arg(long, value_name = "BOOL")]
        email_verified: Option<bool>,
        /// URL of a picture, in at most 2,048 characters; an empty text removes it
        #[arg(long)]
        image: Option<ImageUrl>,
        #[command(flatten)]
        trial: Trial,
    },
    /// Require a new password: the old one opens no session any more, and every session ends
    #[command(
        group(ArgGroup::new("whose").required(true).args(["user", "all"])),
        after_help = "For the time after a leak of the database or of passwords. The owner of the mailbox sets a new password by the link for forgotten passwords;\nwithout mail, set one with `users set-password`. Users without a password are not affected.\n\nExamples:\n  countersign users require-new-password ana@example.com\n  countersign users require-new-password --all --dry-run"
    )]
    RequireNewPassword {
        /// Email address or id of the user
        user: Option<String>,
        /// Every user; every session of all users and every link that was sent in a mail end
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        caution: Caution,
    },
    /// Replace a user's metadata, which feeds custom claims
    SetMetadata {
        /// Email address or id of the user
        user: String,
        /// A JSON object
        #[arg(value_parser = metadata)]
        metadata: Map<String, Value>,
        #[command(flatten)]
        trial: Trial,
    },
    /// Ban a user, with or without an end; every session of the user ends
    Ban {
        /// Email address or id of the user
        user: String,
        /// Shown to other admins, not to the user; at most 1,024 characters
        #[arg(long)]
        reason: Option<BanReason>,
        /// The length of the ban, such as 7d; without it the ban has no end
        #[arg(long = "for", value_name = "TIME")]
        time: Option<Period>,
        #[command(flatten)]
        caution: Caution,
    },
    /// Lift the ban of a user
    Unban {
        /// Email address or id of the user
        user: String,
        #[command(flatten)]
        trial: Trial,
    },
    /// Delete a user with every session and account; this cannot be undone
    Delete {
        /// Email address or id of the user
        user: String,
        #[command(flatten)]
        caution: Caution,
    },
    /// Disable a user; every session of the user ends
    Disable {
        /// Email address or id of the user
        user: String,
        #[command(flatten)]
        caution: Caution,
    },
    /// Show the second factors and passkeys of a user
    Factors {
        /// Email address or id of the user
        user: String,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Remove every second factor and passkey of a user who has lost them; every session of the user ends
    #[command(
        after_help = "For a user who has lost the phone and the recovery codes. The password stays, and the user gets a mail.\n\nExample:\n  countersign users reset-factors ana@example.com"
    )]
    ResetFactors {
        /// Email address or id of the user
        user: String,
        /// Remove the authenticator app and the recovery codes alone
        #[arg(long)]
        totp: bool,
        /// Remove the passkeys alone
        #[arg(long)]
        passkeys: bool,
        #[command(flatten)]
        caution: Caution,
    },
    /// Show the accounts of other providers that are connected to a user
    Links {
        /// Email address or id of the user
        user: String,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Disconnect an account of another provider from a user; the sessions that it opened end
    #[command(
        after_help = "The ids are those of `countersign users links USER`.\n\nExample:\n  countersign users unlink ana@example.com 01a22fc9-36e5-7577-8412-3bd259b1ec68"
    )]
    Unlink {
        /// Email address or id of the user
        user: String,
        /// Id of the connected account
        account: String,
        #[command(flatten)]
        caution: Caution,
    },
    /// Import users from a file of other software
    #[command(
        after_help = "The file is checked whole first: if a row is refused, nothing is imported. docs/moving.md has a section for each source.\n\nExamples:\n  countersign users import users.jsonl --format jsonl --dry-run --report report.jsonl\n  countersign users import users.csv --format csv --map id=user_id,email=mail --trust-verified"
    )]
    Import(Box<Import>),
    /// List imports, or show one
    Imports {
        /// Id of the import
        batch: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Take an import back: delete its users, but those who have been here since
    Rollback {
        /// Id of the import
        batch: String,
        #[command(flatten)]
        caution: Caution,
    },
    /// Enable a disabled user
    Enable {
        /// Email address or id of the user
        user: String,
        #[command(flatten)]
        trial: Trial,
    },
}

fn metadata(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text)
        .map_err(|e| format!("write a JSON object such as '{{\"plan\":\"pro\"}}': {e}"))
}
