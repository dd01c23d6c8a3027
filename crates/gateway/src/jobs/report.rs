//! How a job stands, for people and programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The run of a job that is under way, or else the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobReport {
    /// Its name.
    pub(crate) name: String,
    /// Whether it runs now.
    pub(crate) running: bool,
    /// Whether it waits for clients at the same upstream, or as long as an origin has asked for.
    pub(crate) waiting: bool,
    /// Whether somebody ended it, or a reload that changed or removed the job.
    pub(crate) stopped: bool,
    /// Whether it only looks.
    pub(crate) dry: bool,
    /// How many URLs are known: while lists are read, there may be more.
    pub(crate) total: u64,
    /// How many of them are done with.
    pub(crate) done: u64,
    /// How many were stored already.
    pub(crate) hits: u64,
    /// How many are stored now.
    pub(crate) stored: u64,
    /// How many were answered, and are not stored.
    pub(crate) not_stored: u64,
    /// How many could not be had.
    pub(crate) failed: u64,
    /// How many a dry run would have asked for.
    pub(crate) left: u64,
    /// Why those of the last three kinds are what they are, with how many there are of each.
    pub(crate) reasons: BTreeMap<String, u64>,
}
