//! The backends that access tokens are made for: the default audience of `[tokens]`, and those of
//! `[[audiences]]`. A client asks for one by its URL (`resource`, RFC 8707) or by its name
//! (`audience`, as in RFC 8693); each has its own algorithm, type, lifetime and claims.

use std::sync::Arc;
use std::time::Duration;

use super::claims::Audience;
use crate::model::kernel::web_url::Issuer;
use crate::model::key::algorithm::Algorithm;

/// The type of a token, the header member `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// `at+jwt` of RFC 9068.
    AtJwt,
    /// `JWT`, for verifiers such as Spring that accept nothing else.
    Jwt,
}

impl TokenType {
    /// All types of tokens.
    pub const ALL: [Self; 2] = [Self::AtJwt, Self::Jwt];

    /// Returns the value of `typ`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtJwt => "at+jwt",
            Self::Jwt => "JWT",
        }
    }
}

/// Which claims a token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimSet {
    /// All claims.
    Full,
    /// Neither the email address, nor the name, nor the claims of `[tokens.claims]`: for the backend
    /// of a third party.
    Minimal,
}

/// What a target is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetName {
    /// The default audience, or one of its audiences.
    Default,
    /// An audience of `[[audiences]]`.
    Named(String),
    /// Several audiences at once.
    Several,
}

impl TargetName {
    /// Returns the name in `[[audiences]]`, if it has one.
    pub fn in_settings(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Default | Self::Several => None,
        }
    }

    /// Returns the label in metrics and in the output of commands.
    pub fn label(&self) -> &str {
        match self {
            Self::Default => "default",
            Self::Named(name) => name,
            Self::Several => "several",
        }
    }
}

/// A backend, or several that agree in everything but their names, and what its tokens are like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is called.
    pub name: TargetName,
    /// The audiences, `aud` of tokens.
    pub audience: Audience,
    /// The algorithm of the signature.
    pub algorithm: Algorithm,
    /// The type, `typ` of the header.
    pub typ: TokenType,
    /// The longest lifetime of a token.
    pub access_ttl: Duration,
    /// The claims of a token.
    pub claims: ClaimSet,
    /// The issuer, `iss` of tokens.
    pub issuer: Issuer,
}

/// What a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requested {
    /// The values of `resource`.
    pub resources: Vec<String>,
    /// The values of `audience`, which must all mean one backend.
    pub audiences: Vec<String>,
}

impl Requested {
    /// Adds what another part of the request asks for.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.resources.extend(other.resources);
        self.audiences.extend(other.audiences);
        self
    }
}

/// No audience of the settings is what the request asks for, or several that do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The requested audience is not available")]
pub struct InvalidTarget;

/// The greatest number of `resource` values in one request.
pub const MOST_RESOURCES: usize = 4;

/// All backends of the settings.
#[derive(Debug, Clone)]
pub struct Targets {
    default: Arc<Target>,
    /// One for each audience of the settings, those of the default audience first.
    each: Vec<Arc<Target>>,
}

impl Targets {
    /// Collects the default audience and the others, which have a name and one audience each.
    pub fn new(default: Target, others: Vec<Target>) -> Self {
        let single = |audience: &String| Target {
            audience: Audience::One(audience.clone()),
            ..default.clone()
        };
        let of_default = default.audience.all().iter().map(single);
        let each = of_default.chain(others).map(Arc::new).collect();
        Self {
            default: Arc::new(default),
            each,
        }
    }

    /// Returns the default audience.
    pub fn default(&self) -> &Arc<Target> {
        &self.default
    }

    /// Returns the audiences of `[[audiences]]`.
    pub fn named(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.each
            .iter()
            .filter(|target| target.name.in_settings().is_some())
    }

    /// Returns the audience of `[[audiences]]` with this name.
    pub fn of_name(&self, name: &str) -> Option<&Arc<Target>> {
        self.named()
            .find(|target| target.name.in_settings() == Some(name))
    }

