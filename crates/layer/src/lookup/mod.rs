//! The look-up of a request, and what follows from it: an answer, or a plan to fetch one.

pub(crate) mod looked_up;
mod part;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod stored_answer;
