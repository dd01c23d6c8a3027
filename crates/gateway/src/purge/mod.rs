//! Purging: what is asked for, checked against what is configured, and applied.

mod ask;
mod cascade;
mod channel;
pub(crate) mod event;
pub(crate) mod message;
mod outcome;
mod place;
pub(crate) mod public;
mod targets;
mod waiting;
mod writes;

pub(crate) use ask::{Ask, Refused};
pub(crate) use cascade::TagCascade;
pub(crate) use channel::Heard;
pub(crate) use outcome::{USUAL_WAIT, purge};
pub(crate) use targets::Known;
pub(crate) use writes::Writes;
