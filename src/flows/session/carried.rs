//! Decides which of a browser's cookies count. After a cookie domain was set, and because of other
//! hosts of the same site, browsers may send several cookies of one name. Every reader of cookies
//! uses this file: a request has one session or none.

use std::collections::BTreeMap;

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::session::session::End;
use crate::store::session::sessions::By;
use crate::store::{self, work};

use super::credential::cookie_token;
use super::refresh_token;
use crate::flows::limit::known_device::Device;
use crate::flows::{Error, Result};

/// The number of cookies of one name that are looked up in the database. If a request carries more,
/// none of them counts.
pub(super) const MOST: usize = 16;

/// Returns the session cookies that were signed by this service, each token once.
pub fn signed<'r>(app: &App, cookies: &'r [String]) -> Vec<(SessionToken, &'r str)> {
    let mut found: Vec<(SessionToken, &str)> = Vec::new();
    for text in cookies {
        if let Some(token) = cookie_token(app, text)
            && found
                .iter()
                .all(|(known, _)| known.expose() != token.expose())
        {
            found.push((token, text));
        }
    }
    found
}

/// Returns the session cookie that counts: the only valid one or, of several, the only one whose
/// session is live. If none is live, returns one that shows why. Returns `None` if there is none,
/// or if two are live, because another host may have set one of them and it is unknown which.
pub async fn session_cookie<'r>(app: &App, cookies: &'r [String]) -> Result<Option<&'r str>> {
    let signed = signed(app, cookies);
    match signed.as_slice() {
        [] => Ok(cookies.first().map(String::as_str)),
        [(_, only)] => Ok(Some(only)),
        [(_, first), ..] => Ok(match living(app, &signed).await? {
            Living::None => Some(first),
            Living::One(text, _) => Some(text),
            Living::Several => None,
        }),
    }
}

enum Living<'r> {
    None,
    One(&'r str, SessionId),
    Several,
}

async fn living<'r>(app: &App, signed: &[(SessionToken, &'r str)]) -> Result<Living<'r>> {
    if signed.is_empty() {
        return Ok(Living::None);
    }
    if signed.len() > MOST {
        return Ok(Living::Several);
    }
    let (hashes, now): (Vec<_>, _) = (
        signed.iter().map(|(token, _)| token.hash()).collect(),
        app.now(),
    );
    let work = app.db.read(work!(conn => {
        let mut found = Vec::new();
        for (at, hash) in hashes.into_iter().enumerate() {
            found.extend(
                store::session::sessions::find_live(conn, &By::TokenHash(hash), now)
                    .await?
                    .map(|live| (at, live.session.id)),
            );
        }
        Ok(found)
    }));
    Ok(match work.await?.as_slice() {
        [] => Living::None,
        [(at, session)] => Living::One(signed[*at].1, *session),
        _ => Living::Several,
    })
}

/// Returns whether a session cookie of the request names a live session of another user. Cookies
/// beyond those that are looked up may contain one.
pub(in crate::flows) async fn is_anothers(
    app: &App,
    cookies: &[&str],
    user: UserId,
) -> Result<bool> {
    let tokens: Vec<_> = cookies
        .iter()
        .filter_map(|text| cookie_token(app, text))
        .map(|token| token.hash())
        .collect();
    if tokens.len() > MOST {
        return Ok(true);
    }
    let now = app.now();
    let work = app.db.read(work!(conn => {
        for hash in tokens {
            let live =
                store::session::sessions::find_live(conn, &By::TokenHash(hash), now).await?;
            if live.is_some_and(|live| {
                live.session.user_id != user || live.session.impersonated_by.is_some()
            }) {
                return Ok(true);
            }
        }
        Ok(false)
    }));
    Ok(work.await?)
}

/// The refresh cookie of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshCookie<'r> {
    /// The one that counts.
    One(&'r str),
    /// It belongs to another session than the live one of the session cookie.
    Foreign {
        /// The token of the cookie.
        token: &'r str,
        /// Whether its session is live.
        lives: bool,
    },
    /// The request has no valid refresh token.
    Invalid,
    /// The tokens belong to several sessions, or to another user than the session cookies: another
    /// host may have set one of them, and it is unknown which.
    Several,
}

