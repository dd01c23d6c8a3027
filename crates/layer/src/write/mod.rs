//! What passes by the look-up: reads that are not looked up, and writes with what they make old.

pub(crate) mod body_invalidation;
pub(crate) mod invalidate;
pub(crate) mod json_fields;
pub(crate) mod pass;
pub(crate) mod refetch;
mod steps;
