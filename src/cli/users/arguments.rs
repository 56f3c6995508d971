//! The arguments of `users …`; `users` carries them out.

use clap::Subcommand;
use serde_json::{Map, Value};

use crate::cli::Output;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Users {
    /// Create a user; the password is read from the terminal or from standard input
    #[command(
        after_help = "Example:\n  echo \"$PASSWORD\" | countersign users create ana@example.com --name Ana --email-verified"
    )]
    Create {
        /// Email address
        email: String,
        /// Name of the user
        #[arg(long, default_value = "")]
        name: String,
        /// Roles, joined by commas
        #[arg(long, default_value = "user", value_parser = roles)]
        role: String,
        /// The mailbox counts as verified
        #[arg(long)]
        email_verified: bool,
        /// JSON object that feeds custom claims
        #[arg(long, default_value = "{}", value_parser = metadata)]
        metadata: Map<String, Value>,
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// List users, oldest first
    List {
        /// Only users whose email address contains this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only users with this role
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// The greatest number of users to list
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// The number of users to skip
        #[arg(long, default_value_t = 0)]
        offset: u32,
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
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Replace a user's roles: `user`, `admin`, those of [roles] in the settings, or several joined
    /// by commas
    SetRole {
        /// Email address or id of the user
        user: String,
        /// Roles, joined by commas, such as admin
        #[arg(value_parser = roles)]
        role: String,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Invite a user: create an account without a password, and queue a mail whose link sets one; a
    /// running service sends it
    #[command(
        after_help = "Example:\n  countersign users invite ana@example.com --redirect-to https://app.example.com/welcome"
    )]
    Invite {
        /// Email address
        email: String,
        /// Name of the user
        #[arg(long, default_value = "")]
        name: String,
        /// Roles, joined by commas
        #[arg(long, default_value = "user", value_parser = roles)]
        role: String,
        /// The page that receives the token and asks for a password: a URL of a trusted origin, or
        /// a path of this service
        #[arg(long, value_name = "URL")]
        redirect_to: String,
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Change a user's name, email address or picture; a new email address ends every session, and
    /// a notice is sent to the old one
    Update {
        /// Email address or id of the user
        user: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// New email address
        #[arg(long)]
        email: Option<String>,
        /// Whether the mailbox counts as verified
        #[arg(long, value_name = "BOOL")]
        email_verified: Option<bool>,
        /// URL of a picture; an empty text removes it
        #[arg(long)]
        image: Option<String>,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Replace a user's metadata, which feeds custom claims
    SetMetadata {
        /// Email address or id of the user
        user: String,
        /// A JSON object
        #[arg(value_parser = metadata)]
        metadata: Map<String, Value>,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Ban a user, with or without an end; every session of the user ends
    Ban {
        /// Email address or id of the user
        user: String,
        /// Shown to other admins, not to the user
        #[arg(long)]
        reason: Option<String>,
        /// The length of the ban, such as 7d; without it the ban has no end
        #[arg(long = "for", value_name = "TIME", value_parser = crate::cli::span)]
        time: Option<std::time::Duration>,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
    },
    /// Lift the ban of a user
    Unban {
        /// Email address or id of the user
        user: String,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a user with every session and account; this cannot be undone
    Delete {
        /// Email address or id of the user
        user: String,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
    },
    /// Disable a user; every session of the user ends
    Disable {
        /// Email address or id of the user
        user: String,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
    },
    /// Enable a disabled user
    Enable {
        /// Email address or id of the user
        user: String,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

fn metadata(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))
}

/// Parses roles. RFC 6749 defines no form for them; this one allows neither commas nor spaces
/// inside.
fn roles(text: &str) -> std::result::Result<String, String> {
    let good = |role: &str| {
        (1..=32).contains(&role.len())
            && role
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    if text.split(',').all(good) {
        Ok(text.to_owned())
    } else {
        Err("roles are lower-case letters, digits, - and _, joined by commas".into())
    }
}
