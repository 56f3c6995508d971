//! `profile`: a named set of defaults for a standard. A setting that is written may be stricter, and
//! not weaker. `docs/settings.md` has the table with the reasons.

use std::time::Duration;

use super::reader::Reader;
use super::units::{HOUR, SECOND};
use super::{Passwords, Sessions, SignIn, TwoFactor};
use crate::model::login::level::Level;

/// A set of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// The defaults of the program.
    Standard,
    /// Authentication assurance level 2 of NIST SP 800-63B-4.
    NistAal2,
}

const DAY: Duration = Duration::from_secs(86_400);

/// What the profile sets: two factors, none of them a mailbox or a remembered device, and sessions
/// that end after an hour without use and after a day.
const NIST_AAL2: [(&str, &str); 7] = [
    ("sign_in.require", "2fa"),
    ("sign_in.by_mail", "false"),
    ("two_factor.email", "false"),
    ("two_factor.remember_device", "0s"),
    ("sessions.idle_ttl", "1h"),
    ("sessions.absolute_ttl", "1d"),
    ("passwords.blocklist", "true"),
];

/// Reads the name, and makes the values of the profile the defaults.
pub(super) fn read(r: &mut Reader) -> Profile {
    let names = [
        ("standard", Profile::Standard),
        ("nist-aal2", Profile::NistAal2),
    ];
    let profile = r.choice("profile", &names);
    if profile == Profile::NistAal2 {
        r.preset(&NIST_AAL2);
    }
    profile
}

impl Profile {
    /// Refuses settings that are weaker than the profile.
    pub(super) fn check(
        self,
        r: &mut Reader,
        sessions: &Sessions,
        passwords: &Passwords,
        sign_in: SignIn,
        two_factor: &TwoFactor,
    ) {
        if self == Self::Standard {
            return;
        }
        let remembers = two_factor.remember_device.is_some_and(|time| time > SECOND);
        for (key, is_weaker) in [
            ("sign_in.require", sign_in.require < Level::Two),
            ("sign_in.by_mail", sign_in.by_mail),
            ("two_factor.email", two_factor.email),
            ("two_factor.remember_device", remembers),
            ("sessions.idle_ttl", sessions.lifetime.idle > HOUR),
            ("sessions.absolute_ttl", sessions.lifetime.absolute > DAY),
            ("passwords.blocklist", !passwords.blocklist),
        ] {
            if is_weaker {
                let preset = NIST_AAL2.iter().find(|(name, _)| *name == key);
                let value = preset.map_or("", |(_, value)| value);
                r.problem(
                    key,
                    format!("is weaker than the profile nist-aal2 allows; leave it out, or set it to {value}"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources};
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let flags = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Config::load(&Sources {
            flags,
            ..Sources::default()
        })
        .map_err(|problems| problems.into_iter().map(|problem| problem.key).collect())
    }

    #[test]
    fn a_profile_sets_defaults_and_what_is_written_may_only_be_stricter() {
        let config = load(&[("profile", "nist-aal2")]).unwrap();
        assert_eq!(config.policies.general().least, Level::Two);
        assert!(!config.sign_in.by_mail && config.two_factor.remember_device.is_none());
        assert_eq!(config.sessions.lifetime.idle, HOUR);
        assert_eq!(config.sessions.lifetime.absolute, DAY);
        let stricter = [
            ("profile", "nist-aal2"),
            ("sessions.idle_ttl", "30m"),
            ("sessions.absolute_ttl", "12h"),
        ];
        let config = load(&stricter).unwrap();
        assert_eq!(config.sessions.lifetime.idle, HOUR / 2);
        for (key, weaker) in [
            ("sign_in.require", "1fa"),
            ("sign_in.by_mail", "true"),
            ("two_factor.email", "true"),
            ("two_factor.remember_device", "30d"),
            ("sessions.idle_ttl", "2h"),
            ("sessions.absolute_ttl", "2d"),
            ("passwords.blocklist", "false"),
        ] {
            let pairs = [
                ("profile", "nist-aal2"),
                (key, weaker),
                ("mail.transport", "log"),
            ];
            assert_eq!(load(&pairs).unwrap_err(), [key]);
        }
        assert_eq!(load(&[("profile", "nist-aal9")]).unwrap_err(), ["profile"]);
    }
}