    /// Returns the default audience and every other one.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Target>> {
        std::iter::once(&self.default).chain(self.named())
    }

    /// Finds what a request asks for; the default audience if it asks for nothing.
    ///
    /// # Errors
    /// [`InvalidTarget`] if an audience is unknown, if `resource` and `audience` differ, or if
    /// several resources have tokens of different kinds.
    pub fn find(&self, requested: &Requested) -> Result<Arc<Target>, InvalidTarget> {
        let by_audience = |text: &String| {
            let is_it = |target: &&Arc<Target>| {
                target.audience.contains(text) || target.name.in_settings() == Some(text)
            };
            self.each.iter().find(is_it).ok_or(InvalidTarget)
        };
        let by_resource = |text: &String| {
            let found = self.each.iter().find(|t| t.audience.contains(text));
            found.filter(|_| is_resource(text)).ok_or(InvalidTarget)
        };
        if requested.resources.len() > MOST_RESOURCES {
            return Err(InvalidTarget);
        }
        let mut found: Vec<&Arc<Target>> = Vec::new();
        for resource in &requested.resources {
            let target = by_resource(resource)?;
            if !found.iter().any(|other| Arc::ptr_eq(other, target)) {
                found.push(target);
            }
        }
        for audience in &requested.audiences {
            let target = by_audience(audience)?;
            match found.as_slice() {
                [] => found.push(target),
                [one] if Arc::ptr_eq(one, target) => {}
                _ => return Err(InvalidTarget),
            }
        }
        match found.as_slice() {
            [] => Ok(Arc::clone(&self.default)),
            [one] => Ok(Arc::clone(one)),
            several => merge(several).map(Arc::new),
        }
    }
}

/// Returns whether a text is an absolute URI without a fragment (RFC 8707 section 2).
fn is_resource(text: &str) -> bool {
    !text.contains('#') && url::Url::parse(text).is_ok()
}

