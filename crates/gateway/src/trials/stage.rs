//! The gateway of one test: as it is served, but for the network and for time.

use std::sync::Arc;

use larder_semantics::Timestamp;
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{Cache, Tiers};

use super::origin::PlayedOrigin;
use super::purges::PurgeLog;
use crate::active::{ActiveConfig, Process, SetupError};
use crate::config::{AccessLog, Config};
use crate::upstream::StandIn;

/// When every test begins: 2026-01-01T00:00:00Z, so that answers may have dates.
const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Memory of a test's own cache, at most: its capacity is divided beforehand.
const MAX_CAPACITY: u64 = 64 << 20;

/// Turns in which work in the background has to come to its end. Nothing of it waits for more than the next one.
const MAX_TURNS: usize = 10_000;

/// A gateway that nobody else asks.
pub(super) struct Stage {
    pub(super) active: ActiveConfig,
    pub(super) cache: Arc<Cache>,
    pub(super) hand: ClockHand,
    pub(super) origin: Arc<PlayedOrigin>,
    pub(super) purges: Arc<PurgeLog>,
}

impl Stage {
    pub(super) fn new(config: Config) -> Result<Self, SetupError> {
        let (clock, hand) = Clock::manual(START);
        let (origin, purges) = (Arc::new(PlayedOrigin::new(hand.clone())), Arc::<PurgeLog>::default());
        let capacity = config.memory.capacity.min(MAX_CAPACITY);
        let tiers = Tiers::new().with_log(Arc::clone(&purges) as _);
        let cache = Cache::builder(capacity).max_object(config.largest_object().min(capacity)).clock(clock.clone()).tiers(tiers).build();
        let active = without_network(config, &cache, &clock, Arc::clone(&origin) as _)?;
        Ok(Self { active, cache, hand, origin, purges })
    }
}

/// A configuration as it is served, with this in the place of all origins, and without the log and the traces of the running gateway.
pub(crate) fn without_network(
    mut config: Config,
    cache: &Arc<Cache>,
    clock: &Clock,
    stand_in: Arc<dyn StandIn>,
) -> Result<ActiveConfig, SetupError> {
    (config.log.access, config.traces) = (AccessLog::Off, None);
    let (access_logs, exporters) = Default::default();
    let process = Process { cache, clock, redis: None, access_logs: &access_logs, exporters: &exporters, stand_in: Some(&stand_in) };
    ActiveConfig::new(config, &process, None)
}

/// Lets refreshes and what is still being stored come to an end, in a runtime that has nothing else to do.
pub(crate) async fn settle() {
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..MAX_TURNS {
        if metrics.num_alive_tasks() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}
