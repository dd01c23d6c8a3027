//! One alert.

use serde::Serialize;

use crate::config::{AlertKind, Amount};

/// Whether a condition has begun or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It holds from now on.
    Firing,
    /// It is over.
    Resolved,
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alert {
    pub(crate) kind: AlertKind,
    pub(crate) state: State,
    /// What it is about: `upstream api`.
    pub(crate) subject: String,
    /// One sentence.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: &'static str,
    /// Where it is about a quota.
    pub(crate) quota: Option<QuotaFacts>,
    /// Whether its end will be told, until which it holds.
    pub(crate) ends: bool,
}

/// How a client stands under a quota.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct QuotaFacts {
    /// Its name.
    pub(crate) name: String,
    /// The limit of it that is meant.
    pub(crate) limit: String,
    /// What it counts.
    pub(crate) count: &'static str,
    /// The client; credentials in it are hashes.
    pub(crate) key: String,
    pub(crate) used: Amount,
    pub(crate) max: Amount,
    /// When the window ends, as of RFC 3339.
    pub(crate) resets_at: String,
}

impl Alert {
    pub(crate) fn firing(kind: AlertKind, subject: impl Into<String>, message: impl Into<String>, remedy: &'static str) -> Self {
        Self { kind, state: State::Firing, subject: subject.into(), message: message.into(), remedy, quota: None, ends: true }
    }

    /// The end of a condition, of which nothing is left to do.
    pub(crate) fn resolved(kind: AlertKind, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, state: State::Resolved, subject: subject.into(), message: message.into(), remedy: "", quota: None, ends: true }
    }
}
