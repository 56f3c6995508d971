//! The arguments of `users import`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use crate::cli::{Caution, key_value};
use crate::import::Format;
use crate::model::import::policy::{OnDuplicate, RoleMapping};

/// Parses the name of a format.
fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.iter().map(|format| format.name())).map(|name| {
        let named = Format::ALL.iter().find(|format| format.name() == name);
        named.copied().unwrap_or(Format::Jsonl)
    })
}

/// Parses what is done about duplicates.
fn on_duplicate() -> impl TypedValueParser<Value = OnDuplicate> {
    PossibleValuesParser::new(OnDuplicate::ALL.map(OnDuplicate::as_str)).map(|name| {
        let named = OnDuplicate::ALL
            .into_iter()
            .find(|choice| choice.as_str() == name);
        named.unwrap_or_default()
    })
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The file, or - for standard input
    pub(super) file: PathBuf,
    /// What wrote the file
    #[arg(long, value_parser = format())]
    pub(super) format: Format,
    /// The name of the source, within which ids are unique; without it the name of the format
    #[arg(long, value_name = "NAME", value_parser = source)]
    pub(super) source: Option<String>,
    /// csv: the column of each field, such as email=mail; separated by commas
    #[arg(long, value_name = "FIELD=COLUMN", value_delimiter = ',', value_parser = key_value)]
    pub(super) map: Vec<(String, String)>,
    /// Leave out a column or member for which there is no rule; `accounts` leaves out the accounts
    /// at providers; separated by commas
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(super) drop: Vec<String>,
    /// firebase: a file with the parameters of the project's hashes, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) firebase_params: Option<PathBuf>,
    /// What is done about an email address that has an account here
    #[arg(long, value_name = "CHOICE", default_value = "refuse", value_parser = on_duplicate())]
    pub(super) on_duplicate: OnDuplicate,
    /// Email addresses that the source has verified count as verified here
    #[arg(long)]
    pub(super) trust_verified: bool,
    /// A role of the source and what it is here, such as staff=editor; separated by commas
    #[arg(long, value_name = "ROLE=ROLE", value_delimiter = ',')]
    pub(super) role_map: Vec<RoleMapping>,
    /// Take users whom the source asks for a second factor, and drop the factor
    #[arg(long)]
    pub(super) without_second_factor: bool,
    /// Import the other rows if some are refused
    #[arg(long)]
    pub(super) allow_refused: bool,
    /// Write one line of JSON for each row into this file, which must not exist
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pub(super) report: Option<PathBuf>,
    /// Go on with an import that was interrupted, with the same file and options
    #[arg(long, value_name = "BATCH", conflicts_with = "dry_run")]
    pub(super) resume: Option<String>,
    #[command(flatten)]
    pub(super) caution: Caution,
}

/// Parses the name of a source.
fn source(text: &str) -> std::result::Result<String, String> {
    let is_good = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_good
        .then(|| text.to_owned())
        .ok_or_else(|| "write 1 to 64 letters, digits, -, _ or .".to_owned())
}
