//! `[purge]`, `[tags]`, `[[on_write]]` and `[[on_event]]`.

pub(super) mod purge;
pub(super) mod tags;
pub(super) mod writes;
