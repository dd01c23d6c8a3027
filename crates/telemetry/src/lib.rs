//! Telemetry: figures, one [`access_log`] line a request, and [`diagnostics`] on stderr.
//!
//! Figures and log lines are projections of the outcome that the cache layer returns with each response; nothing here decides anything.
//!
//! ```text
//! request answered ─┬─> metrics    counts it: no lock, no text, no allocation
//!                   ├─> access_log queues a line; a thread formats and writes it
//!                   └─> traces     queues the spans of a sampled request; a task sends them
//!
//! scrape ───────────> snapshot     plain data: the sums of metrics, and what store, upstreams and Redis say of themselves
//!                        └─> render    the snapshot as text (OpenMetrics)
//! ```
//!
//! Imports go one way: `metrics` fills the types of `snapshot`, `render` reads them, and neither knows the other. `access_log` and
//! `diagnostics` share only the rule that text of others never breaks a line (`one_line`).

pub mod access_log;
pub mod diagnostics;
pub mod metrics;
pub mod observe;
mod one_line;
mod random;
pub mod render;
pub mod snapshot;
pub mod traces;

pub use one_line::visible;
pub use random::Share;
