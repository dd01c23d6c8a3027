//! What the cache is worth: ratios by requests, by bytes and by the time of origins, since the start and lately.
//!
//! All of it is made of the snapshot that `/metrics` is rendered from. Every few seconds its totals are kept for a while, and a look compares now with
//! then; no request does anything for it.

mod history;
mod hour;
mod report;
mod totals;

pub(crate) use history::{History, INTERVAL};
pub(crate) use hour::Point;
pub(crate) use report::{ModelStats, RouteStats, StatsReport, WindowReport};
pub(crate) use totals::{Totals, totals};
