//! Warming: what is fetched before anybody asks for it, by the jobs of `[[warm]]` ([`crate::jobs`]).
//!
//! 1. [`attach`] lets the jobs run through a gateway, and [`follow`] takes those of a configuration.
//! 2. [`schedule`]: a job runs at events, every so often, or at a time of day. Of replicas that share a Redis one runs, and the others find there
//!    what it has fetched.
//! 3. [`sources`] give the URLs of a [`run`] one after the other: lists, answers of an API, sitemaps, logs, what clients ask for most.
//! 4. A [`request`] takes the way of a client's: same keys, same rules, same collapsing. It gives way to clients at the same upstream, and to an origin
//!    that asks for a pause or grows slow ([`pace`]).
//! 5. [`hot_file`]: what clients ask for most outlives the process.

mod hot_file;
mod item;
mod pace;
mod request;
mod run;
mod schedule;
mod sources;

use std::sync::{Arc, Weak};

use crate::config::{Config, WarmSource};
use crate::jobs::Event;
use crate::proxy::Gateway;

pub(crate) use hot_file::{keep as keep_hot, save as save_hot};

/// The jobs of a gateway run through it from now on, for as long as it is there. The list of what is asked for most is as it was kept.
pub(crate) fn attach(gateway: &Arc<Gateway>) {
    let through = Arc::downgrade(gateway);
    let runner = move |job, event| tokio::spawn(schedule::keep_running(Weak::clone(&through), job, event)).abort_handle();
    gateway.jobs.run_by(Box::new(runner));
    let config = &gateway.active.load_full().config;
    gateway.observers.keep_hot(hot_wanted(config));
    hot_file::restore(gateway);
    gateway.jobs.follow(config, Event::Start);
}

/// Takes the jobs of the configuration that has come into force.
pub(crate) fn follow(gateway: &Gateway, event: Event) {
    let config = &gateway.active.load_full().config;
    gateway.observers.keep_hot(hot_wanted(config));
    gateway.jobs.follow(config, event);
}

/// How many of the URLs that clients ask for most any job wants; `None`: none does, and nothing is counted.
fn hot_wanted(config: &Config) -> Option<usize> {
    let tops = config.warm.iter().flat_map(|job| &job.sources).filter_map(|source| match source {
        WarmSource::Hot(top) => Some(*top),
        _ => None,
    });
    tops.max()
}
