//! Access logs, read and replayed, to know what a cache would have done: logs in, figures out. No network, no cache: whoever replays a record says
//! what was decided about it.
//!
//! ```text
//! logs --log--> records in the order of time --(a cache decides)--> decisions --account--> report
//!                                                                      |---curve--> hit ratio by memory size
//!                                                                      +---advise-> lifetimes
//! ```

mod account;
mod advise;
mod answer;
mod bounded;
mod curve;
mod decision;
mod drawing;
mod log;
mod report;
mod split;

pub use account::Account;
pub use advise::{Advice, Advisor, Evidence, Lifetime};
pub use answer::{Answers, Assumed, OriginAnswer};
pub use curve::{Curve, CurvePoint, Sampler};
pub use decision::{Decision, Verdict};
pub use drawing::svg;
pub use log::{BrokenLine, LineCounts, LogError, LogFormat, LogRecord, Logs, NAMES, PatternError, Progress};
pub use report::{Figures, NotStored, OriginLoad, Peak, Report, RouteReport, StaleServed, Writes};
pub use split::{Split, SplitBy};
