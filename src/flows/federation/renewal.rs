//! Renews the tokens that are kept of an identity: one request at a time, because an issuer that gives a
//! new refresh token with each answer takes one that comes twice for a theft. In the process those who
//! wait share one renewal; between processes the row says who renews. No transaction is open while the
//! issuer is asked, and newer tokens are written only in the place of those that were sent.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::master_key::MasterKeys;
use crate::crypto::upstream_tokens::{self, Place, UpstreamTokens};
use crate::flows::key::inspect_keys;
use crate::flows::session::upstream_tokens::keep;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::federation::renewal::Renewal;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::store::federation::upstream_tokens::{self as rows, Stored};
use crate::store::work;
use crate::upstream::{Failure, Kept};

/// For how long one process alone may renew the tokens of a row. It is longer than a renewal takes.
const TURN: Duration = Duration::from_secs(30);
/// How long all requests to the issuer may take: those before the refresh token is sent, that one, and
/// those for the keys of an id token. It is longer than their own bounds together, because newer tokens
/// that came must not be given up for the keys.
const ASKING: Duration = Duration::from_secs(27);
/// How long a request waits for a renewal, which goes on without it; that of another process too.
const WAITING: Duration = Duration::from_secs(15);
/// How often a row is looked at while another process renews.
const LOOK: Duration = Duration::from_millis(100);
/// How often tokens are written that the database did not take, and how long apart: a refresh token that
/// is not written is lost.
const TRIES: u32 = 5;
const APART: Duration = Duration::from_millis(500);

/// The tokens that are to be renewed, as they were seen.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) account: EventId,
    pub(super) provider: Arc<Provider>,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) access_token: Zeroizing<String>,
    pub(super) updated_at: Timestamp,
}

/// Renews the tokens, or waits for the renewal that is under way.
pub(super) async fn renew(app: &Arc<App>, seen: Seen) -> Renewal {
    let account = seen.account;
    let own = Arc::clone(app);
    let flight = app.renewals.join(account, async move {
        let provider = Arc::clone(&seen.provider);
        attempt(&own, seen).await.unwrap_or_else(|error| {
            tracing::error!(provider = %provider.id, %error, "tokens of a provider were not renewed");
            Renewal::Unknown
        })
    });
    match tokio::time::timeout(WAITING, flight).await {
        Ok(Some(renewal)) => renewal,
        Ok(None) | Err(_) => Renewal::Unknown,
    }
}

async fn attempt(app: &App, seen: Seen) -> Result<Renewal> {
    let account = seen.account;
    let work = tx!(tx => {
        let now = tx.now();
        Ok(rows::claim(tx.conn, account, now + TURN, now).await?)
    });
    let Some(claimed) = app.transaction(&service(), work).await? else {
        tracing::debug!(%account, "another process renews these tokens of a provider, and is waited for");
        return wait(app, &seen).await;
    };
    let turn = claimed.renewing_until;
    let renewal = match open(app, account, &claimed) {
        Err(error) => Err(error),
        Ok(tokens) => match seen.is_over(&claimed, &tokens) {
            Some(renewal) => Ok(renewal),
            None => ask(app, &seen, tokens).await,
        },
    };
    if let Some(until) = turn {
        release(app, account, until).await;
    }
    renewal
}

impl Seen {
    /// Returns what another renewal has brought, if the row is no longer as it was seen.
    fn is_over(&self, stored: &Stored, tokens: &UpstreamTokens) -> Option<Renewal> {
        let is_same =
            stored.updated_at == self.updated_at && tokens.access_token == self.access_token;
        match &tokens.refresh_token {
            None => Some(Renewal::Refused),
            Some(_) => (!is_same).then_some(Renewal::Done),
        }
    }
}