/// Returns the refresh cookie that counts, and whether the session of a session cookie beside it is
/// live. Beside a live session only its own token counts. Beside ended sessions only a token of the
/// same user counts, so that a token that another host set does not replace them. If there are
/// tokens of two sessions, none counts.
pub async fn refresh_cookie<'r>(
    app: &App,
    session_cookies: &[String],
    refresh_cookies: &'r [String],
) -> Result<(RefreshCookie<'r>, bool)> {
    let families = families(app, refresh_cookies).await?;
    let signed = signed(app, session_cookies);
    Ok(match living(app, &signed).await? {
        Living::Several => (RefreshCookie::Several, true),
        Living::One(_, session) => match (families.get(&session), families.values().next()) {
            (Some((_, own)), _) => (RefreshCookie::One(own), true),
            (None, Some((_, foreign))) => (
                RefreshCookie::Foreign {
                    token: foreign,
                    lives: !living_of(app, &families).await?.is_empty(),
                },
                true,
            ),
            (None, None) => (RefreshCookie::Invalid, true),
        },
        Living::None => match families.iter().collect::<Vec<_>>().as_slice() {
            [] => (RefreshCookie::Invalid, false),
            [(session, (_, only))] if is_of_their_user(app, **session, &signed).await? => {
                (RefreshCookie::One(only), false)
            }
            _ => (RefreshCookie::Several, false),
        },
    })
}

/// Returns whether a refresh token belongs to the user of the session cookies beside it, none of
/// which is live. True also if there are none, or if its own session has ended.
async fn is_of_their_user(
    app: &App,
    family: SessionId,
    signed: &[(SessionToken, &str)],
) -> Result<bool> {
    if signed.is_empty() {
        return Ok(true);
    }
    let (hashes, now): (Vec<_>, _) = (
        signed.iter().map(|(token, _)| token.hash()).collect(),
        app.now(),
    );
    let work = app.db.read(work!(conn => {
        let mut users = Vec::new();
        for hash in hashes {
            users.extend(store::session::ended::owner_of(conn, hash).await?);
        }
        let owner = store::session::list_sessions::owner(conn, family).await?;
        let lives = store::session::sessions::find_live(conn, &By::Id(family), now)
            .await?
            .is_some();
        Ok(owner.is_none_or(|owner| users.contains(&owner)) || users.is_empty() && !lives)
    }));
    Ok(work.await?)
}

/// Returns those whose sessions are live, of as many as are looked up.
async fn living_of(
    app: &App,
    families: &BTreeMap<SessionId, (u32, &str)>,
) -> Result<Vec<SessionId>> {
    let (ids, now): (Vec<SessionId>, _) =
        (families.keys().copied().take(MOST).collect(), app.now());
    let work = app.db.read(work!(conn => {
        let mut living = Vec::new();
        for id in ids {
            living.extend(
                store::session::sessions::find_live(conn, &By::Id(id), now)
                    .await?
                    .map(|live| live.session.id),
            );
        }
        Ok(living)
    }));
    Ok(work.await?)
}

/// Returns the refresh cookie of this session.
pub async fn refresh_cookie_of<'r>(
    app: &App,
    refresh_cookies: &'r [String],
    session: SessionId,
) -> Result<Option<&'r str>> {
    Ok(families(app, refresh_cookies)
        .await?
        .get(&session)
        .map(|(_, text)| *text))
}

/// Returns the valid tokens by session. For each session the highest generation counts, so that a
/// request which carries the current token is never reuse.
async fn families<'r>(
    app: &App,
    texts: &'r [String],
) -> Result<BTreeMap<SessionId, (u32, &'r str)>> {
    let mut families: BTreeMap<SessionId, (u32, &str)> = BTreeMap::new();
    for text in texts {
        let token = match refresh_token::open(app, text).await {
            Ok((token, _)) => token,
            Err(Error::RefreshTokenInvalid) => continue,
            Err(error) => return Err(error),
        };
        let best = families
            .entry(token.session())
            .or_insert((token.generation(), text));
        if best.0 < token.generation() {
            *best = (token.generation(), text);
        }
    }
    Ok(families)
}

/// Returns the sessions with which the devices of a browser were given: this browser has had them,
/// whether or not their cookies still exist.
pub(in crate::flows) fn had(app: &App, devices: &[&str]) -> Vec<SessionId> {
    devices
        .iter()
        .filter_map(|token| Device::open(app, token)?.session())
        .take(MOST)
        .collect()
}

/// Returns how the session of this refresh token ended.
pub async fn end_of_family(app: &App, text: &str) -> Result<End> {
    match refresh_token::open(app, text).await {
        Ok((token, _)) => end_of(app, token.session()).await,
        Err(Error::RefreshTokenInvalid) => Ok(End::Unknown),
        Err(error) => Err(error),
    }
}

/// Returns how this session ended.
pub async fn end_of(app: &App, session: SessionId) -> Result<End> {
    let now = app.now();
    let end = app
        .db
        .read(work!(conn => store::session::ended::end_of(conn, &By::Id(session), now).await))
        .await?;
    Ok(end.unwrap_or(End::Unknown))
}
