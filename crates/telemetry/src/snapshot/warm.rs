//! Jobs that fetch what nobody has asked for yet.

use serde::Serialize;

use super::LabelledCount;

/// One job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WarmSnapshot {
    /// Its name.
    pub job: String,
    /// Its requests since the start, by what became of them.
    pub requests: Vec<LabelledCount>,
    /// Whether it runs now.
    pub is_running: bool,
}
