//! Files of users as other software writes them. Each format is a reader: a stream of rows, each a
//! candidate or what is wrong with it. No reader holds more than one row, and no row is longer than
//! one MiB.

mod auth0;
mod clerk;
mod cognito;
mod columns;
mod csv;
mod devise;
mod django;
mod elements;
mod firebase;
mod gotrue;
mod json;
mod jsonl;
mod keycloak;
mod lines;
mod records;
mod users;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde_json::{Map, Value};

use crate::model::import::candidate::Candidate;
use crate::model::import::draft::Draft;
use crate::model::import::reason::{Place, Reason, RowError};

/// The most bytes of a row.
pub const MAX_ROW: usize = 1 << 20;

/// The name in `--drop` that leaves out the accounts at providers, in every format.
pub const ACCOUNTS: &str = "accounts";

macro_rules! formats {
    ($($(#[$doc:meta])* $format:ident => $name:literal,)*) => {
        /// The formats of files.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Format {
            $($(#[$doc])* $format,)*
        }

        impl Format {
            /// Lists all formats, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$format,)*];

            /// Returns the name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$format => $name,)*
                }
            }
        }
    };
}

formats! {
    /// Our own form: a JSON object a line.
    Jsonl => "jsonl",
    /// CSV with any columns, by `--map`.
    Csv => "csv",
    /// Auth0's exports: a JSON object a line.
    Auth0 => "auth0",
    /// GoTrue (Supabase Auth): CSV of the query in `docs/moving.md`.
    Gotrue => "gotrue",
    /// Django's `dumpdata`: a JSON array.
    Django => "django",
    /// Devise: CSV of the table of users.
    Devise => "devise",
    /// Clerk's export: CSV.
    Clerk => "clerk",
    /// Cognito's list of users as CSV.
    Cognito => "cognito",
    /// Firebase's `auth:export`: JSON.
    Firebase => "firebase",
    /// Keycloak's export of a realm: JSON.
    Keycloak => "keycloak",
    /// CSV with the columns `sub`, `email` and `name`.
    Users => "users",
}

/// How a file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format of the file.
    pub format: Format,
    /// `csv`: which column holds which field.
    pub map: BTreeMap<String, String>,
    /// Columns and members that are left out.
    pub drop: BTreeSet<String>,
}

/// Why no row of a file can be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The operating system cannot read it.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not of the format; the text says why.
    #[error("{0}")]
    NotOfTheFormat(String),
}

/// A row: a user, or what is wrong with it.
pub type Row = Result<Candidate, RowError>;

/// The rows of a file; an error ends them.
pub type Rows = Box<dyn Iterator<Item = Result<Row, Unreadable>> + Send>;

/// Returns the rows of a file.
///
/// # Errors
/// [`Unreadable`] if its beginning shows that it is not of the format.
pub fn rows(file: impl Read + Send + 'static, options: &ReadOptions) -> Result<Rows, Unreadable> {
    let parse = match options.format {
        Format::Jsonl => return lines::rows(file, options, jsonl::draft),
        Format::Auth0 => return lines::rows(file, options, auth0::draft),
        Format::Django => return elements::rows(file, options, None, django::draft),
        Format::Firebase => return elements::rows(file, options, Some("users"), firebase::draft),
        Format::Keycloak => return elements::rows(file, options, Some("users"), keycloak::draft),
        Format::Csv => csv::parser(options)?,
        Format::Gotrue => gotrue::parser(),
        Format::Devise => devise::parser(),
        Format::Clerk => clerk::parser(),
        Format::Cognito => cognito::parser(),
        Format::Users => users::parser(),
    };
    records::rows(file, options, parse)
}

/// A row of JSON as a draft; `None` for an object that stands for no user.
type ParseObject = fn(json::Object) -> Result<Option<Draft>, Reason>;

/// Makes a candidate of what a reader found.
fn checked(mut draft: Draft, place: Place, drop: &BTreeSet<String>) -> Row {
    if drop.contains(ACCOUNTS) {
        draft.accounts.clear();
    }
    draft.check(place)
}

/// Returns the name of a provider in our settings for one of the source's names.
fn provider(name: &str) -> String {
    let ours = match name {
        "google-oauth2" | "google.com" | "google_oauth2" => "google",
        "github.com" => "github",
        "apple.com" => "apple",
        "gitlab.com" => "gitlab",
        "windowslive" | "microsoft.com" | "azure" => "microsoft",
        other => other,
    };
    ours.to_owned()
}

/// Returns the members of a JSON value; those of anything but an object are none.
fn members(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}
