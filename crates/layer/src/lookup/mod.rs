//! The look-up of a request. It leads to an answer, or to a plan to fetch one.

pub(crate) mod looked_up;
mod part;
pub(crate) mod plain;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod request_counts;
pub(crate) mod stored_answer;
