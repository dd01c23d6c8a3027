//! `[purge]`, `[tags]`, `[[on_write]]` and `[[on_event]]`.

mod clients;
pub(in crate::sections) mod purge;
pub(super) mod tags;
pub(super) mod writes;
