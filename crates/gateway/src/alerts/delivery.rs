//! Delivering alerts: to the webhook, and on the channel in Redis, each one after the other.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use super::ring::{Alerts, Raised, Waiting};
use super::webhook;
use crate::config::{self, AlertKind};
use crate::redis::Redis;

/// Delivers what is raised, by the settings of that moment, for as long as it is polled. A webhook that does not answer holds up the channel in nothing.
pub(crate) async fn deliver(alerts: &Alerts, waiting: [Waiting; 2], redis: Option<&Redis>, settings: impl Fn() -> config::Alerts) {
    let [webhook, channel] = waiting;
    tokio::join!(to_webhook(alerts, webhook, &settings), to_channel(alerts, channel, redis, &settings));
}

async fn to_webhook(alerts: &Alerts, mut waiting: Waiting, settings: impl Fn() -> config::Alerts) {
    while let Some((kind, raised)) = waiting.next().await {
        let settings = settings();
        if let Some(webhook) = settings.webhook.as_ref().filter(|_| settings.on.contains(&kind)) {
            let sent = webhook::send(webhook, &raised.id, &body(&raised)).await;
            let host = webhook.url.authority().map(|authority| authority.as_str()).unwrap_or_default();
            told(alerts, &raised, &format!("the webhook at {host}"), sent);
        }
    }
}

async fn to_channel(alerts: &Alerts, mut waiting: Waiting, redis: Option<&Redis>, settings: impl Fn() -> config::Alerts) {
    while let Some((kind, raised)) = waiting.next().await {
        let settings = settings();
        let channel = if kind == AlertKind::Quota { &settings.quota_channel } else { &settings.channel };
        if let (Some(redis), Some(channel), true) = (redis, channel, settings.on.contains(&kind)) {
            let sent = redis.publish(channel, &body(&raised)).await;
            told(alerts, &raised, &format!("the channel {channel}"), sent);
        }
    }
}

fn body(raised: &Arc<Raised>) -> Bytes {
    // Plain data; there is nothing in it that could fail.
    serde_json::to_vec(&**raised).unwrap_or_default().into()
}

fn told(alerts: &Alerts, raised: &Raised, to: &str, sent: Result<(), String>) {
    alerts.counts_delivery(sent.is_ok());
    if let Err(why) = sent {
        warn!("an alert ({}: {}) could not be sent to {to}: {why}", raised.kind, raised.subject);
    }
}
