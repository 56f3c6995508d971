//! What an operator allows an import to do.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::model::account::user::ADMIN;
use crate::model::federation::provider::ProviderId;

/// What is done about a row whose email address belongs to a user here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// The row is refused.
    #[default]
    Refuse,
    /// The row is skipped; the user here stays as it is.
    Skip,
    /// If both sides have verified the email address, the user here gets the foreign id and the
    /// accounts at providers, and keeps everything else.
    Link,
}

impl OnDuplicate {
    /// Lists all choices, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Skip, Self::Link];

    /// Returns the word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Skip => "skip",
            Self::Link => "link",
        }
    }
}

/// The text is not a role of the source and one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a role of the source, an equals sign and a role of this service, such as staff=editor"
)]
pub struct InvalidRoleMapping;

/// One entry of `--role-map`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleMapping {
    /// The role of the source.
    pub from: String,
    /// The role that it is here.
    pub to: String,
}

impl FromStr for RoleMapping {
    type Err = InvalidRoleMapping;

    fn from_str(text: &str) -> Result<Self, InvalidRoleMapping> {
        // The role here has no equals sign; that of the source may have one.
        let (from, to) = text.rsplit_once('=').ok_or(InvalidRoleMapping)?;
        if from.is_empty() || to.is_empty() || to.contains(',') {
            return Err(InvalidRoleMapping);
        }
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }
}

/// What an operator allows an import to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What is done about email addresses that are known here.
    pub on_duplicate: OnDuplicate,
    /// Whether the source's word that an email address is verified counts.
    pub trust_verified: bool,
    /// Whether users lose the second factor that the source asks for.
    pub without_second_factor: bool,
    /// Roles of the source and what they are here.
    pub roles: BTreeMap<String, String>,
    /// The issuers of the providers in the settings whose identities have one issuer.
    pub issuers: BTreeMap<ProviderId, String>,
}

impl Policy {
    /// Returns the roles of the source that become `admin`.
    pub fn makes_admins(&self) -> impl Iterator<Item = &str> {
        self.roles
            .iter()
            .filter(|(_, to)| *to == ADMIN)
            .map(|(from, _)| from.as_str())
    }
}

impl Policy {
    /// Returns the roles that a user gets, joined by commas, and the roles of the source that are
    /// not mapped. Without a mapped role it is `user`.
    pub(super) fn roles_of(&self, roles: &[String]) -> (String, Vec<String>) {
        const USER: &str = "user";
        let mut given: Vec<&str> = Vec::new();
        let mut unmapped = Vec::new();
        for role in roles {
            match self.roles.get(role) {
                Some(role) if given.contains(&role.as_str()) => {}
                Some(role) => given.push(role),
                None if role == USER => {}
                None => unmapped.push(role.clone()),
            }
        }
        if given.is_empty() {
            given.push(USER);
        }
        (given.join(","), unmapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_a_role_of_the_source_and_one_role_here() {
        let mapping: RoleMapping = "cn=staff=editor".parse().unwrap();
        assert_eq!(
            (mapping.from.as_str(), mapping.to.as_str()),
            ("cn=staff", "editor")
        );
        for bad in ["", "staff", "=editor", "staff=", "staff=a,b"] {
            assert_eq!(bad.parse::<RoleMapping>(), Err(InvalidRoleMapping), "{bad}");
        }
    }

    #[test]
    fn a_role_comes_only_by_its_mapping() {
        let policy = Policy {
            roles: [("boss", "admin"), ("chief", "admin"), ("author", "editor")]
                .map(|(from, to)| (from.to_owned(), to.to_owned()))
                .into(),
            ..Policy::default()
        };
        let given = |roles: &[&str]| {
            let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
            policy.roles_of(&roles)
        };
        assert_eq!(given(&[]), ("user".into(), vec![]));
        assert_eq!(given(&["user"]), ("user".into(), vec![]));
        assert_eq!(given(&["admin"]), ("user".into(), vec!["admin".into()]));
        assert_eq!(
            given(&["author", "boss", "chief", "x"]),
            ("editor,admin".into(), vec!["x".into()])
        );
        assert_eq!(policy.makes_admins().collect::<Vec<_>>(), ["boss", "chief"]);
    }
}
