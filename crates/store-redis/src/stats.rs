//! Figures of the tier, for metrics.

use std::time::Duration;

use larder_store::breaker::BreakerState;

/// Figures since the start, and how it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisStats {
    /// Look-ups that brought a response.
    pub hits: u64,
    /// Look-ups that brought none.
    pub misses: u64,
    /// Look-ups that met another replica's lease.
    pub awaited: u64,
    /// Look-ups that found another replica's answer on its way.
    pub relayed: u64,
    /// Answers that other replicas could read while they arrived here.
    pub relays: u64,
    /// Values that did not decode. They were deleted.
    pub damaged: u64,
    /// Values that none of the keys opens. They were deleted.
    pub locked: u64,
    /// Long bodies, and answers of other replicas, that broke off after their beginning was handed out.
    pub interrupted: u64,
    /// Bytes that compression has spared Redis since the start.
    pub saved_bytes: u64,
    /// Responses written.
    pub written: u64,
    /// Writes given up because the queue was full.
    pub dropped: u64,
    /// Writes that wait.
    pub queued: u64,
    /// Bytes of bodies that wait.
    pub queued_bytes: u64,
    /// The number of the log's entry that was applied last.
    pub log_number: u64,
    /// How long ago the log was last seen to have nothing new; `None` before it was first read to its end.
    pub log_lag: Option<Duration>,
    /// Whether that was not too long ago: what others have stored is used.
    pub log_vouched: bool,
    /// Whether the log took the last invalidation that was put into it, or none was.
    pub log_takes_purges: bool,
    /// How often an invalidation could not be put into the log.
    pub log_refused: u64,
    /// How often the log's own keys were damaged, and it began anew.
    pub log_damaged: u64,
    /// Invalidations that the log does not have yet.
    pub journaled: u64,
    /// Whether it is being asked.
    pub breaker: BreakerState,
}
