//! Which of the cookies that a browser carries count. A cookie domain that was set later, and any
//! host beside ours, makes browsers send several of one name. Every reader of cookies asks here: a
//! request means one session, or none.

use std::collections::BTreeMap;

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::session::session::End;
use crate::store::session::sessions::By;
use crate::store::{self, work};

use super::credential::cookie_token;
use super::refresh;
use crate::flows::login::known_device::Device;
use crate::flows::{Error, Result};

/// How many cookies of one name are looked up in the database; a request that carries more carries
/// none that counts.
pub(super) const MOST: usize = 16;

/// The session cookies that we signed, each token once.
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

/// The session cookie that counts: the only one that we signed or, of several, the only one whose
/// session lives. Where none lives, one that tells why. `None`: none came, or two live and it
/// cannot be told which of them another host has planted.
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

/// Whether a session cookie of the request names a live session that is not this user's own. More
/// cookies than are looked up may hide one.
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
    /// One of another session than the one whose session cookie lives beside it.
    Foreign {
        /// The token.
        token: &'r str,
        /// Whether its session lives.
        lives: bool,
    },
    /// None that we made.
    NotOurs,
    /// Those of several sessions, or one of another user than the session cookies beside it: it
    /// cannot be told which of them another host has planted.
    Several,
}

/// The refresh cookie that counts, and whether the session of a session cookie beside it lives.
/// Beside a session that lives only its own token counts. Beside sessions that are over only one of
/// the same user does: a token that another host planted does not take their place. Of two sessions
/// none counts.
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
            (None, None) => (RefreshCookie::NotOurs, true),
        },
        Living::None => match families.iter().collect::<Vec<_>>().as_slice() {
            [] => (RefreshCookie::NotOurs, false),
            [(session, (_, only))] if is_of_their_user(app, **session, &signed).await? => {
                (RefreshCookie::One(only), false)
            }
            _ => (RefreshCookie::Several, false),
        },
    })
}

/// Whether a refresh token belongs to the user of the session cookies beside it, none of whose
/// sessions lives; also where none came, or where it is over itself.
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

/// Those of the sessions that live, of as many as are looked up.
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

/// The refresh cookie of this session.
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

/// The tokens that we made, by session. Of one session the highest generation counts, so that a
/// request which carries the current token is never reuse.
async fn families<'r>(
    app: &App,
    texts: &'r [String],
) -> Result<BTreeMap<SessionId, (u32, &'r str)>> {
    let mut families: BTreeMap<SessionId, (u32, &str)> = BTreeMap::new();
    for text in texts {
        let token = match refresh::open(app, text).await {
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

/// The sessions with which the devices of a browser were given: this browser has had them, whether
/// their cookies are still there or not.
pub(in crate::flows) fn had(app: &App, devices: &[&str]) -> Vec<SessionId> {
    devices
        .iter()
        .filter_map(|token| Device::open(app, token)?.session())
        .take(MOST)
        .collect()
}

/// How the session of this refresh token ended, as far as it has.
pub async fn end_of_family(app: &App, text: &str) -> Result<End> {
    match refresh::open(app, text).await {
        Ok((token, _)) => end_of(app, token.session()).await,
        Err(Error::RefreshTokenInvalid) => Ok(End::Unknown),
        Err(error) => Err(error),
    }
}

/// How this session ended.
pub async fn end_of(app: &App, session: SessionId) -> Result<End> {
    let now = app.now();
    let end = app
        .db
        .read(work!(conn => store::session::ended::end_of(conn, &By::Id(session), now).await))
        .await?;
    Ok(end.unwrap_or(End::Unknown))
}
