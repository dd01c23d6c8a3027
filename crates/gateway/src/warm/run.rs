//! One run of a job: so many requests at a time, as fast as it may.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};
use tracing::{info, warn};

use super::item::{Extent, Item};
use super::pace::Pace;
use super::request::{Asked, ask, is_busy, look};
use super::sources;
use crate::jobs::Job;
use crate::proxy::Gateway;

/// How often it is looked whether the upstream still has no place.
const LOOK: Duration = Duration::from_millis(50);

/// URLs that are known and not asked for yet: the sources wait beyond that.
const QUEUE: usize = 64;

/// How often a URL is asked for whose origin refuses it for now.
const MAX_TRIES: u32 = 3;

/// Runs it now, after a run that is under way. `is_begun`: somebody waits for it already.
pub(super) async fn run(gateway: &Weak<Gateway>, job: &Arc<Job>, extent: Extent, is_begun: bool) {
    let stopped = job.stopped();
    let _running = job.running.lock().await;
    let Some(gateway) = gateway.upgrade() else { return };
    if is_begun && job.report().stopped {
        return job.end();
    }
    if !is_begun {
        job.begin(extent == Extent::Nothing);
    }
    tokio::select! {
        () = fetch_all(&gateway, job, extent) => {}
        () = stopped => {}
    }
    job.end();
    log(job, extent);
}

fn log(job: &Job, extent: Extent) {
    let report = job.report();
    let (name, total, hits, stored, failed) = (&report.name, report.total, report.hits, report.stored, report.failed);
    match extent {
        Extent::Nothing => {}
        // Most purges reach nothing of a job.
        Extent::Purged if total == 0 => {}
        _ if report.stopped => info!(job = name, total, done = report.done, stored, failed, "the job {name} was stopped"),
        _ if failed == 0 => info!(job = name, total, hits, stored, failed, reasons = ?report.reasons, "the job {name} has ended"),
        _ => warn!(job = name, total, hits, stored, failed, reasons = ?report.reasons, "the job {name} has ended, and some of it failed"),
    }
}

/// Everything that is under way ends with this future.
async fn fetch_all(gateway: &Arc<Gateway>, job: &Arc<Job>, extent: Extent) {
    let (found, items) = mpsc::channel(QUEUE);
    let mut finding = JoinSet::new();
    finding.spawn(sources::find(Arc::clone(gateway), Arc::clone(job), extent, found));
    let mut pace = Pace::new(job.config.concurrency);
    let mut feed = Feed::new(gateway, job, items, extent);
    let mut asking = JoinSet::new();
    let mut is_dry = false;
    loop {
        tokio::select! {
            biased;
            Some(asked) = asking.join_next() => {
                // A request that panicked is one that failed.
                let (item, asked, round) = asked.unwrap_or_else(|_| (None, Asked::failed("panic"), pace.round()));
                if let Some(time) = paced(&asked, round, &mut pace) {
                    feed.pause(time);
                }
                if let Some(item) = settle(job, gateway, item, &asked) {
                    feed.again.push_back(item);
                    is_dry = false;
                }
            }
            item = feed.next(), if !is_dry && asking.len() < pace.room() => match item {
                None => is_dry = true,
                Some(item) => {
                    let (gateway, round) = (Arc::clone(gateway), pace.round());
                    asking.spawn(async move {
                        let asked = if extent == Extent::Nothing { look(&gateway, &item) } else { ask(&gateway, &item).await };
                        (Some(item), asked, round)
                    });
                }
            },
            else => break,
        }
    }
}

/// Takes into account how its origin took a request of this round. Returns for how long none is to come, where it wants none.
fn paced(asked: &Asked, round: u32, pace: &mut Pace) -> Option<Duration> {
    let took = asked.took?;
    let Some(retry_after) = asked.refused else {
        pace.answered(took);
        return None;
    };
    Some(pace.refused(round, retry_after))
}

/// Counts what became of a request. Returns the request where it is to be made again.
fn settle(job: &Job, gateway: &Gateway, item: Option<Item>, asked: &Asked) -> Option<Item> {
    if let Some(mut item) = item {
        if asked.refused.is_some() && item.tries + 1 < MAX_TRIES {
            item.tries += 1;
            return Some(item);
        }
        if let Some(hot) = item.hot.filter(|_| asked.is_refresh) {
            gateway.observers.hot_refreshed(&hot);
        }
    }
    job.took(&asked.fetched);
    None
}

/// The requests to make, one after the other, each at its time.
struct Feed<'r> {
    gateway: &'r Gateway,
    job: &'r Job,
    items: mpsc::Receiver<Item>,
    /// Those whose origin has refused them.
    again: VecDeque<Item>,
    ticks: Option<Interval>,
    is_dry: bool,
    pause: Option<Pin<Box<Sleep>>>,
    /// The next one, and whether its time at the rate has come: [`Self::next`] may be dropped while it waits.
    next: Option<(Item, bool)>,
}

impl<'r> Feed<'r> {
    fn new(gateway: &'r Gateway, job: &'r Job, items: mpsc::Receiver<Item>, extent: Extent) -> Self {
        let is_dry = extent == Extent::Nothing;
        let ticks = job.config.rate.filter(|_| !is_dry).map(|rate| {
            let mut ticks = interval(Duration::from_secs(1) / rate);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { gateway, job, items, again: VecDeque::new(), ticks, is_dry, pause: None, next: None }
    }

    fn pause(&mut self, time: Duration) {
        self.pause = Some(Box::pin(sleep(time)));
    }

    /// The next request, once it may be made: after a pause that the origin asks for, at the rate of the job, and when the upstream has a place that
    /// no client waits for. `None`: there is none left.
    async fn next(&mut self) -> Option<Item> {
        if self.next.is_none() {
            let item = match self.again.pop_front() {
                Some(item) => item,
                None => self.items.recv().await?,
            };
            self.next = Some((item, false));
        }
        if let Some(pause) = &mut self.pause {
            self.job.waits(true);
            pause.await;
            self.pause = None;
        }
        let (item, has_tick) = self.next.as_mut()?;
        if let Some(ticks) = self.ticks.as_mut().filter(|_| !*has_tick) {
            ticks.tick().await;
        }
        *has_tick = true;
        while !self.is_dry && is_busy(self.gateway, &item.url) {
            self.job.waits(true);
            sleep(LOOK).await;
        }
        self.job.waits(false);
        self.next.take().map(|(item, _)| item)
    }
}
