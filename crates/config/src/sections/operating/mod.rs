//! What people who run a gateway see and are told: `[log]`, `[telemetry]`, `[alerts]`.

pub(crate) mod alerts;
pub(crate) mod log;
pub(crate) mod telemetry;
