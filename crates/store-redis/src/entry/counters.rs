//! Counters of operations on entries.

use crate::counter::Counter;

/// See [`crate::RedisStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) awaited: Counter,
    pub(crate) relayed: Counter,
    pub(crate) relays: Counter,
    pub(crate) damaged: Counter,
    pub(crate) locked: Counter,
    pub(crate) interrupted: Counter,
    pub(crate) saved_bytes: Counter,
    pub(crate) written: Counter,
    pub(crate) dropped: Counter,
}
