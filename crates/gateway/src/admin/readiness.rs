//! Whether the process wants traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the process is on its way through life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Listeners are not all bound yet.
    Starting,
    /// Traffic is welcome.
    Ready,
    /// Requests under way finish; new ones should go elsewhere.
    Draining,
    /// Requests are answered, but what is to be stored before they come is not yet.
    Warming,
}

impl Stage {
    /// For people and probes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Warming => "warming",
        }
    }
}

/// The stage, shared between the process and its probes: starting until told otherwise.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Traffic is welcome from now on.
    pub fn set_ready(&self) {
        self.0.store(Stage::Ready as u8, Ordering::Release);
    }

    /// It is served, but should not come yet.
    pub fn set_warming(&self) {
        self.0.store(Stage::Warming as u8, Ordering::Release);
    }

    /// Warming has ended. A process that stops meanwhile wants no traffic all the same.
    pub fn set_warm(&self) {
        let _ = self.0.compare_exchange(Stage::Warming as u8, Stage::Ready as u8, Ordering::AcqRel, Ordering::Acquire);
    }

    /// No more traffic, please.
    pub fn set_draining(&self) {
        self.0.store(Stage::Draining as u8, Ordering::Release);
    }

    /// The stage now.
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            3 => Stage::Warming,
            _ => Stage::Draining,
        }
    }
}
