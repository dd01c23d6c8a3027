//! Messages on the Redis channel, carried out.

use std::sync::atomic::{AtomicU64, Ordering};

use larder_redis::Message;
use larder_store::Invalidation;
use larder_tower::Cache;
use tracing::warn;

use super::message;
use crate::active::ActiveConfig;

/// Messages on the channel since the start.
#[derive(Debug, Default)]
pub(crate) struct ChannelCounts {
    applied: AtomicU64,
    refused: AtomicU64,
}

impl ChannelCounts {
    /// By what became of them, for metrics.
    pub(crate) fn by_outcome(&self) -> Vec<(&'static str, u64)> {
        vec![("applied", self.applied.load(Ordering::Relaxed)), ("refused", self.refused.load(Ordering::Relaxed))]
    }
}

/// Purges what messages say, all in one or two steps. One that makes no sense is logged and left.
pub(crate) async fn carry_out(active: &ActiveConfig, cache: &Cache, counts: &ChannelCounts, messages: &[Message]) {
    let mut hard = (Invalidation::default(), Vec::new());
    let mut soft = (Invalidation { soft: true, ..Invalidation::default() }, Vec::new());
    for message in messages {
        match message::invalidation(active, &message.text) {
            Ok(Invalidation { targets, soft: is_soft }) => {
                counts.applied.fetch_add(1, Ordering::Relaxed);
                let (invalidation, marks) = if is_soft { &mut soft } else { &mut hard };
                invalidation.targets.extend(targets);
                marks.push(message.mark);
            }
            Err(refused) => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                warn!("a message on the channel of invalidations was not understood: {refused}");
            }
        }
    }
    for (invalidation, marks) in [hard, soft] {
        if !invalidation.targets.is_empty() {
            cache.invalidate_received(&invalidation, marks).await;
        }
    }
}
