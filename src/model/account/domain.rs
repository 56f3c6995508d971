//! Which mail domains may sign up: `example.com` matches that domain alone, `*.example.com` every
//! domain below it.

use std::str::FromStr;

use super::email::Email;

/// One domain, or all domains below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    name: String,
    below: bool,
}

/// The text is neither a domain nor `*.` and a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a mail domain such as example.com, or *.example.com for everything below it")]
pub struct InvalidDomain;

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        let (name, below) = text
            .strip_prefix("*.")
            .map_or((text, false), |name| (name, true));
        // Validates the domain by the rules for the domain of an email address.
        let email: Email = format!("x@{name}").parse().map_err(|_| InvalidDomain)?;
        Ok(Self {
            name: email.domain().to_owned(),
            below,
        })
    }
}

impl Domain {
    /// Returns whether a mailbox stands in this domain, or in one below it where that is meant.
    pub fn covers(&self, email: &Email) -> bool {
        self.matches(email.domain())
    }

    fn matches(&self, domain: &str) -> bool {
        match domain.strip_suffix(&self.name) {
            Some("") => !self.below,
            Some(labels) => self.below && labels.ends_with('.'),
            None => false,
        }
    }
}

/// The rules of `[sign_up]`. A blocked domain is always refused; if any domains are allowed, all
/// others are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainRules {
    /// The allowed domains. If empty, every domain is allowed.
    pub allowed: Vec<Domain>,
    /// The blocked domains. They take precedence over `allowed`.
    pub blocked: Vec<Domain>,
}

impl DomainRules {
    /// Returns whether a user may sign up with this email address.
    pub fn admit(&self, email: &Email) -> bool {
        let any = |list: &[Domain]| list.iter().any(|domain| domain.covers(email));
        !any(&self.blocked) && (self.allowed.is_empty() || any(&self.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], blocked: &[&str]) -> DomainRules {
        let parse = |list: &[&str]| list.iter().map(|d| d.parse().unwrap()).collect();
        DomainRules {
            allowed: parse(allowed),
            blocked: parse(blocked),
        }
    }

    #[test]
    fn a_domain_is_itself_and_a_star_is_what_lies_below() {
        let cases = [
            (rules(&[], &[]), "a@any.org", true),
            (rules(&["Example.COM"], &[]), "a@EXAMPLE.com", true),
            (rules(&["example.com"], &[]), "a@mail.example.com", false),
            (rules(&["example.com"], &[]), "a@badexample.com", false),
            (rules(&["*.example.com"], &[]), "a@x.y.example.com", true),
            (rules(&["*.example.com"], &[]), "a@example.com", false),
            (rules(&["*.example.com"], &[]), "a@bad-example.com", false),
            (rules(&[], &["example.com"]), "a@example.com", false),
            (
                rules(&["*.example.com"], &["evil.example.com"]),
                "a@evil.example.com",
                false,
            ),
        ];
        for (rules, address, admitted) in cases {
            assert_eq!(
                rules.admit(&address.parse().unwrap()),
                admitted,
                "{address} by {rules:?}"
            );
        }
        for text in [
            "",
            "com",
            "*",
            "*.",
            "https://example.com",
            "a@example.com",
            "exa mple.com",
        ] {
            assert_eq!(text.parse::<Domain>(), Err(InvalidDomain), "{text:?}");
        }
    }
}
