//! What sign-ins and sessions have to meet by the roles of their user: the general policy, made
//! stricter by each role that has one of its own.

use std::time::Duration;

use super::level::Level;
use super::policy::{Policy, Rules};

/// How long a session may last, where it is bounded more narrowly than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The longest time without use; `None` for that of all sessions.
    pub idle: Option<Duration>,
    /// The longest time in all; `None` for that of all sessions.
    pub absolute: Option<Duration>,
}

impl Bounds {
    /// Returns the bound of the time without use alone.
    pub fn of_idle(idle: Option<Duration>) -> Self {
        Self {
            idle,
            absolute: None,
        }
    }

    /// Returns the narrower one of each.
    fn and(self, other: Self) -> Self {
        let narrower = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            idle: narrower(self.idle, other.idle),
            absolute: narrower(self.absolute, other.absolute),
        }
    }
}

/// What users with one role have to meet beyond the general policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePolicy {
    /// The name of the role.
    pub role: String,
    /// The least level of a sign-in.
    pub least: Level,
    /// Whether a remembered device may stand for the second step.
    pub remembers: bool,
    /// How long sessions may last.
    pub bounds: Bounds,
    /// How long after its proofs a session may change other users or the service; `None` for
    /// [`FRESH_FOR`].
    pub fresh: Option<Duration>,
}

/// How long after its proofs a session may change other users or the service, where no role says
/// otherwise.
pub const FRESH_FOR: Duration = Duration::from_secs(86_400);

/// The general policy and those of roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    general: Policy,
    roles: Vec<RolePolicy>,
}

impl Policies {
    /// Collects the policies of the settings.
    pub fn new(general: Policy, roles: Vec<RolePolicy>) -> Self {
        Self { general, roles }
    }

    /// Returns the policy of users whose roles have none.
    pub fn general(&self) -> Policy {
        self.general
    }

    /// Lists the policies of roles.
    pub fn roles(&self) -> &[RolePolicy] {
        &self.roles
    }

    /// Returns the policy of a user with these roles, joined by commas: the strictest of each part.
    pub fn of(&self, roles: &str) -> Policy {
        self.held(roles).fold(self.general, |policy, role| {
            let is_remembered = role.remembers && policy.rules.contains(Rules::REMEMBERED_DEVICE);
            let mut stricter = policy;
            stricter.least = policy.least.max(role.least);
            stricter.rules.set(Rules::REMEMBERED_DEVICE, is_remembered);
            stricter
        })
    }

    /// Returns the bounds of the sessions of a user with these roles.
    pub fn bounds(&self, roles: &str) -> Bounds {
        self.held(roles)
            .fold(Bounds::default(), |bounds, role| bounds.and(role.bounds))
    }

    /// Returns how long after its proofs a session of a user with these roles may change other users or
    /// the service.
    pub fn fresh_for(&self, roles: &str) -> Duration {
        let of = |role: &str| {
            let own = self.roles.iter().find(|policy| policy.role == role);
            own.and_then(|policy| policy.fresh).unwrap_or(FRESH_FOR)
        };
        let times = roles.split(',').map(|role| of(role.trim()));
        times.min().unwrap_or(FRESH_FOR)
    }

    fn held<'p>(&'p self, roles: &'p str) -> impl Iterator<Item = &'p RolePolicy> {
        self.roles
            .iter()
            .filter(move |policy| roles.split(',').any(|role| role.trim() == policy.role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn role(role: &str, least: Level, remembers: bool, idle: Option<Duration>) -> RolePolicy {
        RolePolicy {
            role: role.into(),
            least,
            remembers,
            bounds: Bounds {
                idle,
                absolute: idle.map(|idle| idle * 10),
            },
            fresh: idle.map(|idle| idle * 30),
        }
    }

    #[test]
    fn of_several_roles_the_strictest_of_each_part_counts() {
        let general = Policy {
            least: Level::One,
            rules: Rules::REMEMBERED_DEVICE | Rules::ENROLMENT,
        };
        let policies = Policies::new(
            general,
            vec![
                role("admin", Level::Two, true, Some(HOUR)),
                role("support", Level::One, false, Some(HOUR * 2)),
                role("auditor", Level::One, true, None),
            ],
        );
        assert_eq!(policies.of("user"), general);
        assert_eq!(policies.bounds("user"), Bounds::default());
        // A part of a name is another role.
        assert_eq!(policies.of("administrator,min"), general);
        let admin = policies.of("user,admin");
        assert_eq!((admin.least, admin.rules), (Level::Two, general.rules));
        let both = policies.of("support, admin");
        assert_eq!((both.least, both.rules), (Level::Two, Rules::ENROLMENT));
        assert_eq!(policies.bounds("support,admin").idle, Some(HOUR));
        assert_eq!(policies.bounds("support,auditor").absolute, Some(HOUR * 20));
        assert_eq!(policies.bounds("auditor"), Bounds::default());
        assert_eq!(policies.fresh_for("auditor"), FRESH_FOR);
        assert_eq!(policies.fresh_for("support"), HOUR * 60);
        // A role without a time has that of all: another role takes nothing away from it.
        assert_eq!(policies.fresh_for("auditor,support"), FRESH_FOR);
        assert_eq!(policies.fresh_for("support,admin"), HOUR * 30);
    }
}
