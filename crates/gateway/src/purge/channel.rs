//! Messages on the Redis channel, carried out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_redis::Message;
use larder_store::Invalidation;
use larder_tower::Cache;
use tokio::task::JoinSet;
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

/// Bytes of targets, in their form in the log, that messages have together in one invalidation. An entry of the log takes twice as much, and
/// what is longer becomes coarser: `[tags] cascade` adds targets.
const MAX_BYTES: usize = 32 << 10;

/// Invalidations that are published at the same time.
const MAX_CONCURRENT: usize = 4;

/// What messages say together, with their marks.
#[derive(Default)]
struct Batch {
    invalidation: Invalidation,
    marks: Vec<u64>,
    bytes: usize,
}

/// Purges what messages say, all in few steps. One that makes no sense is logged and left.
pub(crate) async fn carry_out(active: &ActiveConfig, cache: &Arc<Cache>, counts: &ChannelCounts, messages: &[Message]) {
    let mut publishing = JoinSet::new();
    for Batch { invalidation, marks, .. } in batches(active, counts, messages) {
        // A few together: what a later one purges here should not wait for the log to take an earlier one, and many would be late there.
        if publishing.len() >= MAX_CONCURRENT {
            publishing.join_next().await;
        }
        let cache = Arc::clone(cache);
        publishing.spawn(async move { cache.invalidate_received(&invalidation, marks).await });
    }
    publishing.join_all().await;
}

fn batches(active: &ActiveConfig, counts: &ChannelCounts, messages: &[Message]) -> Vec<Batch> {
    let (mut hard, mut soft) = (Vec::new(), Vec::new());
    for message in messages {
        match message::invalidation(active, &message.text) {
            Ok(said) => {
                counts.applied.fetch_add(1, Ordering::Relaxed);
                let batches = if said.soft { &mut soft } else { &mut hard };
                add(batches, said, message.mark);
            }
            Err(refused) => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                warn!("a message on the channel of invalidations was not understood: {refused}");
            }
        }
    }
    hard.append(&mut soft);
    hard
}

/// Adds what a message says to the last batch, or to another one where that is full.
fn add(batches: &mut Vec<Batch>, said: Invalidation, mark: u64) {
    if said.targets.is_empty() {
        return;
    }
    let bytes = serde_json::to_vec(&said.targets).map_or(MAX_BYTES, |text| text.len());
    match batches.last_mut().filter(|last| last.bytes + bytes <= MAX_BYTES) {
        Some(last) => {
            last.invalidation.targets.extend(said.targets);
            last.marks.push(mark);
            last.bytes += bytes;
        }
        None => batches.push(Batch { invalidation: said, marks: vec![mark], bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[tokio::test]
    async fn a_burst_of_messages_purges_what_they_name_and_never_everything() {
        let text = b"[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n";
        let (config, _) = config::parse("test.toml", text, &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let active = ActiveConfig::alone(config);
        let message = |n: u64| {
            let tags: Vec<String> = (0..50).map(|tag| format!("\"product-{n:03}{tag:03}\"")).collect();
            Message { text: format!("{{\"tags\":[{}],\"soft\":{}}}", tags.join(","), n.is_multiple_of(3)).into_bytes(), mark: n }
        };
        let messages: Vec<Message> = (0..256).map(message).collect();
        let batches = batches(&active, &ChannelCounts::default(), &messages);
        for batch in &batches {
            let length = serde_json::to_vec(&batch.invalidation).expect("plain data").len();
            assert!(length <= 48 << 10, "{length}: an entry of the log takes 64 KiB, and cascades add to it");
            assert_eq!(batch.invalidation.targets.len(), 50 * batch.marks.len());
            assert!(batch.marks.iter().all(|mark| (mark % 3 == 0) == batch.invalidation.soft));
        }
        let mut marks: Vec<u64> = batches.iter().flat_map(|batch| batch.marks.clone()).collect();
        marks.sort_unstable();
        assert_eq!(marks, (0..256).collect::<Vec<u64>>());
        assert!(batches.len() < 20, "few steps: {}", batches.len());
    }
}
