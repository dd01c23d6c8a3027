//! What names of servers stand for.

pub(crate) mod dns;
pub(crate) mod look_up;
