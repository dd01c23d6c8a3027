//! Clients that have used the share of a quota at which people are warned.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::LimitCount;

/// Warnings that wait to be told: a thousand clients that come to the same share at once are one story.
const KEPT: usize = 1000;

/// One client in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) quota: Arc<str>,
    pub(crate) limit: Arc<str>,
    pub(crate) count: LimitCount,
    /// What tells the client apart; credentials in it are hashes.
    pub(crate) key: String,
    pub(crate) used: u64,
    pub(crate) max: u64,
    /// When the window ends, in seconds since 1970.
    pub(crate) ends_at: u64,
}

/// Those that were not told yet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<VecDeque<Warning>>);

impl Warnings {
    pub(super) fn push(&self, warning: Warning) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < KEPT {
            waiting.push_back(warning);
        }
    }

    /// The oldest.
    pub(crate) fn pop(&self) -> Option<Warning> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
