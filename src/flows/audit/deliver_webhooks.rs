//! Delivers events to the webhook. A process that takes a message holds it for a minute; if the
//! process dies, another one sends it again under the same `webhook-id`. A message that is not
//! accepted is retried with growing delays for three days.

use std::time::Duration;

use futures_util::future::join_all;

use crate::app::App;
use crate::config::Webhooks;
use crate::crypto::webhook::sign_by_all;
use crate::model::audit::webhook::Webhook;
use crate::outbound_http::Client;
use crate::store::queue::Message;

use crate::flows::confirm_clock;
use crate::flows::queue::{self, Delays};
use crate::flows::{Error, Result};

const DELAYS: Delays = Delays {
    // Longer than a request can take.
    hold: Duration::from_secs(60),
    first_retry: Duration::from_secs(5),
    last_retry: Duration::from_secs(3_600),
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
        let taken: Vec<Webhook> = queue::take(app, DELAYS).await?;
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
    let (id, attempts, attempt) = (webhook.id, webhook.attempts, webhook.attempt());
    let Err(reason) = offer(app, client, webhooks, &webhook).await? else {
        app.metrics.webhook("taken");
        queue::remove::<Webhook>(app, attempt).await?;
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
        queue::give_up::<Webhook>(app, attempt, now).await?;
        return Ok(false);
    }
    app.metrics.webhook("later");
    tracing::info!(webhook = %id, kind = webhook.kind, attempts, reason, "the webhook did not accept an event; it will be sent again");
    queue::postpone::<Webhook>(app, attempt, DELAYS).await?;
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
    let secrets = std::iter::once(&webhooks.secret).chain(&webhooks.previous_secret);
    let secrets = secrets.map(|secret| secret.0.as_str());
    let signature = sign_by_all(secrets, &id, seconds, &webhook.body)
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
