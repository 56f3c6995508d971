//! The reason why a command failed, and the exit status for it.

use crate::config::{Config, Problem};
use crate::flows;
use crate::model::account::password::Length;

/// The reason why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    Configuration(Vec<Problem>),
    Usage(String),
    Refused(String),
    /// A flow refused; [`Failure::explained`] says what the settings allow.
    RefusedByFlow(flows::Error),
    Internal(String),
    Startup(String),
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Returns the exit status of the process.
    pub(super) fn status(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::RefusedByFlow(_) => 1,
            Self::Usage(_) => 2,
            Self::Internal(_) => 70,
            Self::Configuration(_) | Self::Startup(_) => 78,
        }
    }

    /// Adds to the refusal of a flow what is allowed here, and which command helps.
    pub(super) fn explained(self, rules: &Rules) -> Self {
        match self {
            Self::RefusedByFlow(error) => {
                let help = rules.help(&error);
                let said = match error {
                    // Better Auth's words are about the caller's rights, which an operator has.
                    flows::Error::NonExistentRole => "There is no such role".to_owned(),
                    error => error.to_string(),
                };
                let plain = said.trim_end_matches('.');
                Self::Refused(
                    help.map_or_else(|| plain.to_owned(), |help| format!("{plain}: {help}")),
                )
            }
            other => other,
        }
    }
}

impl From<flows::Error> for Failure {
    fn from(error: flows::Error) -> Self {
        use flows::Error as E;
        match error {
            E::WrongDatabase(_)
            | E::MasterKey(_)
            | E::MasterKeyNotLoaded { .. }
            | E::MasterKeyMissing { .. } => Self::Startup(error.to_string()),
            E::Unavailable(cause) | E::Internal(cause) => Self::Internal(cause),
            other => Self::RefusedByFlow(other),
        }
    }
}

/// The rules of the settings that refusals name.
pub(super) struct Rules {
    password: Length,
    roles: String,
}

impl Rules {
    pub(super) fn of(config: &Config) -> Self {
        let own = config.roles.iter().map(|(role, _)| role.as_str());
        let own = own.filter(|role| !["user", "admin"].contains(role));
        let roles: Vec<&str> = ["user", "admin"].into_iter().chain(own).collect();
        Self {
            password: config.passwords.length,
            roles: roles.join(", "),
        }
    }

    /// Returns the rule behind a refusal or the command that leads on; `None` if the refusal says
    /// everything.
    fn help(&self, error: &flows::Error) -> Option<String> {
        use flows::Error as E;
        let Length { min, max } = self.password;
        Some(match error {
            E::PasswordTooShort | E::PasswordTooLong => {
                format!("{min} characters at least and {max} at most (passwords.min_length, passwords.max_length)")
            }
            E::PasswordTooCommon | E::PasswordCompromised => {
                "four random words are good; names, email addresses and common passwords are not (passwords.blocklist)".to_owned()
            }
            E::NonExistentRole => {
                format!("roles here: {}; [roles] in the settings adds others", self.roles)
            }
            E::UserNotFound => {
                "`countersign users list --search TEXT` finds users by a part of the email address".to_owned()
            }
            E::SessionNotFound => {
                "`countersign sessions list --user EMAIL --output wide` lists those that have not ended".to_owned()
            }
            E::UserExists | E::EmailTaken => "see `countersign users show EMAIL`".to_owned(),
            E::LastAdmin => "`countersign users set-role EMAIL admin` makes another one first".to_owned(),
            E::VerificationEmailNotEnabled => "mail is off; set mail.transport and mail.smtp_url".to_owned(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_rule_and_its_limit() {
        let rules = || Rules {
            password: Length { min: 12, max: 128 },
            roles: "user, admin, editor".into(),
        };
        let text = |error: flows::Error| match Failure::from(error).explained(&rules()) {
            Failure::Refused(text) => text,
            other => format!("{other:?}"),
        };
        assert!(
            text(flows::Error::PasswordTooShort)
                .starts_with("Password too short: 12 characters at least and 128 at most")
        );
        assert!(text(flows::Error::NonExistentRole).contains("roles here: user, admin, editor;"));
        assert!(
            text(flows::Error::LastAdmin).contains("At least one admin must remain: `countersign")
        );
        assert_eq!(text(flows::Error::NoDataToUpdate), "No data to update");
    }
}
