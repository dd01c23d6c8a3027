//! What is stored, for people who look: a list of keys, and all that lies under one.

mod entry;
mod keys;
mod report;

pub(crate) use entry::find;
pub(crate) use keys::{Filter, Sort, list};
pub(crate) use report::{EntryReport, KeyList};
