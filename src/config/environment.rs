//! Environment variables: which are settings, which are read elsewhere in this program, and which a
//! platform set.

use std::ffi::OsString;

use super::Problem;

/// The prefix of every variable of this program.
pub(super) const PREFIX: &str = "COUNTERSIGN_";

/// Variables that are not of the form section and key.
const APART: [&str; 5] = [
    "COUNTERSIGN_CONFIG",
    "COUNTERSIGN_MASTER_KEY",
    "COUNTERSIGN_MASTER_KEY_FILE",
    "COUNTERSIGN_PREVIOUS_MASTER_KEY",
    "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE",
];

/// Returns the variables that are valid text. A variable of this program that is not valid is
/// reported as a problem; otherwise the default would be used without a notice.
pub fn texts(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Vec<Problem>> {
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => texts.push((name, value)),
            Err(_) if name.starts_with(PREFIX) || name == "DATABASE_URL" => {
                problems.push(Problem {
                    key: name,
                    message: "is not valid UTF-8".into(),
                });
            }
            Err(_) => {}
        }
    }
    if problems.is_empty() {
        Ok(texts)
    } else {
        Err(problems)
    }
}

/// The kind of a variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// The setting with this key. `platform`: the name is of a form that a platform sets, so the
    /// variable is ignored unless there is such a setting.
    Setting { key: String, platform: bool },
    /// A variable that is read elsewhere (`APART`) or does not belong to this program.
    Other,
    /// A variable with the prefix of this program that it does not know.
    Unknown,
}

/// Classifies a variable by its name.
pub(super) fn classify(name: &str) -> Variable {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return Variable::Other;
    };
    match rest.split_once("__") {
        Some((section, key)) => {
            let key = format!(
                "{}.{}",
                section.to_ascii_lowercase(),
                key.to_ascii_lowercase().replace("__", ".")
            );
            Variable::Setting {
                key,
                platform: is_of_a_platform(name),
            }
        }
        None if rest == "PROFILE" => Variable::Setting {
            key: rest.to_ascii_lowercase(),
            platform: false,
        },
        None if APART.contains(&name) => Variable::Other,
        None => Variable::Unknown,
    }
}

/// Returns whether the name is of a form that Kubernetes sets in the pods of a namespace for each
/// Service in it (and Docker for a link): for a Service named `countersign` they are
/// `COUNTERSIGN_SERVICE_HOST`, `COUNTERSIGN_PORT`, `COUNTERSIGN_PORT_4000_TCP_ADDR` and similar
/// ones.
pub(super) fn is_of_a_platform(name: &str) -> bool {
    let is_port = |text: &str| {
        let (number, rest) = text.split_once('_').unwrap_or((text, ""));
        let (protocol, member) = rest.split_once('_').unwrap_or((rest, ""));
        !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
            && matches!(protocol, "TCP" | "UDP" | "SCTP")
            && matches!(member, "" | "PROTO" | "PORT" | "ADDR")
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT_")
        || name
            .match_indices("_PORT_")
            .any(|(at, mark)| is_port(&name[at + mark.len()..]))
        || name.starts_with("COUNTERSIGN_ENV_")
        || name == "COUNTERSIGN_NAME"
}

/// Returns the warnings about variables that are not used: one line for all of a platform, and one
/// for each other variable, with the name that was probably meant.
pub(super) fn warnings(unknown: &[String], settings: &[String]) -> Vec<String> {
    let (platform, misspelt): (Vec<&String>, Vec<&String>) =
        unknown.iter().partition(|name| is_of_a_platform(name));
    let names: Vec<String> = settings
        .iter()
        .map(|key| variable(key))
        .chain(APART.map(ToOwned::to_owned))
        .collect();
    let mut said: Vec<String> = misspelt
        .iter()
        .map(|name| match nearest_variable(name, &names) {
            Some(near) => format!("the variable {name} is not used; did you mean {near}?"),
            None => format!("the variable {name} is not used; settings are named {PREFIX}<SECTION>__<KEY>, with two underscores"),
        })
        .collect();
    if !platform.is_empty() {
        let list = platform
            .into_iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        said.push(format!("not used, because they look like variables that a platform sets for a Service or a link: {list} (Kubernetes: `enableServiceLinks: false`)"));
    }
    said
}

/// Returns the environment variable of a setting.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// Finds the name that was probably meant: with one underscore instead of two, or with a typing
/// error.
fn nearest_variable<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    let plain = |text: &str| text.replace("__", "_");
    names
        .iter()
        .find(|known| plain(known) == plain(name))
        .or_else(|| {
            nearest(name.trim_start_matches(PREFIX), names, |known| {
                known.trim_start_matches(PREFIX)
            })
        })
}

