//! What operators do with limits: list them, clear them, block a network for a time. Running
//! processes notice within a second.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::app::App;
use crate::crypto::limit_key::part;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::time::Timestamp;
use crate::model::limit::block::Block;
use crate::model::limit::network::networks;
use crate::model::limit::rate::State;
use crate::store::{self, work};

use crate::flows::find_user;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// A page of the blocked networks, followed by the counts.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The blocks, in the order of their ends.
    pub blocks: Vec<Block>,
    /// The counts, those that last longest first.
    pub limits: Vec<(String, State)>,
    /// The number of blocks and counts of all pages.
    pub total: i64,
}

/// Lists the blocked networks and then the counts: at most `limit` of both together, after the
/// first `offset` of them.
pub async fn list(
    app: &App,
    _: Permitted<'_, to::OperateLimits>,
    limit: i64,
    offset: i64,
) -> Result<Listed> {
    let now = app.now();
    Ok(app
        .db
        .read(work!(conn => {
            let mut blocks = store::limit::blocks::list(conn, now).await?;
            let before = i64::try_from(blocks.len()).unwrap_or(i64::MAX);
            let total = before + store::limit::limits::count(conn, now).await?;
            let size = |number: i64| usize::try_from(number).unwrap_or(0);
            blocks.drain(..size(offset.min(before)));
            blocks.truncate(size(limit));
            let left = limit - i64::try_from(blocks.len()).unwrap_or(limit);
            let skipped = (offset - before).max(0);
            let limits = store::limit::limits::list(conn, now, left, skipped).await?;
            Ok(Listed { blocks, limits, total })
        }))
        .await?)
}

/// Lists the blocked networks, in the order of their ends.
pub async fn blocks(app: &App, _: Permitted<'_, to::OperateLimits>) -> Result<Vec<Block>> {
    let now = app.now();
    Ok(app
        .db
        .read(work!(conn => store::limit::blocks::list(conn, now).await))
        .await?)
}

/// Whose limits are cleared.
#[derive(Debug, Clone)]
pub enum Whose {
    /// Those of an account, by its email address; it need not exist.
    Account(String),
    /// Those of the network of an IP address.
    Network(IpAddr),
    /// The limits of all.
    All,
}

/// Clears limits and returns how many rows.
pub async fn clear(
    app: &App,
    _: Permitted<'_, to::OperateLimits>,
    whose: Whose,
    requester: &Requester,
) -> Result<u64> {
    let (parts, name) = match whose {
        Whose::Account(email) => {
            let mut parts = vec![part(&email)];
            match find_user::by_name(app, &email).await {
                Ok(user) => parts.push(part(&user.id.to_string())),
                Err(Error::UserNotFound) => {}
                Err(error) => return Err(error),
            }
            (parts, "account")
        }
        Whose::Network(address) => (
            networks(&address.to_string())
                .iter()
                .map(|(_, network)| part(network))
                .collect(),
            "network",
        ),
        Whose::All => (Vec::new(), "all"),
    };
    app.transaction(
        requester,
        tx!(tx => {
            let mut cleared = 0;
            if parts.is_empty() {
                cleared += store::limit::limits::clear(tx.conn, None).await?;
            }
            for part in &parts {
                cleared += store::limit::limits::clear(tx.conn, Some(part)).await?;
            }
            store::limit::blocks::advance(tx.conn).await?;
            let what = detail([("of", name.into()), ("cleared", cleared.into())]);
            tx.record(Kind::LimitsCleared, None, None, what).await?;
            Ok(cleared)
        }),
    )
    .await
}

/// Blocks a network for this long; replaces a block of the same network.
pub async fn block(
    app: &App,
    _: Permitted<'_, to::OperateLimits>,
    network: IpNet,
    time: Duration,
    reason: &str,
    requester: &Requester,
) -> Result<Timestamp> {
    let reason = reason.to_owned();
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            let block = Block {
                network,
                reason,
                created_at: now,
                ends_at: now + time,
            };
            store::limit::blocks::put(tx.conn, &block).await?;
            store::limit::blocks::advance(tx.conn).await?;
            let what = detail([
                ("network", block.network.to_string().into()),
                ("endsAt", block.ends_at.0.into()),
                ("reason", block.reason.into()),
            ]);
            tx.record(Kind::NetworkBlocked, None, None, what).await?;
            Ok(block.ends_at)
        }),
    )
    .await
}

/// Lifts a block; returns `false` if there was none.
pub async fn unblock(
    app: &App,
    _: Permitted<'_, to::OperateLimits>,
    network: IpNet,
    requester: &Requester,
) -> Result<bool> {
    app.transaction(
        requester,
        tx!(tx => {
            if !store::limit::blocks::remove(tx.conn, network).await? {
                return Ok(false);
            }
            store::limit::blocks::advance(tx.conn).await?;
            let what = detail([("network", network.to_string().into())]);
            tx.record(Kind::NetworkUnblocked, None, None, what).await?;
            Ok(true)
        }),
    )
    .await
}

/// Applies what an operator has changed since the last call: loads the blocks, and forgets the
/// refusals in memory.
pub async fn follow(app: &App) -> Result<()> {
    let (seen, now, uptime) = (app.blocks.version(), app.now(), app.uptime());
    let changed = app.db.read(work!(conn => {
        let version = store::limit::blocks::version(conn).await?;
        if version == seen {
            return Ok(None);
        }
        Ok(Some((
            version,
            store::limit::blocks::list(conn, now).await?,
        )))
    }));
    if let Some((version, blocks)) = changed.await? {
        app.refused.invalidate_all();
        let until = blocks
            .into_iter()
            .map(|block| (uptime + block.left(now), block))
            .collect();
        app.blocks.replace(version, until);
    }
    Ok(())
}

/// Returns how long the network of this IP address is still blocked; `None` if it is not.
pub fn blocked(app: &App, address: &str) -> Option<Duration> {
    app.blocks.left(address.parse().ok()?, app.uptime())
}
