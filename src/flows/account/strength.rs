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

/// How many code points of a password are estimated. The time of an estimate grows faster than the
/// length, and a password of this length without a pattern is strong whatever follows.
const ESTIMATED: usize = 64;

/// How many of the user's own words the estimate knows, and the longest of them in bytes.
const OWN_WORDS: usize = 32;
const LONGEST_OWN: usize = 64;

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
    let start: String = text.chars().take(ESTIMATED).collect();
    let names = own
        .iter()
        .copied()
        .chain([app.config.mail.app_name.as_str()]);
    let words: Vec<&str> = names
        .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| (1..=LONGEST_OWN).contains(&word.len()))
        .take(OWN_WORDS)
        .collect();
    Ok(match zxcvbn(&start, &words).score() {
        Score::Zero | Score::One => Strength::Weak,
        Score::Two => Strength::Fair,
        _ => Strength::Strong,
    })
}
