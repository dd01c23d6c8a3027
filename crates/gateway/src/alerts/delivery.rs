//! Delivering alerts, one after the other: to the webhook, and on the channel in Redis.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use super::ring::{Alerts, Raised, Waiting};
use super::webhook;
use crate::config::{self, AlertKind};
use crate::redis::Redis;

/// Delivers what is raised, by the settings of that moment, for as long as it is polled.
pub(crate) async fn deliver(alerts: &Alerts, mut waiting: Waiting, redis: Option<&Redis>, settings: impl Fn() -> config::Alerts) {
    while let Some((kind, raised)) = waiting.recv().await {
        let settings = settings();
        if !settings.on.contains(&kind) {
            continue;
        }
        let to_webhook = async {
            if let Some(webhook) = &settings.webhook {
                let sent = webhook::send(webhook, &raised.id, &body(&raised)).await;
                let host = webhook.url.authority().map(|authority| authority.as_str()).unwrap_or_default();
                told(alerts, &raised, &format!("the webhook at {host}"), sent);
            }
        };
        let to_channel = async {
            let channel = if kind == AlertKind::Quota { &settings.quota_channel } else { &settings.channel };
            if let (Some(redis), Some(channel)) = (redis, channel) {
                let sent = redis.publish(channel, &body(&raised)).await;
                told(alerts, &raised, &format!("the channel {channel}"), sent);
            }
        };
        tokio::join!(to_webhook, to_channel);
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
