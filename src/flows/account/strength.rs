//! How hard a new password is to guess, for the pages: what the service would refuse is never
//! called good. The estimate is zxcvbn's, which knows words, names, dates and keyboard patterns
//! (Wheeler, USENIX Security 2016).

use zxcvbn::Score;
use zxcvbn::zxcvbn;

use crate::app::App;
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::limit::network::widest_network;

use super::choose_password::choose;

/// How many code points of a password are estimated. A longer password is at least as hard to
/// guess as its beginning, the time of an estimate grows faster than the length, and zxcvbn
/// computes the factorial of the number of parts, which overflows from 21 parts on.
const ESTIMATED: usize = 20;

/// How many of the user's own words the estimate knows, and their lengths in bytes.
const OWN_WORDS: usize = 32;
const OWN_LENGTHS: std::ops::RangeInclusive<usize> = 3..=20;

/// What a page tells about a new password.
#[derive(Debug)]
pub enum Strength {
    /// The service would refuse it, for this reason.
    Refused(Error),
    /// It is accepted, but among the first ones that an attacker tries.
    Weak,
    /// It withstands attempts at the sign-in form, but not at a stolen database.
    Fair,
    /// It is hard to guess.
    Strong,
}

/// Checks and estimates a password for a user with these names and email addresses; the requester's
/// network may ask for two a second for long.
///
/// # Errors
/// `TooManyRequests` if it asks for more.
pub async fn estimate(
    app: &App,
    text: &str,
    own: &[&str],
    requester: &Requester,
) -> Result<Strength> {
    if app.config.rate_limits.enabled {
        app.strength_pace
            .check(&widest_network(&requester.ip_address))
            .map_err(Error::TooManyRequests)?;
    }
    match choose(app, text, own).await {
        Ok(_) => {}
        Err(
            refused @ (Error::PasswordTooShort
            | Error::PasswordTooLong
            | Error::PasswordTooCommon
            | Error::PasswordCompromised),
        ) => return Ok(Strength::Refused(refused)),
        Err(error) => return Err(error),
    }
    let names = own.iter().copied();
    let names = names.chain([app.config.mail.app_name.as_str()]);
    Ok(strength_of(text, names))
}

/// Estimates a password that the service accepts; `names` are easy to guess for this user.
fn strength_of<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Strength {
    let start: String = text.chars().take(ESTIMATED).collect();
    let words: Vec<&str> = names
        .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| OWN_LENGTHS.contains(&word.len()))
        .take(OWN_WORDS)
        .collect();
    match zxcvbn(&start, &words).score() {
        Score::Zero | Score::One => Strength::Weak,
        Score::Two => Strength::Fair,
        _ => Strength::Strong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_chance_are_strong_and_patterns_and_own_words_are_not() {
        let of =
            |text: &str| strength_of(text, ["Griselda Quux", "grisel@example.com"].into_iter());
        for strong in [
            "clumsy trumpet orbit walnut",
            "kettle-fjord-mosaic-ladder",
            "x9!Qm#v2&Lp7",
        ] {
            assert!(matches!(of(strong), Strength::Strong), "{strong}");
        }
        for weak in ["aaaaaaaaab", "qwertyuiop1", "Passw0rd2024"] {
            assert!(matches!(of(weak), Strength::Weak), "{weak}");
        }
    }

    #[test]
    fn any_text_has_an_estimate() {
        for part in [
            "1",
            "a",
            "A1",
            "@",
            "0o",
            "12/31/",
            "\0",
            "e\u{301}",
            "שלום",
            "👩‍👩‍👧‍👦",
            "ﷺ",
            "İ",
            "qwerty",
        ] {
            for times in [1, 8, 64, 5_000] {
                let text = part.repeat(times);
                let _ = strength_of(&text, [part, &text].into_iter());
            }
        }
    }
}
