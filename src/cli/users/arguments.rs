//! What `users …` can be told.

use clap::Subcommand;
use serde_json::{Map, Value};

use crate::cli::Output;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Users {
    /// Make a user; the password is read from the terminal or from standard input
    #[command(
        after_help = "Example:\n  echo \"$PASSWORD\" | countersign users create ana@example.com --name Ana --email-verified"
    )]
    Create {
        /// Address
        email: String,
        /// Name
        #[arg(long, default_value = "")]
        name: String,
        /// Comma-joined roles
        #[arg(long, default_value = "user", value_parser = roles)]
        role: String,
        /// The mailbox is known to be the user's
        #[arg(long)]
        email_verified: bool,
        /// JSON object that feeds custom claims
        #[arg(long, default_value = "{}", value_parser = metadata)]
        metadata: Map<String, Value>,
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// List users, oldest first
    List {
        /// Only whose address holds this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only with this role
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Skip so many
        #[arg(long, default_value_t = 0)]
        offset: u32,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show one user
    Show {
        /// Address or id
        user: String,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Set a password, read as in `create`; every session of the user ends
    SetPassword {
        /// Address or id
        user: String,
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Replace a user's roles: `user`, `admin`, those of [roles] in the settings, or several joined
    /// by commas
    SetRole {
        /// Address or id
        user: String,
        /// Such as admin
        #[arg(value_parser = roles)]
        role: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Invite somebody: an account without a password, and a mail whose link sets one; a running
    /// service sends it
    #[command(
        after_help = "Example:\n  countersign users invite ana@example.com --redirect-to https://app.example.com/welcome"
    )]
    Invite {
        /// Address
        email: String,
        /// Name
        #[arg(long, default_value = "")]
        name: String,
        /// Comma-joined roles
        #[arg(long, default_value = "user", value_parser = roles)]
        role: String,
        /// The page that takes the token and asks for a password; a trusted origin, or a path of
        /// ours
        #[arg(long, value_name = "URL")]
        redirect_to: String,
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Change a user's name, address or picture; another address ends every session and is told at
    /// the old one
    Update {
        /// Address or id
        user: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Another address
        #[arg(long)]
        email: Option<String>,
        /// Whether the mailbox is known to be the user's
        #[arg(long, value_name = "BOOL")]
        email_verified: Option<bool>,
        /// Address of a picture; an empty one takes it away
        #[arg(long)]
        image: Option<String>,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Replace a user's metadata, which feeds custom claims
    SetMetadata {
        /// Address or id
        user: String,
        /// A JSON object
        #[arg(value_parser = metadata)]
        metadata: Map<String, Value>,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Ban a user, for ever or for a time; every session of the user ends
    Ban {
        /// Address or id
        user: String,
        /// What the user is not told, and other admins are
        #[arg(long)]
        reason: Option<String>,
        /// Such as 7d; without it for ever
        #[arg(long = "for", value_name = "TIME", value_parser = crate::cli::span)]
        time: Option<std::time::Duration>,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a banned user in again
    Unban {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a user with every session and account; there is no way back
    Delete {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Shut a user out; every session of the user ends
    Disable {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a user in again
    Enable {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

fn metadata(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))
}

/// RFC 6749 names no form for roles; ours is one that no comma or space can hide in.
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
