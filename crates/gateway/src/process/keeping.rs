//! What a process keeps of itself while it runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use larder_tower::clock::monotonic;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::kept_files;
use crate::alerts::{Conditions, QuotaWarnings, Reading, Waiting, deliver};
use crate::proxy::Gateway;
use crate::scrape;
use crate::stats::INTERVAL;
use crate::telemetry::access_log::timestamp;
use crate::warm;

/// The tasks that keep it.
pub(super) struct Keeping {
    watching: JoinHandle<()>,
    files: JoinHandle<()>,
}

impl Keeping {
    /// Keeps the history and the files, and tells what needs a person, from now on.
    pub(super) fn start(gateway: &Arc<Gateway>, waiting: [Waiting; 2]) -> Self {
        Self::of(watch(Arc::clone(gateway), waiting), keep_files(Arc::clone(gateway)))
    }

    fn of(watching: impl Future<Output = ()> + Send + 'static, files: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { watching: tokio::spawn(watching), files: tokio::spawn(files) }
    }

    /// The files are another process's from now on: what is written here would be older than what that has.
    pub(super) fn leave_files(&self) {
        self.files.abort();
    }

    /// Keeps nothing any more.
    pub(super) fn end(&self) {
        self.watching.abort();
        self.files.abort();
    }
}

/// Keeps the history, and tells what needs a person, for as long as it is polled.
async fn watch(gateway: Arc<Gateway>, waiting: [Waiting; 2]) {
    let settings = || gateway.active.load().config.alerts.clone();
    let delivering = deliver(&gateway.alerts, waiting, gateway.redis.as_ref(), settings);
    tokio::join!(look(&gateway), settle(&gateway), delivering);
}

/// Keeps the files, for as long as it is polled.
async fn keep_files(gateway: Arc<Gateway>) {
    tokio::join!(warm::keep_hot(&gateway), kept_files::keep(&gateway));
}

/// Points of the history after which limits forget clients that stand as new ones do.
const IDLE_LOOK: u64 = 12;

/// Keeps a point of the history every few seconds, and judges it.
async fn look(gateway: &Gateway) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut conditions = Conditions::default();
    for point in 1_u64.. {
        ticks.tick().await;
        let active = gateway.active.load();
        let of_clients = active.limits.bytes() + active.spending.bytes();
        drop(active);
        gateway.cache.set_aside(gateway.observers.hot_bytes() as u64 + gateway.jobs.bytes() + of_clients);
        if point.is_multiple_of(IDLE_LOOK) {
            gateway.active.load().limits.forget_idle();
        }
        let (now, wall) = (monotonic(), gateway.clock.now());
        let snapshot = scrape::snapshot(gateway);
        gateway.history.keep(now, wall.as_millis() / 1000, &snapshot);
        let reading = Reading { now, snapshot: &snapshot, points: &gateway.history.hour(), replicas: &gateway.replicas() };
        conditions.look(reading).into_iter().for_each(|alert| gateway.alerts.raise(alert, timestamp(wall)));
    }
}

/// How often Redis is told of what clients owe, and people of those who have used much.
const SETTLING: Duration = Duration::from_millis(250);

/// Warnings at each time.
const MAX_WARNINGS: usize = 64;

/// Keeps what clients owe under limits that replicas share at zero, and warns of those near the end of a quota.
async fn settle(gateway: &Gateway) {
    let mut ticks = tokio::time::interval(SETTLING);
    // One that Redis held up is not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut warned = QuotaWarnings::default();
    loop {
        ticks.tick().await;
        let active = gateway.active.load_full();
        active.limits.settle().await;
        let wall = gateway.clock.now();
        // More wait for the next time: each has a line in the log.
        let waiting = std::iter::from_fn(|| active.limits.warnings().pop()).take(MAX_WARNINGS);
        for alert in waiting.map(|warning| warned.begin(warning)).collect::<Vec<_>>() {
            gateway.alerts.raise(alert, timestamp(wall));
        }
        for alert in warned.ended(wall.as_millis() / 1000) {
            gateway.alerts.raise(alert, timestamp(wall));
        }
    }
}

/// The name by which people tell this replica from others: its host, and the port that clients connect to.
pub(super) fn replica_name(addresses: &[SocketAddr]) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    named(&host, addresses.first().map(SocketAddr::port))
}

fn named(host: &str, port: Option<u16>) -> String {
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || ".-_".contains(*letter);
    let host: String = host.trim().chars().filter(is_plain).take(64).collect();
    let host = if host.is_empty() { "localhost".to_owned() } else { host };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn files_that_are_left_to_another_process_are_kept_no_longer_and_all_else_is() {
        let (files, mut files_end) = mpsc::channel::<()>(1);
        let (watching, mut watching_ends) = mpsc::channel::<()>(1);
        let holding = |held| async move {
            let _held: mpsc::Sender<()> = held;
            std::future::pending::<()>().await;
        };
        let keeping = Keeping::of(holding(watching), holding(files));
        tokio::task::yield_now().await;
        keeping.leave_files();
        assert_eq!(files_end.recv().await, None);
        assert_eq!(watching_ends.try_recv(), Err(mpsc::error::TryRecvError::Empty));
        keeping.end();
        assert_eq!(watching_ends.recv().await, None);
    }

    #[test]
    fn a_replica_is_named_by_host_and_port_whatever_the_host_is_called() {
        assert_eq!(named("web-1.example\n", Some(8080)), "web-1.example:8080");
        assert_eq!(named("a b@c", None), "abc");
        assert_eq!(named("", Some(1)), "localhost:1");
        assert_eq!(named(&"x".repeat(500), None).len(), 64);
    }
}
