//! The steps of a request that take time, for who traces them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::Extensions;

use crate::clock::monotonic;

/// A place in a trace, by the names that W3C Trace Context gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLink {
    /// `trace-id`.
    pub trace: u128,
    /// `parent-id`.
    pub span: u64,
}

/// A step that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The request waited for the fetch of another one.
    Wait {
        /// The place of that fetch in a trace, where the other request is traced too.
        leader: Option<SpanLink>,
        /// Whether that came to an outcome while it waited.
        ended: bool,
    },
    /// A tier behind the memory was asked.
    Tier {
        /// Its name.
        name: &'static str,
        /// Whether it had the answer.
        answered: bool,
    },
    /// The origin's body was read to its end, and stored if that could be.
    Store {
        /// Bytes of the body.
        bytes: u64,
        /// Whether it is stored.
        stored: bool,
    },
    /// A write was told to this replica's ledger and to the log.
    Purge,
}

/// Is told of the steps of one request. Called on the request's way: it must not wait.
pub trait StepObserver: fmt::Debug + Send + Sync {
    /// One step is over.
    fn ended(&self, step: Step, started: Instant);

    /// The place of the request's own fetch in its trace, for those who wait for it.
    fn fetch(&self) -> SpanLink;
}

/// An observer, in the extensions of the request whose steps it is told of. Requests without one pay nothing.
#[derive(Clone, Debug)]
pub struct ObservedSteps(pub Arc<dyn StepObserver>);

impl ObservedSteps {
    pub(crate) fn fetch_of(extensions: &Extensions) -> Option<SpanLink> {
        extensions.get::<Self>().map(|observed| observed.0.fetch())
    }
}

/// The time of a step, which is taken only where somebody observes the request.
#[derive(Debug)]
pub(crate) struct Stopwatch(Option<(ObservedSteps, Instant)>);

impl Stopwatch {
    /// A step of the request with these extensions begins.
    pub(crate) fn start(extensions: &Extensions) -> Self {
        Self::of(extensions.get::<ObservedSteps>().cloned())
    }

    /// The same, of who observes it.
    pub(crate) fn of(observed: Option<ObservedSteps>) -> Self {
        Self(observed.map(|observed| (observed, monotonic())))
    }

    /// Of what nobody observes.
    pub(crate) fn idle() -> Self {
        Self(None)
    }

    /// It is over.
    pub(crate) fn stop(self, step: impl FnOnce() -> Step) {
        if let Some((observed, started)) = self.0 {
            observed.0.ended(step(), started);
        }
    }
}
