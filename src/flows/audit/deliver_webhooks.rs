//! Delivers events to the webhook. A process that takes a message holds it for a minute; if the
//! process dies, another one sends it again under the same `webhook-id`. A message that is not
//! accepted is retried with growing delays for three days.

use std::time::Duration;

use futures_util::future::join_all;

use crate::app::App;
use crate::config::Webhooks;
use crate::crypto::webhook::sign;
use crate::model::audit::event::Requester;
use crate::model::audit::webhook::Webhook;
use crate::model::kernel::retry_delay::retry_delay;
use crate::outbound_http::Client;
use crate::store;

use crate::flows::confirm_clock;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// The number of messages that are sent at the same time.
const TOGETHER: i64 = 8;
/// How long a taken message is held: longer than a request can take.
const HOLD: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(3_600);
/// The clocks of replicas differ by far less than a minute.
const TIMES: store::mails::Hold = store::mails::Hold {
    hold: HOLD,
    latest: LAST_RETRY.saturating_add(Duration::from_secs(60)),
};
/// The age at which a message that was never accepted is dropped, here or by `prune`.
pub(in crate::flows) const GIVE_UP: Duration = Duration::from_secs(3 * 86_400);

/// Sends everything that is due, unless it is told to stop between two rounds; returns how many
/// messages were accepted.
pub async fn deliver_due(app: &App, stopped: impl Fn() -> bool) -> Result<usize> {
    let (Some(webhooks), Some(client)) = (&app.config.webhooks, &app.outgoing) else {
        return Ok(0);
    };
    let mut sent = 0;
    while !stopped() {
        let Some(taking) = confirm_clock::admit_taking(app).await? else {
            break;
        };
        let take = tx!(tx => {
            let (now, confirmed) = (tx.now(), taking.confirmed);
            let due = store::audit::webhooks::take_due(tx.conn, TOGETHER, now, confirmed, TIMES);
            Ok(due.await?)
        });
        let taken = app.transaction(&Requester::named("schedule"), take).await?;
        if taken.is_empty() {
            break;
        }
        let offered = taken.len();
        let mut round = 0;
        for outcome in join_all(
            taken
                .into_iter()
                .map(|webhook| deliver(app, client, webhooks, webhook)),
        )
        .await
        {
            round += usize::from(outcome?);
        }
        sent += round;
        if round == 0 {
            // The receiver is most likely unavailable: the other messages are not tried, and it is
            // logged only once.
            tracing::warn!(
                offered,
                "the webhook did not accept an event; it will be sent again"
            );
            break;
        }
    }
    Ok(sent)
}

async fn deliver(
    app: &App,
    client: &Client,
    webhooks: &Webhooks,
    webhook: Webhook,
) -> Result<bool> {
    let (id, attempts, schedule) = (webhook.id, webhook.attempts, Requester::named("schedule"));
    let Err(reason) = offer(app, client, webhooks, &webhook).await? else {
        app.metrics.webhook("taken");
        let remove = tx!(tx => Ok(store::audit::webhooks::remove(tx.conn, id, attempts).await?));
        app.transaction(&schedule, remove).await?;
        return Ok(true);
    };
    let too_old = if app.now().since(webhook.created_at) >= GIVE_UP {
        confirm_clock::confirm(app).await?
    } else {
        None
    };
    if let Some(now) = too_old {
        app.metrics.webhook("given_up");
        tracing::error!(webhook = %id, kind = webhook.kind, attempts, reason, "an event is dropped: the webhook has not accepted it for three days");
        let give_up = tx!(tx => {
            Ok(store::audit::webhooks::give_up(tx.conn, id, attempts, now).await?)
        });
        app.transaction(&schedule, give_up).await?;
        return Ok(false);
    }
    app.metrics.webhook("later");
    tracing::info!(webhook = %id, kind = webhook.kind, attempts, reason, "the webhook did not accept an event; it will be sent again");
    let due = app.now() + retry_delay(attempts, FIRST_RETRY, LAST_RETRY);
    let postpone = tx!(tx => {
        Ok(store::audit::webhooks::postpone(tx.conn, id, attempts, due).await?)
    });
    app.transaction(&schedule, postpone).await?;
    Ok(false)
}

/// Sends a message; the inner error is the receiver's.
async fn offer(
    app: &App,
    client: &Client,
    webhooks: &Webhooks,
    webhook: &Webhook,
) -> Result<std::result::Result<(), String>> {
    let (id, seconds) = (webhook.id.to_string(), app.now().seconds());
    let signature = sign(&webhooks.secret.0, &id, seconds, &webhook.body)
        .ok_or_else(|| Error::Internal("the webhook's secret is unusable".into()))?;
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signature),
    ];
    Ok(client
        .post_json(&webhooks.url, &headers, webhook.body.clone())
        .await)
}
