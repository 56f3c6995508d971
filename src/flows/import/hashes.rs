//! The password hashes of rows: which kind each is, and the text that is stored.

use serde_json::Value;

use crate::app::App;
use crate::crypto::foreign::{
    FirebaseParameters, ForeignHash, Format, Options, Pepper, Salt, Unusable,
};
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::judge::HashFound;
use crate::model::import::reason::Reason;

/// What the hashes of a file need besides.
#[derive(Default)]
pub struct Parameters {
    firebase: Option<FirebaseParameters>,
    pepper: Option<Pepper>,
}

impl Parameters {
    /// Takes the pepper of the settings and, for Firebase, the parameters of the project: JSON with
    /// `base64_signer_key`, `base64_salt_separator`, `rounds` and `mem_cost`, or the text that the
    /// console shows.
    ///
    /// # Errors
    /// [`Error::ImportRefused`] if the parameters of the project cannot be read.
    pub fn of(pepper: Option<&str>, firebase: Option<&str>) -> Result<Self> {
        Ok(Self {
            firebase: firebase.map(project).transpose()?,
            pepper: pepper.map(|pepper| Pepper::new(pepper.as_bytes())),
        })
    }
}

fn project(text: &str) -> Result<FirebaseParameters> {
    let refused = || {
        Error::ImportRefused(
            "the parameters of Firebase are JSON with base64_signer_key, base64_salt_separator, rounds and mem_cost".into(),
        )
    };
    let members: Value = serde_json::from_str(text).map_err(|_| refused())?;
    let text = |name: &str| members[name].as_str().ok_or_else(refused);
    let number = |name: &str| members[name].as_u64().ok_or_else(refused);
    FirebaseParameters::new(
        text("base64_signer_key")?,
        text("base64_salt_separator")?,
        u32::try_from(number("rounds")?).map_err(|_| refused())?,
        u8::try_from(number("mem_cost")?).map_err(|_| refused())?,
    )
    .map_err(|_| refused())
}

/// A hash that was read.
pub(super) struct Hash(ForeignHash);

impl Hash {
    /// Returns whether the hash is too cheap to be stored as it is.
    pub(super) fn must_be_wrapped(&self, app: &App) -> bool {
        self.0.must_be_wrapped(app.hasher.cost())
    }
}

/// Reads the hash of a row.
pub(super) fn read(
    hash: Option<&SourceHash>,
    parameters: &Parameters,
) -> (HashFound, Option<Hash>) {
    let Some(hash) = hash else {
        return (HashFound::None, None);
    };
    match understand(hash, parameters) {
        Ok(read) => (HashFound::Usable(read.kind().name()), Some(Hash(read))),
        Err(Unusable::NoPassword) => (HashFound::None, None),
        Err(Unusable::TooCostly) => (HashFound::TooCostly, None),
        Err(unusable @ (Unusable::Malformed | Unusable::Incomplete)) => {
            let reason = Reason::MalformedHash(unusable.name().into());
            (HashFound::Refused(reason), None)
        }
        Err(Unusable::Unknown) => {
            let reason = Reason::UnsupportedHash(beginning(&hash.text));
            (HashFound::Refused(reason), None)
        }
    }
}

fn understand(
    hash: &SourceHash,
    parameters: &Parameters,
) -> std::result::Result<ForeignHash, Unusable> {
    let mut options = Options {
        pepper: parameters.pepper.as_ref(),
        firebase: parameters.firebase.as_ref(),
        ..Options::default()
    };
    let text = hash.text.as_str();
    let format = match hash.spelling {
        HashSpelling::Tagged if text.starts_with("$argon2") => Format::Argon2,
        HashSpelling::Tagged if text.starts_with("$2") => Format::Bcrypt,
        HashSpelling::Tagged => Format::Stored,
        HashSpelling::Django => Format::Django,
        HashSpelling::Werkzeug => Format::Werkzeug,
        HashSpelling::Devise => Format::Devise,
        HashSpelling::Keycloak => Format::Keycloak,
        HashSpelling::Firebase => {
            let members: Value = serde_json::from_str(text).map_err(|_| Unusable::Malformed)?;
            let member = |name: &str| members[name].as_str().ok_or(Unusable::Malformed);
            options.salt = Some(Salt::Base64(member("salt")?));
            return ForeignHash::from_software(Format::Firebase, member("hash")?, &options);
        }
    };
    ForeignHash::from_software(format, text, &options)
}

/// Returns what of a hash names its kind: what stands before its first separator, but at most a few
/// characters, so that no report holds a hash.
fn beginning(text: &str) -> String {
    let text = text.trim_start_matches('$');
    let end = text.find(['$', ':', '}']).unwrap_or(0);
    text[..end].chars().take(12).collect()
}

/// Returns the text that is stored; a hash that is too cheap is wrapped into one of ours first.
pub(super) async fn stored(app: &App, hash: Hash, requester: &Requester) -> Result<String> {
    if hash.must_be_wrapped(app) {
        let slot = app.hasher.reserve(requester)?;
        Ok(app.hasher.wrap(slot, hash.0).await?)
    } else {
        Ok(hash.0.print())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(spelling: HashSpelling, text: &str) -> HashFound {
        let hash = SourceHash::unless_empty(spelling, text.to_owned());
        read(hash.as_ref(), &Parameters::default()).0
    }

    #[test]
    fn a_hash_is_usable_or_says_why_not_without_a_part_of_it() {
        let bcrypt = "$2b$10$HFByVPLA/wBYXmnwof4eQO4u51oFkFChrTYanGHBV/9eX9HiSYAHm";
        assert_eq!(
            found(HashSpelling::Tagged, bcrypt),
            HashFound::Usable("bcrypt")
        );
        assert_eq!(
            found(HashSpelling::Devise, bcrypt),
            HashFound::Usable("bcrypt")
        );
        assert_eq!(found(HashSpelling::Tagged, ""), HashFound::None);
        let costly = bcrypt.replace("$10$", "$31$");
        assert_eq!(found(HashSpelling::Tagged, &costly), HashFound::TooCostly);
        let refused = [
            (HashSpelling::Tagged, "$2b$10$short"),
            (HashSpelling::Django, "crypt$$secretsecretsecret"),
            (HashSpelling::Tagged, "secretsecretsecretsecretsecret"),
            (
                HashSpelling::Firebase,
                r#"{"hash":"c2VjcmV0","salt":"cw=="}"#,
            ),
            (HashSpelling::Keycloak, "{}"),
        ];
        for (spelling, text) in refused {
            let HashFound::Refused(reason) = found(spelling, text) else {
                panic!("{text} is taken");
            };
            let said = reason.to_string();
            assert!(!said.contains("secret") && !said.contains("c2Vj"), "{said}");
        }
    }

    #[test]
    fn the_parameters_of_firebase_are_json_with_four_members() {
        let good = r#"{"base64_signer_key":"YWJj","base64_salt_separator":"Bw==","rounds":8,"mem_cost":14}"#;
        assert!(Parameters::of(None, Some(good)).is_ok());
        for bad in [
            "",
            "{}",
            "[]",
            &good.replace("YWJj", "?"),
            &good.replace('8', "\"8\""),
        ] {
            assert!(Parameters::of(None, Some(bad)).is_err(), "{bad}");
        }
    }
}
