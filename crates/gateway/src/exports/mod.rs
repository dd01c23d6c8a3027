//! Where lines of the access log and spans go, which a reload changes without losing any.

pub(crate) mod access_logs;
pub(crate) mod traces;
