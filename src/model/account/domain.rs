//! Which mail domains may sign up. `example.com` is that domain alone, `*.example.com` everything
//! below it.

use std::str::FromStr;

use super::email::Email;

/// A domain, or everything below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    name: String,
    below: bool,
}

/// The text is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a mail domain such as example.com, or *.example.com for everything below it")]
pub struct InvalidDomain;

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        let (name, below) = text
            .strip_prefix("*.")
            .map_or((text, false), |name| (name, true));
        // What stands behind the @ of a good address.
        let email: Email = format!("x@{name}").parse().map_err(|_| InvalidDomain)?;
        Ok(Self {
            name: email.domain().to_owned(),
            below,
        })
    }
}

impl Domain {
    fn matches(&self, domain: &str) -> bool {
        match domain.strip_suffix(&self.name) {
            Some("") => !self.below,
            Some(labels) => self.below && labels.ends_with('.'),
            None => false,
        }
    }
}

/// The rules of `[sign_up]`: a blocked domain never, and where some are allowed, no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainRules {
    /// Empty: every one.
    pub allowed: Vec<Domain>,
    /// Wins over `allowed`.
    pub blocked: Vec<Domain>,
}

impl DomainRules {
    /// Whether this address may be somebody's who signs up.
    pub fn admit(&self, email: &Email) -> bool {
        let any = |list: &[Domain]| list.iter().any(|d| d.matches(email.domain()));
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
