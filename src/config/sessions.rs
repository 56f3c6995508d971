//! `[sessions]`: lifetimes, cookies and the time windows of the refresh.

use std::time::Duration;

use url::Url;

use crate::model::kernel::cookie_domain::CookieDomain;
use crate::model::kernel::naming::CookiePrefix;
use crate::model::session::refresh::{LateRetry, Policy};
use crate::model::session::session::Lifetime;
use crate::model::session::ticket::Retry;

use super::reader::Reader;
use super::{Server, Sessions};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// The longest time that a message is on its way: the timeout of clients.
const MESSAGE: Duration = Duration::from_secs(5);

/// The default of `sessions.cookie_prefix`, as in Better Auth.
const PREFIX: &str = "better-auth";

/// `sessions.cookie_same_site`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the values")]
pub enum SameSite {
    Lax,
    Strict,
    None,
}

impl SameSite {
    /// Returns the attribute's value. The refresh cookie is always `Strict`, except that `none`
    /// applies to all cookies.
    pub fn for_cookie(self, is_refresh: bool) -> &'static str {
        match (self, is_refresh) {
            (Self::None, _) => "none",
            (Self::Strict, _) | (Self::Lax, true) => "strict",
            (Self::Lax, false) => "lax",
        }
    }
}

pub(super) fn read(r: &mut Reader, public_url: &Url) -> Sessions {
    let https = public_url.scheme() == "https";
    let idle = r.duration("sessions.idle_ttl", "14d", MINUTE..=YEAR);
    let absolute = r.duration("sessions.absolute_ttl", "90d", MINUTE..=YEAR);
    if absolute < idle {
        r.problem(
            "sessions.absolute_ttl",
            "must not be shorter than sessions.idle_ttl".into(),
        );
    }
    let cookie_prefix = r.parsed("sessions.cookie_prefix", PREFIX, |text| {
        text.parse::<CookiePrefix>().map_err(|e| e.to_string())
    });
    let same_site = r.choice(
        "sessions.cookie_same_site",
        &[
            ("lax", SameSite::Lax),
            ("strict", SameSite::Strict),
            ("none", SameSite::None),
        ],
    );
    if same_site == SameSite::None && !https {
        r.problem(
            "sessions.cookie_same_site",
            "browsers accept none only with https".into(),
        );
    }
    let domain = r.parsed("sessions.cookie_domain", "", |text| match text {
        "" => Ok(None),
        text => CookieDomain::parse(text, public_url)
            .map(Some)
            .map_err(|e| e.to_string()),
    });
    let domain = domain.flatten();
    let host_prefix = r.flag("sessions.cookie_host_prefix", false);
    if host_prefix && (!https || domain.is_some()) {
        r.problem(
            "sessions.cookie_host_prefix",
            "needs https, and sessions.cookie_domain must be empty".into(),
        );
    }
    let refresh = refresh(r);
    let retry = r.choice(
        "sessions.retry",
        &[("ticket", Retry::Ticket), ("window", Retry::Window)],
    );
    Sessions {
        lifetime: Lifetime {
            idle,
            absolute,
            update_age: r.duration("sessions.update_age", "1d", Duration::ZERO..=YEAR),
        },
        refresh,
        retry,
        cookie_prefix: cookie_prefix
            .or_else(|| PREFIX.parse().ok())
            .expect("the default is a prefix"),
        cookie_same_site: same_site,
        cookie_domain: domain,
        cookie_host_prefix: host_prefix,
        cookie_cache: r.duration("sessions.cookie_cache", "0s", Duration::ZERO..=5 * MINUTE),
        fresh_for: r.duration("sessions.fresh_for", "10m", MINUTE..=YEAR),
        max_per_user: r.number("sessions.max_per_user", 100, 1..=100_000).into(),
    }
}

/// Tells where clients in browsers get no tickets, although the settings permit them.
pub(super) fn tell_of_tickets(r: &mut Reader, sessions: &Sessions, server: &Server) {
    if sessions.retry != Retry::Ticket {
        return;
    }
    let reason = if sessions.cookie_same_site == SameSite::None {
        "frames of other sites have the cookies, and a storage of their own"
    } else if server.trusted_origins.has_several_pages() {
        "pages of several trusted origins share the cookies, and no storage"
    } else {
        return;
    };
    r.became(
        "sessions.retry",
        "ticket in bodies, window in cookies",
        reason,
    );
}

fn refresh(r: &mut Reader) -> Policy {
    let grace = r.duration(
        "sessions.refresh_grace",
        "30s",
        Duration::ZERO..=10 * MINUTE,
    );
    let cooldown = r.duration("sessions.refresh_cooldown", "50s", Duration::ZERO..=HOUR);
    let choices = [
        ("auto", LateRetry::Auto),
        ("revoke", LateRetry::Revoke),
        ("supersede", LateRetry::Supersede),
    ];
    let late_retry = r.choice("sessions.late_retry", &choices);
    if late_retry == LateRetry::Auto {
        let (value, reason) = if grace.is_zero() {
            ("revoke", "sessions.refresh_grace is 0s")
        } else {
            (
                "revoke in cookies, supersede in bodies",
                "the tabs of a browser share their cookies",
            )
        };
        r.became("sessions.late_retry", value, reason);
    }
    Policy {
        grace,
        cooldown,
        late_retry,
    }
}

/// Checks the two inequalities of the refresh design; an exhaustive model finds a counter-example
/// just below them.
pub(super) fn check_windows(
    r: &mut Reader,
    policy: &Policy,
    access_ttl: Duration,
    warnings: &mut Vec<String>,
) {
    if policy.grace.is_zero() && policy.cooldown.is_zero() {
        return;
    }
    if policy.cooldown < policy.grace {
        r.problem(
            "sessions.refresh_cooldown",
            "must not be shorter than sessions.refresh_grace: two tabs would sign each other out"
                .into(),
        );
    } else if policy.cooldown < policy.grace + 4 * MESSAGE {
        warnings.push(format!("sessions.refresh_cooldown below the grace + {} s lets a slow network sign an honest client out", (4 * MESSAGE).as_secs()));
    }
    if policy.grace < 4 * MESSAGE {
        warnings.push(format!(
            "sessions.refresh_grace below {} s does not allow for a lost answer of a client whose timeout is {} s",
            (4 * MESSAGE).as_secs(),
            MESSAGE.as_secs()
        ));
    }
    if policy.cooldown * 2 >= access_ttl + SECOND {
        r.problem("tokens.access_ttl", "must be at least twice sessions.refresh_cooldown, or a refresh that is due would have to wait".into());
    }
}
