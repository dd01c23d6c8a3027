//! A request on its way up: its content, the expectation that holds that back, and the interim responses that it gets.

pub(crate) mod content;
pub(crate) mod expect;
pub(crate) mod interim;
pub(crate) mod pace;
