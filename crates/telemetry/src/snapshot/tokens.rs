//! Tokens of clients.

use serde::Serialize;

use super::LabelledCount;

/// Tokens that are verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokensSnapshot {
    /// Tokens that were checked since the start, by what was found. Those that were remembered are not among them.
    pub checked: Vec<LabelledCount>,
    /// Tokens that are remembered now.
    pub remembered: u64,
    /// Keys that they may be signed with now.
    pub keys: u64,
    /// Where the keys are at a URL.
    pub fetches: Option<KeyFetches>,
}

/// How fetching keys has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyFetches {
    /// Fetches since the start that brought keys.
    pub ok: u64,
    /// Those that did not.
    pub failed: u64,
    /// Those that have failed since the last one that brought keys.
    pub failed_in_a_row: u64,
    /// When the last one ended that brought keys, in seconds since the epoch; 0: none has.
    pub last_success_seconds: u64,
}
