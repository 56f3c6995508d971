//! Signing in with an address and a password. An unknown address costs what a wrong password costs and gets the same answer;
//! what is wrong with an account is told only to who knows its password.

use crate::app::App;
use crate::crypto::cookie;
use crate::crypto::password::Verdict;
use crate::crypto::token::SessionToken;
use crate::model::audit::Peer;
use crate::model::email::Email;
use crate::model::password::Password;
use crate::model::session::RevokedReason;
use crate::model::user::User;
use crate::store::users::WithPassword;
use crate::store::{self, Conn};

use super::end_session::Ending;
use super::open_session::{Grant, Opening, Options};
use super::record::Recorder;
use super::{Error, Result};

/// Tokens that came with a request, and whose sessions a sign-in replaces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'r> {
    /// Values of session cookies, still signed.
    pub cookies: &'r [&'r str],
    /// Refresh tokens.
    pub refresh: &'r [&'r str],
}

impl Presented<'_> {
    /// The session tokens inside the cookies whose signature is good.
    pub(super) fn sessions(&self, app: &App) -> Vec<SessionToken> {
        let Some(ring) = app.ring() else { return Vec::new() };
        self.cookies.iter().filter_map(|signed| cookie::open(signed, &ring.masters).and_then(SessionToken::parse)).collect()
    }
}

/// Proves a password and opens a session.
pub async fn sign_in(app: &App, email: &Email, password: &str, options: Options, replaces: Presented<'_>, peer: &Peer) -> Result<(User, Grant)> {
    let password = Password::attempt(password, app.config.passwords.length)?;
    let key = email.clone();
    let known = app.db.read(move |conn| Box::pin(async move { store::users::by_email(conn, &key).await })).await?;
    let stored = known.as_ref().and_then(|k| k.password_hash.clone());
    let verdict = app.hasher.verify(password.clone(), stored).await?;
    let (Some(WithPassword { user, password_hash: Some(verified) }), Verdict::Right { outdated }) = (known, verdict) else {
        return Err(Error::InvalidEmailOrPassword);
    };
    refuse_shut_out(app, &user)?;
    let upgraded = if outdated { Some(app.hasher.hash(password).await?) } else { None };
    let opening = Opening::prepare(app, &user, options, peer)?;
    let ending = Ending::of(app, &replaces.sessions(app), replaces.refresh, RevokedReason::Replaced).await?;
    let entry = Entry { user: user.clone(), verified, upgraded, opening, ending, recorder: Recorder::new(app, peer) };
    let opening = app.db.write(move |conn| Box::pin(entry.run(conn))).await?;
    // The password changed, or the user was shut out, while it was verified: to the client that is a wrong password.
    let grant = opening.ok_or(Error::InvalidEmailOrPassword)?.grant(app, &user).await?;
    Ok((user, grant))
}

fn refuse_shut_out(app: &App, user: &User) -> Result<()> {
    if user.disabled_at.is_some() {
        return Err(Error::UserDisabled);
    }
    if user.is_banned(app.now()) { Err(Error::BannedUser) } else { Ok(()) }
}

struct Entry {
    user: User,
    verified: String,
    upgraded: Option<String>,
    opening: Opening,
    ending: Ending,
    recorder: Recorder,
}

impl Entry {
    async fn run(self, conn: &mut Conn) -> store::Result<Option<Opening>> {
        if !self.opening.insert(conn, &self.recorder, &self.verified).await? {
            return Ok(None);
        }
        if let Some(upgraded) = &self.upgraded {
            store::users::set_password_hash(conn, self.user.id, Some(&self.verified), upgraded, self.recorder.now).await?;
        }
        self.ending.run(conn, &self.recorder).await?;
        Ok(Some(self.opening))
    }
}
