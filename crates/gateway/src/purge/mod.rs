//! Purging: what is asked for, checked against what is configured, and applied.

mod ask;
mod authorize;
mod channel;
pub(crate) mod elsewhere;
pub(crate) mod event;
pub(crate) mod message;
mod outcome;
pub(crate) mod public;
mod targets;

pub(crate) use ask::{Ask, Refused};
pub(crate) use authorize::authorize;
pub(crate) use channel::{ChannelCounts, carry_out};
pub(crate) use outcome::{USUAL_WAIT, purge};
pub(crate) use targets::Known;
