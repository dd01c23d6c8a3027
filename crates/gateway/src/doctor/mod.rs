//! The checks that an experienced operator would run before and after a start, each with a verdict, the reason for it, and a remedy.
//!
//! 1. `configuration`: what `check` says, and who can reach the admin listener.
//! 2. `machine`: file descriptors, memory, files that are written.
//! 3. `network`: listeners, and whether servers of Redis take connections.
//! 4. `disk`: what the directory is like, and how fast it wears.
//! 5. `redis`: what the servers of Redis say of themselves.
//! 6. `keys`: the URL that has the keys of tokens is asked.
//! 7. `origins`: each upstream is asked once, and what its answer means for the cache is said.

mod configuration;
mod disk;
mod keys;
mod machine;
mod network;
mod origins;
mod redis;

use larder_disk::DiskOptions;
use serde::Serialize;

pub(crate) use configuration::{broken, of_configuration};

use crate::config::Config;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// It works, and may not always.
    Warning,
    /// It does not work.
    Error,
}

/// What one check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// What was looked at.
    pub(crate) what: String,
    /// What was found.
    pub(crate) why: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, what: what.into(), why: why.into(), remedy: None }
    }

    fn warning(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, what: what.into(), why: why.into(), remedy: Some(remedy.into()) }
    }

    fn error(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Error, what: what.into(), why: why.into(), remedy: Some(remedy.into()) }
    }
}

/// Everything about a configuration that can be served.
pub(crate) async fn examine(config: Config) -> Vec<Finding> {
    let mut findings = machine::findings(&config);
    findings.extend(network::findings(&config).await);
    for options in config.disk.iter().flat_map(DiskOptions::directories) {
        findings.extend(disk::findings(&options).await);
    }
    if let Some(options) = &config.redis {
        findings.extend(redis::findings(options, &config.namespace).await);
    }
    if let Some(settings) = &config.jwt {
        findings.extend(keys::finding(settings).await);
    }
    findings.extend(origins::findings(config).await);
    findings
}
