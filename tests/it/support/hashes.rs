//! Password hashes of other software, from `tests/fixtures`: made by that software, of no real people.

use countersign::crypto::foreign::{
    FirebaseParameters, ForeignHash, Format, Options, Order, Pepper, Salt, Unusable,
};
use serde_json::Value;

/// The pepper of the sample of Devise.
pub const PEPPER: &str = "s3cret pepper of devise";

/// A hash as a software wrote it, and its password.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Sample {
    pub format: String,
    pub hash: String,
    pub password: String,
    pub by: String,
}

/// The hashes of the fixtures: the 31 that the design was tried with.
pub fn tried() -> Vec<Sample> {
    read(include_str!("../../fixtures/hashes.jsonl"))
}

/// Those, and the spellings that they do not have.
pub fn all() -> Vec<Sample> {
    let more = read(include_str!("../../fixtures/more_hashes.jsonl"));
    tried().into_iter().chain(more).collect()
}

/// The hash of this format that comes first.
pub fn of(format: &str) -> Sample {
    let found = all().into_iter().find(|sample| sample.format == format);
    found.unwrap_or_else(|| panic!("there is no {format}"))
}

fn read(lines: &str) -> Vec<Sample> {
    let sample = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(sample).collect()
}

impl Sample {
    /// The hash as an import reads it.
    pub fn read(&self) -> ForeignHash {
        self.read_text(&self.hash)
            .unwrap_or_else(|error| panic!("{}: {error}", self.format))
    }

    /// Reads another text as if it stood in place of the hash.
    pub fn read_text(&self, text: &str) -> Result<ForeignHash, Unusable> {
        let mut options = Options::default();
        let pepper = Pepper::new(PEPPER.as_bytes());
        let format = match self.format.split_once('-').map_or("", |(name, _)| name) {
            "django" => Format::Django,
            "werkzeug" => Format::Werkzeug,
            "argon2" => Format::Argon2,
            "aspnet" => Format::Aspnet,
            "better" => Format::BetterAuth,
            "keycloak" => Format::Keycloak,
            "devise" => {
                options.pepper = Some(&pepper);
                Format::Devise
            }
            "firebase" => return firebase(text),
            _ if self.format == "raw-md5-hex" => Format::RawMd5,
            _ if self.format == "raw-sha256-salted" => return salted(text),
            _ if self.format == "keycloak" => Format::Keycloak,
            _ if self.format.starts_with("bcrypt") => Format::Bcrypt,
            _ => Format::Passlib,
        };
        ForeignHash::from_software(format, text, &options)
    }
}

/// The row of Firebase with the parameters of its project.
fn firebase(text: &str) -> Result<ForeignHash, Unusable> {
    let row: Value = serde_json::from_str(text).unwrap();
    let text = |name: &str| row[name].as_str().unwrap();
    let number = |name: &str| row[name].as_u64().unwrap();
    let project = FirebaseParameters::new(
        text("signerKey"),
        text("saltSeparator"),
        u32::try_from(number("rounds")).unwrap(),
        u8::try_from(number("memCost")).unwrap(),
    )?;
    let options = Options {
        salt: Some(Salt::Base64(text("salt"))),
        firebase: Some(&project),
        ..Options::default()
    };
    ForeignHash::from_software(Format::Firebase, text("hash"), &options)
}

/// A digest whose salt stands beside it.
fn salted(text: &str) -> Result<ForeignHash, Unusable> {
    let row: Value = serde_json::from_str(text).unwrap();
    assert_eq!(row["order"], "salt+password");
    let options = Options {
        salt: Some(Salt::Base64(row["salt"].as_str().unwrap())),
        order: Order::SaltFirst,
        ..Options::default()
    };
    ForeignHash::from_software(Format::RawSha256, row["hex"].as_str().unwrap(), &options)
}
