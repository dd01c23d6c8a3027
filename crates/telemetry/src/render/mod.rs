//! A [`Snapshot`](crate::snapshot::Snapshot) as text.

mod exemplars;
mod open_metrics;

pub use open_metrics::{OPEN_METRICS, open_metrics};
