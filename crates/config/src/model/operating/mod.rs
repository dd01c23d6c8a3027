//! What people see of a running gateway, and what they are told.

mod alerts;
mod log;
mod traces;

pub use alerts::{AlertKind, Alerts, Webhook};
pub use log::{AccessLog, Log, LogCondition, LogField, LogLevel, LogPiece, LogSample};
pub use traces::{TraceLink, Traces};
