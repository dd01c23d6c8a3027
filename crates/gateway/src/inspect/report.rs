//! The JSON of `GET /keys` and `GET /entries/{key}`, which the command line reads back.

use serde::{Deserialize, Serialize};

use crate::explain::{KeyReport, StoredReport};
use crate::telemetry::access_log::{redacted, redacted_variant};

/// Stored responses that a filter lets through.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct KeyList {
    /// As many as were asked for, in the order that was asked for.
    pub(crate) keys: Vec<KeyRow>,
    /// How many there are in all that the filter lets through.
    pub(crate) matching: u64,
    /// Bytes of memory that those take.
    pub(crate) matching_bytes: u64,
    /// Whether the store has more entries than a walk looks at.
    pub(crate) cut: bool,
}

impl KeyList {
    /// With what is masked in the log masked: whoever may only read is to learn no client's token from it.
    pub(crate) fn masked(mut self) -> Self {
        for row in &mut self.keys {
            (row.key, row.url) = (redacted(&row.key).into_owned(), redacted(&row.url).into_owned());
            row.variant = redacted_variant(&row.variant);
        }
        self
    }
}

/// One stored response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    pub(crate) key: String,
    pub(crate) url: String,
    /// By `key.name`; empty where the route gives none.
    #[serde(default)]
    pub(crate) name: String,
    /// The request fields that select it; empty without `Vary`.
    pub(crate) variant: String,
    pub(crate) route: String,
    pub(crate) status: u16,
    /// Bytes of the body.
    pub(crate) bytes: u64,
    /// Bytes of memory, bookkeeping included.
    pub(crate) weight: u64,
    /// Seconds.
    pub(crate) age: u32,
    /// Seconds of freshness left; negative: for so long it has been stale.
    pub(crate) ttl: i64,
    /// How many requests it has answered lately: 3 stands for more as well, unless a job keeps a list of what is asked for most, which has it.
    pub(crate) hits: u64,
}

/// All that lies under one key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EntryReport {
    pub(crate) key: KeyReport,
    pub(crate) stored: Vec<StoredEntry>,
}

/// One response or part of one, with its fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredEntry {
    #[serde(flatten)]
    pub(crate) stored: StoredReport,
    /// The fields as they are stored, a line each.
    pub(crate) fields: Vec<(String, String)>,
}
