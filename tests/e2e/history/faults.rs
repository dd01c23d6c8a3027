//! Faults of replicas and Redis during a history.

use std::time::{Duration, Instant};

use larder_testkit::Result;
use larder_testkit::faults::Fault;
use larder_tests::Lot;
use rustix::process::Signal;

use super::{REPLICAS, Site};

/// How long replicas serve without hearing of the log.
pub(super) const MAX_LAG: Duration = Duration::from_secs(1);

/// Shorter than a replica counts after it was last heard of; a cut-off replica that is forgotten may serve what it fetched for `max_lag`.
const CUT_OFF: Duration = Duration::from_millis(2_500);

/// Longer than that: it wakes when others have been told that a purge holds everywhere.
const STAND_STILL: Duration = Duration::from_millis(6_500);

const SHORT: Duration = Duration::from_millis(300);

/// Purges between two faults.
const PAUSE: u64 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A process stops for so long.
    Stop(Duration),
    /// Its connections to Redis are closed, and new ones are too.
    Refused,
    /// Nothing comes from Redis any more.
    Blackholed,
    /// Its connections are closed once.
    Closed,
    /// Redis stands still.
    Stall,
    /// Redis has lost everything.
    Emptied,
    /// Keys of the log are gone.
    Evicted(&'static str),
    /// Something else is in their place.
    Damaged(&'static [&'static str]),
}

const KINDS: [Kind; 13] = [
    Kind::Stop(SHORT),
    Kind::Refused,
    Kind::Evicted("larder:{log}:m"),
    Kind::Closed,
    Kind::Stop(STAND_STILL),
    Kind::Emptied,
    Kind::Blackholed,
    Kind::Evicted("larder:{log}:e"),
    Kind::Stall,
    Kind::Evicted("larder:{log}:s"),
    Kind::Evicted("larder:{log}:n"),
    Kind::Damaged(&["SET", "larder:{log}:n", "x"]),
    Kind::Damaged(&["XADD", "larder:{log}:s", "*", "foo", "bar"]),
];

/// One fault after the other.
#[derive(Default)]
pub(super) struct Faults {
    count: usize,
    since: u64,
    now: Option<(Kind, usize, Instant)>,
}

impl Faults {
    pub(super) fn are_all_seen(&self) -> bool {
        self.count > KINDS.len()
    }

    /// Called before each purge: begins a fault, or ends one that has lasted long enough.
    pub(super) async fn go_on(&mut self, site: &Site, lot: &mut Lot) -> Result<()> {
        match self.now {
            Some((kind, replica, began)) if began.elapsed() >= kind.lasts() => {
                self.now = None;
                kind.end(site, replica).await
            }
            Some(_) => Ok(()),
            None => {
                self.since += 1;
                if self.since < PAUSE {
                    return Ok(());
                }
                self.since = 0;
                let (kind, replica) = (KINDS[self.count % KINDS.len()], lot.below(REPLICAS));
                self.count += 1;
                self.now = Some((kind, replica, now()));
                kind.begin(site, replica).await
            }
        }
    }

    /// A replica that can take a purge.
    pub(super) fn purger(&self, lot: &mut Lot) -> usize {
        let replica = lot.below(REPLICAS);
        match self.now {
            Some((Kind::Stop(_), stopped, _)) if stopped == replica => (replica + 1) % REPLICAS,
            _ => replica,
        }
    }

    pub(super) async fn end(self, site: &Site) -> Result<()> {
        match self.now {
            Some((kind, replica, _)) => kind.end(site, replica).await,
            None => Ok(()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a fault lasts for so long by the clock of those whom it befalls")]
fn now() -> Instant {
    Instant::now()
}

impl Kind {
    fn lasts(self) -> Duration {
        match self {
            Self::Stop(lasts) => lasts,
            Self::Refused | Self::Blackholed => CUT_OFF,
            Self::Stall => SHORT,
            Self::Closed | Self::Emptied | Self::Evicted(_) | Self::Damaged(_) => Duration::ZERO,
        }
    }

    async fn begin(self, site: &Site, replica: usize) -> Result<()> {
        let node = &site.nodes[replica];
        match self {
            Self::Stop(_) => node.larder.process().signal(Signal::STOP),
            Self::Refused | Self::Blackholed => {
                node.proxy.set(if self == Self::Refused { Fault::Refused } else { Fault::Blackholed });
                Ok(())
            }
            Self::Closed => site.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await.map(drop),
            Self::Stall => site.redis.signal(Signal::STOP),
            Self::Emptied => site.redis.command(&["FLUSHALL"]).await.map(drop),
            Self::Evicted(key) => site.redis.command(&["DEL", key]).await.map(drop),
            Self::Damaged(command) => site.redis.command(command).await.map(drop),
        }
    }

    async fn end(self, site: &Site, replica: usize) -> Result<()> {
        let node = &site.nodes[replica];
        match self {
            Self::Stop(_) => node.larder.process().signal(Signal::CONT)?,
            Self::Refused | Self::Blackholed => node.proxy.set(Fault::None),
            Self::Stall => site.redis.signal(Signal::CONT)?,
            Self::Closed | Self::Emptied | Self::Evicted(_) | Self::Damaged(_) => {}
        }
        // The next one begins when this one is over for everybody: two at once may be more than anybody promises.
        match self {
            Self::Stop(STAND_STILL) => Ok(()),
            _ => site.is_well().await,
        }
    }
}
