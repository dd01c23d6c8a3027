//! What is said on the Redis channel, carried out.

use std::sync::atomic::{AtomicU64, Ordering};

use larder_redis::Message;
use larder_store::Invalidation;
use tracing::warn;

use super::message;
use crate::gateway::Gateway;

/// Messages on the channel since the start.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    applied: AtomicU64,
    refused: AtomicU64,
}

impl Heard {
    /// By what became of them, for metrics.
    pub(crate) fn by_outcome(&self) -> Vec<(&'static str, u64)> {
        vec![("applied", self.applied.load(Ordering::Relaxed)), ("refused", self.refused.load(Ordering::Relaxed))]
    }
}

impl Gateway {
    /// Purges what messages say, all in one or two steps. One that makes no sense is told of and left.
    pub(crate) async fn hear(&self, messages: &[Message]) {
        let live = self.live.load_full();
        let mut hard = (Invalidation::default(), Vec::new());
        let mut soft = (Invalidation { soft: true, ..Invalidation::default() }, Vec::new());
        for message in messages {
            match message::made_old(&live, &message.text) {
                Ok(Invalidation { targets, soft: is_soft }) => {
                    self.heard.applied.fetch_add(1, Ordering::Relaxed);
                    let (invalidation, marks) = if is_soft { &mut soft } else { &mut hard };
                    invalidation.targets.extend(targets);
                    marks.push(message.mark);
                }
                Err(refused) => {
                    self.heard.refused.fetch_add(1, Ordering::Relaxed);
                    warn!("a message on the channel of invalidations was not understood: {refused}");
                }
            }
        }
        for (invalidation, marks) in [hard, soft] {
            if !invalidation.targets.is_empty() {
                self.cache.invalidate_heard(&invalidation, marks).await;
            }
        }
    }
}