/// Joins backends whose tokens are of one kind: the token names all of them and lives as long as the
/// shortest. The default audience, whose tokens open this service too, is not joined with others:
/// each of those could act here with the token that it is sent.
fn merge(several: &[&Arc<Target>]) -> Result<Target, InvalidTarget> {
    let first = several.first().ok_or(InvalidTarget)?;
    let kind = |target: &Target| {
        let issuer = target.issuer.as_str().to_owned();
        let is_default = target.name == TargetName::Default;
        (
            is_default,
            target.algorithm,
            target.typ,
            target.claims,
            issuer,
        )
    };
    if several.iter().any(|target| kind(target) != kind(first)) {
        return Err(InvalidTarget);
    }
    let audiences = several.iter().flat_map(|target| target.audience.all());
    let shortest = several.iter().map(|target| target.access_ttl).min();
    Ok(Target {
        name: TargetName::Several,
        audience: Audience::Many(audiences.cloned().collect()),
        access_ttl: shortest.unwrap_or(first.access_ttl),
        ..(***first).clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn target(name: Option<&str>, audiences: &[&str], algorithm: Algorithm) -> Target {
        let audience = match audiences {
            [one] => Audience::One((*one).into()),
            many => Audience::Many(many.iter().map(ToString::to_string).collect()),
        };
        let (issuer, _) = Issuer::parse("https://auth.example.com").unwrap();
        Target {
            name: name.map_or(TargetName::Default, |name| TargetName::Named(name.into())),
            audience,
            algorithm,
            typ: TokenType::AtJwt,
            access_ttl: 15 * MINUTE,
            claims: ClaimSet::Full,
            issuer,
        }
    }

    const BILLING: &str = "https://billing.example.com";
    const STORE: &str = "https://store.example.com";

    fn targets() -> Targets {
        let shop = Target {
            access_ttl: 5 * MINUTE,
            ..target(Some("store"), &[STORE], Algorithm::Rs256)
        };
        Targets::new(
            target(None, &["api", "https://web.example.com"], Algorithm::EdDsa),
            vec![
                target(Some("billing"), &[BILLING], Algorithm::Rs256),
                shop,
                target(Some("mobile"), &["urn:mobile"], Algorithm::Es256),
                target(
                    Some("plain"),
                    &["https://plain.example.com"],
                    Algorithm::EdDsa,
                ),
                target(
                    Some("third"),
                    &["https://third.example.com"],
                    Algorithm::Rs256,
                ),
                target(
                    Some("fourth"),
                    &["https://fourth.example.com"],
                    Algorithm::Rs256,
                ),
            ],
        )
    }

    fn find(resources: &[&str], audience: Option<&str>) -> Result<Arc<Target>, InvalidTarget> {
        let requested = Requested {
            resources: resources.iter().map(ToString::to_string).collect(),
            audiences: vec![],
        };
        let audiences = audience.into_iter().map(Into::into).collect();
        targets().find(&requested.and(Requested {
            resources: vec![],
            audiences,
        }))
    }

    #[test]
    fn an_audience_is_found_by_its_name_or_its_text_and_a_resource_by_its_url() {
        assert_eq!(find(&[], None).unwrap(), *targets().default());
        for audience in ["billing", BILLING] {
            let found = find(&[], Some(audience)).unwrap();
            assert_eq!(found.audience, Audience::One(BILLING.into()));
        }
        let found = find(&[BILLING], Some("billing")).unwrap();
        assert_eq!(found.name.in_settings(), Some("billing"));
        assert_eq!(
            find(&["urn:mobile"], None).unwrap().algorithm,
            Algorithm::Es256
        );
        // One audience of the default: a token for it alone.
        let api = find(&[], Some("api")).unwrap();
        assert_eq!(api.audience, Audience::One("api".into()));
    }

    #[test]
    fn what_is_unknown_contradicts_itself_or_is_no_url_is_refused() {
        for (resources, audience) in [
            (vec!["https://other.example.com"], None),
            (vec!["https://billing.example.com/"], None),
            (vec!["https://billing.example.com#part"], None),
            // A name is no resource, and an audience that is no URI neither.
            (vec!["billing"], None),
            (vec!["api"], None),
            (vec![], Some("Billing")),
            (vec![], Some("")),
            (vec![BILLING], Some("store")),
            (vec![BILLING, STORE], Some("billing")),
            (vec![BILLING, "urn:mobile"], None),
            (vec![BILLING, "https://other.example.com"], None),
            (vec![BILLING; 5], None),
            // A token for the default audience and another one would open this service to both.
            (
                vec!["https://web.example.com", "https://plain.example.com"],
                None,
            ),
        ] {
            let found = find(&resources, audience);
            assert_eq!(found, Err(InvalidTarget), "{resources:?} {audience:?}");
        }
    }

    #[test]
    fn two_audiences_must_mean_one_backend() {
        let find = |audiences: &[&str]| {
            targets().find(&Requested {
                resources: vec![],
                audiences: audiences.iter().map(ToString::to_string).collect(),
            })
        };
        assert!(find(&["billing", BILLING]).is_ok());
        assert_eq!(find(&["billing", "store"]), Err(InvalidTarget));
    }

    #[test]
    fn resources_of_one_kind_make_one_token_with_the_shortest_lifetime() {
        let both = find(&[BILLING, STORE, BILLING], None).unwrap();
        let audiences = vec![BILLING.to_owned(), STORE.to_owned()];
        assert_eq!(both.audience, Audience::Many(audiences));
        assert_eq!(both.access_ttl, 5 * MINUTE);
        assert_eq!(both.name.label(), "several");
        let four = [
            BILLING,
            STORE,
            "https://third.example.com",
            "https://fourth.example.com",
        ];
        let all = find(&four, None).unwrap();
        assert_eq!(all.audience.all(), four);
        assert_eq!(
            find(&[BILLING; 4], None).unwrap(),
            find(&[BILLING], None).unwrap()
        );
    }
}
