//! `[policies.ROLE]` and `profile`: what sign-ins and sessions of users with a role have to meet.

use std::time::Duration;

use crate::model::kernel::naming;
use crate::model::login::level::Level;
use crate::model::login::policies::{Bounds, RolePolicy};

use super::mail::Mail;
use super::reader::Reader;
use super::units::{HOUR, MINUTE, YEAR};

/// Reads a level that every sign-in has to reach.
pub(super) fn level(text: &str) -> Result<Level, String> {
    match text {
        "1fa" => Ok(Level::One),
        "2fa" => Ok(Level::Two),
        _ => Err("write 1fa or 2fa".to_owned()),
    }
}

/// Reads a level that sign-ins of users with a role have to reach.
fn level_of_role(text: &str) -> Result<Level, String> {
    match text {
        "phr" => Ok(Level::PhishingResistant),
        text => level(text).map_err(|_| "write 1fa, 2fa or phr".to_owned()),
    }
}

/// Reads one length; zero, the default, sets no bound.
fn bound(r: &mut Reader, key: &str, least: Duration, most: Duration) -> Option<Duration> {
    let length = r.duration(key, "0s", Duration::ZERO..=most);
    if length.is_zero() {
        return None;
    }
    if length < least {
        let least = humantime::format_duration(least);
        r.problem(
            key,
            format!("must be at least {least}, or 0s for no bound of its own"),
        );
    }
    Some(length)
}

/// Warns where users without a second factor would have no way to enrol one: they prove the mailbox
/// first.
fn tell_of_mail(r: &mut Reader, mail: &Mail, key: &str) {
    if !mail.sends() {
        r.warnings.push(format!(
            "{key}: users without a second factor cannot enrol one at their next sign-in, because mail.transport sends no mail"
        ));
    }
}

pub(super) fn read(r: &mut Reader, mail: &Mail, general: Level) -> Vec<RolePolicy> {
    if general > Level::One {
        tell_of_mail(r, mail, "sign_in.require");
    }
    let mut policies = Vec::new();
    for role in r.groups_under("policies", naming::role) {
        let key = |name: &str| format!("policies.{role}.{name}");
        let least = r.parsed(&key("require"), "1fa", level_of_role);
        let policy = RolePolicy {
            least: least.unwrap_or(Level::One),
            remembers: r.flag(&key("remember_device"), true),
            bounds: Bounds {
                idle: bound(r, &key("idle_ttl"), 5 * MINUTE, YEAR),
                absolute: bound(r, &key("absolute_ttl"), HOUR, YEAR),
            },
            fresh: bound(r, &key("fresh_for"), MINUTE, YEAR),
            role: role.clone(),
        };
        if policy.least > Level::One {
            tell_of_mail(r, mail, &key("require"));
        }
        policies.push(policy);
    }
    policies
}

/// Warns of policies for roles that neither the program nor `[roles]` has: a misspelt name would
/// protect no user.
pub(super) fn tell_of_unknown_roles(
    r: &mut Reader,
    policies: &[RolePolicy],
    roles: &[(String, Vec<String>)],
) {
    for RolePolicy { role, .. } in policies {
        let is_known = ["admin", "user"].contains(&role.as_str())
            || roles.iter().any(|(name, _)| name == role);
        if !is_known {
            r.warnings.push(format!(
                "policies.{role}: there is no such role; the roles are admin, user and those of [roles]"
            ));
        }
    }
}