/// Finds the name that was probably meant. One edit is allowed, or one for every three letters of
/// the name's last part, up to three; swapped neighbours are one edit. A key without its section,
/// or in a wrong section, is found if only one section has it.
pub(super) fn nearest<'a>(
    wrong: &str,
    names: &'a [String],
    text: impl Fn(&'a str) -> &'a str,
) -> Option<&'a String> {
    const MOST: usize = 3;
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let allowed = (last(wrong).chars().count() / 3).clamp(1, MOST);
    let slips = |name: &'a String| strsim::osa_distance(wrong, text(name));
    let near = names
        .iter()
        .min_by_key(|name| slips(name))
        .filter(|name| slips(name) <= allowed);
    near.or_else(|| {
        let mut same = names.iter().filter(|name| last(name) == last(wrong));
        same.next().filter(|_| same.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_makes_for_a_service_is_told_from_what_an_operator_wrote() {
        for name in [
            "COUNTERSIGN_SERVICE_HOST",
            "COUNTERSIGN_SERVICE_PORT",
            "COUNTERSIGN_SERVICE_PORT_HTTP",
            "COUNTERSIGN_PORT",
            "COUNTERSIGN_PORT_4000_TCP",
            "COUNTERSIGN_PORT_4000_TCP_PROTO",
            "COUNTERSIGN_PORT_4000_TCP_PORT",
            "COUNTERSIGN_PORT_4000_TCP_ADDR",
            "COUNTERSIGN_PORT_53_UDP_ADDR",
            "COUNTERSIGN_MASTER_KEY_SERVICE_HOST",
            "COUNTERSIGN_MASTER_KEY_PORT_443_TCP_ADDR",
            "COUNTERSIGN_ENV_COUNTERSIGN_SERVER__LISTEN",
        ] {
            assert!(is_of_a_platform(name), "{name}");
        }
        for name in [
            "COUNTERSIGN_SERVER__LISTEN",
            "COUNTERSIGN_MASTER_KEY",
            "COUNTERSIGN_PORTS",
            "COUNTERSIGN_PORT_HTTP_TCP",
            "COUNTERSIGN_PORT_80_TCP_X",
        ] {
            assert!(!is_of_a_platform(name), "{name}");
        }
        assert_eq!(classify("COUNTERSIGN_MASTER_KEY_FILE"), Variable::Other);
        assert_eq!(classify("COUNTERSIGN_PORT"), Variable::Unknown);
        assert_eq!(
            classify("COUNTERSIGN_KEYS__A_PORT"),
            Variable::Setting {
                key: "keys.a_port".into(),
                platform: true
            }
        );
        assert_eq!(classify("PATH"), Variable::Other);
    }

    #[test]
    fn a_variable_that_is_not_used_is_said_with_the_name_that_was_meant() {
        let settings = ["server.listen".to_owned(), "sessions.idle_ttl".to_owned()];
        let said = |names: &[&str]| {
            warnings(
                &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(),
                &settings,
            )
        };
        assert!(
            said(&["COUNTERSIGN_SERVER_LISTEN"])[0]
                .ends_with("did you mean COUNTERSIGN_SERVER__LISTEN?")
        );
        assert!(
            said(&["COUNTERSIGN_MASTER_KEYFILE"])[0]
                .ends_with("did you mean COUNTERSIGN_MASTER_KEY_FILE?")
        );
        assert!(said(&["COUNTERSIGN_COLOUR"])[0].contains("with two underscores"));
        assert_eq!(
            said(&["COUNTERSIGN_PORT", "COUNTERSIGN_SERVICE_HOST"]).len(),
            1,
            "one line for all of a platform's"
        );
    }

    #[test]
    fn only_what_a_person_would_call_near_is_suggested() {
        let names: Vec<String> = [
            "keys.dir",
            "log.level",
            "mail.dir",
            "mail.from",
            "server.listen",
            "sessions.idle_ttl",
            "sessions.refresh_grace",
            "tokens.typ",
        ]
        .map(Into::into)
        .into();
        for (wrong, meant) in [
            ("sessions.idel_ttl", "sessions.idle_ttl"),
            ("session.idle_ttl", "sessions.idle_ttl"),
            ("idle_ttl", "sessions.idle_ttl"),
            ("tokens.idle_ttl", "sessions.idle_ttl"),
            ("tokens.tpy", "tokens.typ"),
            ("log.levl", "log.level"),
            ("sesions.refresh_graze", "sessions.refresh_grace"),
            ("keys.dri", "keys.dir"),
        ] {
            assert_eq!(
                nearest(wrong, &names, |n| n).map(String::as_str),
                Some(meant),
                "{wrong}"
            );
        }
        for wrong in [
            "nope.x",
            "server.port",
            "mail.to",
            "log.lvl",
            "dir",
            "x",
            "",
            "tokens.colour",
        ] {
            assert_eq!(nearest(wrong, &names, |n| n), None, "{wrong}");
        }
    }
}