/// Asks the issuer, and writes what it answers.
async fn ask(app: &App, seen: &Seen, sent: UpstreamTokens) -> Result<Renewal> {
    if app.config.rate_limits.enabled
        && let Err(wait) = app.renewal_pace.check(&seen.account)
    {
        return Ok(Renewal::TooSoon(wait));
    }
    let kept = Kept {
        issuer: &seen.issuer,
        subject: &seen.subject,
        tokens: &sent,
    };
    let asking = app.upstream.renew(&seen.provider, kept, app.now());
    let answer = tokio::time::timeout(ASKING, asking).await;
    let answer = answer.unwrap_or_else(|_| Err(Failure::Unavailable("no answer in time".into())));
    let (newer, renewal) = match answer {
        Ok(newer) => (newer, Renewal::Done),
        Err(failure) => {
            let provider = &seen.provider.id;
            tracing::warn!(%provider, %failure, "a provider did not renew the tokens of a user");
            match failure {
                failure if failure.ends_refresh_token() => {
                    (sent.clone().without_refresh(), Renewal::Refused)
                }
                Failure::Unavailable(_) => return Ok(Renewal::Unknown),
                _ => return Ok(Renewal::Refused),
            }
        }
    };
    write_surely(app, seen.account, &sent, &newer).await?;
    Ok(renewal)
}

/// Writes tokens, again and again if the database does not take them for a moment.
///
/// # Errors
/// The last error of the database, or that a master key is not loaded.
async fn write_surely(
    app: &App,
    account: EventId,
    sent: &UpstreamTokens,
    newer: &UpstreamTokens,
) -> Result<()> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match write(app, account, sent, newer).await {
            Err(Error::Unavailable(_)) if left > 0 => tokio::time::sleep(APART).await,
            outcome => return outcome,
        }
    }
}

/// Writes newer tokens, unless the row has another refresh token than the one that was sent: then its
/// user has signed in at the issuer meanwhile.
async fn write(
    app: &App,
    account: EventId,
    sent: &UpstreamTokens,
    newer: &UpstreamTokens,
) -> Result<()> {
    let masters = inspect_keys::loaded(app)?.masters.clone();
    let (sent, newer) = (sent.refresh_token.clone(), Arc::new(newer.clone()));
    let work = tx!(tx => {
        let Some(stored) = rows::lock(tx.conn, account).await? else {
            return Ok(());
        };
        // Compared in the clear: the row may have been sealed again meanwhile.
        let kept = open_with(&masters, account, &stored)?;
        if kept.refresh_token == sent {
            keep(tx, account, &newer, &masters).await?;
        }
        Ok(())
    });
    app.transaction(&service(), work).await
}

/// Lets other processes renew again. If the database does not answer, the turn ends by itself.
async fn release(app: &App, account: EventId, until: Timestamp) {
    let work = tx!(tx => Ok(rows::release(tx.conn, account, until).await?));
    drop(app.transaction(&service(), work).await);
}

/// Waits for the renewal of another process.
async fn wait(app: &App, seen: &Seen) -> Result<Renewal> {
    let account = seen.account;
    let looking = async {
        loop {
            let look = work!(conn => rows::find(conn, account).await);
            let Some(stored) = app.db.read(look).await? else {
                return Ok(Renewal::Refused);
            };
            let tokens = open(app, account, &stored)?;
            if let Some(renewal) = seen.is_over(&stored, &tokens) {
                return Ok(renewal);
            }
            // It has ended and brought nothing: whether the issuer took the refresh token is not known.
            if stored.renewing_until.is_none_or(|until| until <= app.now()) {
                return Ok(Renewal::Unknown);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(WAITING, looking)
        .await
        .unwrap_or(Ok(Renewal::Unknown))
}

/// Opens the tokens that are kept of an identity.
///
/// # Errors
/// [`Error::Unavailable`] if their master key is not loaded; [`Error::Internal`] if they are not the tokens
/// of this row.
pub(super) fn open(app: &App, account: EventId, stored: &Stored) -> Result<UpstreamTokens> {
    open_with(&inspect_keys::loaded(app)?.masters, account, stored)
}

fn open_with(masters: &MasterKeys, account: EventId, stored: &Stored) -> Result<UpstreamTokens> {
    let keys = masters.iter().map(|master| &*master.key);
    let opened = UpstreamTokens::open(&stored.tokens_jwe, Place::Account(account), keys);
    opened.map_err(|error| match error {
        upstream_tokens::Error::OtherMasterKey { .. } => Error::Unavailable(error.to_string()),
        upstream_tokens::Error::Damaged(_) => Error::Internal(error.to_string()),
    })
}

fn service() -> Requester {
    Requester::named("service")
}
