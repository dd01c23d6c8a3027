//! Work that goes on beside a request.

pub(crate) mod background;
pub(crate) mod caught;
pub(crate) mod detached;
pub(crate) mod gathered;
pub(crate) mod pooled;
pub(crate) mod pressure;
pub(crate) mod purges;
pub(crate) mod unfinished;
