//! What the replicas hold, while they run and once nobody asks any more.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_testkit::larder::sum;
use larder_testkit::wait::eventually;
use larder_testkit::{Larder, Result};

use super::Run;
use super::defect::Defect;
use super::judge::{Promise, Violation};
use super::site::{CAPACITY, Node};

/// The time between two looks.
const PACE: Duration = Duration::from_millis(250);

/// What a process may hold beside what it held at the start: its memory once over for what an allocator keeps, the queues before disk and Redis (8 MiB each), and what
/// connections and bodies under way take.
const SPARE: usize = 2 * CAPACITY + (16 << 20) + (64 << 20);

/// The part of the capacity for bodies on their way: an eighth. Past it a body is passed on, and holds what was read of it last: a segment at most, or a short read
/// for each client of one that is read from disk.
const IN_FLIGHT_SHARE: usize = 8;
const SEGMENT: usize = 256 << 10;
const SHORT_READ: usize = 64 << 10;

/// Files of segments that the disk opens as it fills up, and of its index.
const DISK_FILES: usize = 8;

/// Connections to Redis that are opened when they are first needed, which may be after the start; each with a task or two.
const LATE_CONNECTIONS: usize = 2;

/// Gauges that are 0 once nobody asks.
const AT_REST: [&str; 11] = [
    "larder_client_connections",
    "larder_fills_in_flight",
    "larder_fill_bytes",
    "larder_cache_whole_bytes",
    "larder_collapsed_waiting",
    "larder_client_unsent_bytes",
    "larder_origin_requests_in_flight",
    "larder_origin_waiting",
    "larder_origin_connections",
    "larder_redis_queued",
    "larder_disk_queued",
];

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) resident: usize,
    /// Bytes of stored responses.
    pub(super) stored: usize,
    /// Bytes of bodies on their way.
    pub(super) filling: usize,
    fills: usize,
    clients: usize,
    pub(super) sockets: usize,
    pub(super) files: usize,
    pub(super) tasks: usize,
}

impl Usage {
    async fn of(larder: &Larder) -> Result<Self> {
        let exposition = larder.admin("/metrics").await?.text();
        let gauge = |name| sum(&exposition, name, &[]) as usize;
        let mut usage = Self {
            resident: larder.resident_bytes()?,
            stored: gauge("larder_cache_stored_bytes"),
            filling: gauge("larder_fill_bytes"),
            fills: gauge("larder_fills_in_flight"),
            clients: gauge("larder_client_connections"),
            tasks: gauge("larder_runtime_tasks"),
            ..Self::default()
        };
        for entry in fs::read_dir(format!("/proc/{}/fd", larder.process().id()))? {
            // One that is closed meanwhile is none.
            let Ok(target) = fs::read_link(entry?.path()) else { continue };
            let kind = if target.to_string_lossy().starts_with("socket:") { &mut usage.sockets } else { &mut usage.files };
            *kind += 1;
        }
        Ok(usage)
    }

    fn max(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            stored: self.stored.max(other.stored),
            filling: self.filling.max(other.filling),
            fills: self.fills.max(other.fills),
            clients: self.clients.max(other.clients),
            sockets: self.sockets.max(other.sockets),
            files: self.files.max(other.files),
            tasks: self.tasks.max(other.tasks),
        }
    }
}

/// What one replica held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usages {
    pub(super) start: Usage,
    pub(super) max: Usage,
    pub(super) end: Usage,
}

/// What a replica holds at rest: once every gauge of [`AT_REST`] is 0 and `is_as_before` says so.
async fn at_rest(larder: &Larder, is_as_before: impl Fn(&Usage) -> bool) -> Result<Usage> {
    let last = Mutex::new(String::new());
    let rests = || async {
        let exposition = larder.admin("/metrics").await?.text();
        let busy = AT_REST.map(|name| (name, sum(&exposition, name, &[])));
        let busy: Vec<String> = busy.iter().filter(|(_, value)| *value > 0.0).map(|(name, value)| format!("{name} {value}")).collect();
        let usage = Usage::of(larder).await?;
        *last.lock().expect("no one panics while holding it") = format!("{usage:?}, {}", busy.join(", "));
        Ok((busy.is_empty() && is_as_before(&usage)).then_some(usage))
    };
    eventually("waiting for a replica to rest", rests).await.map_err(|error| {
        let last = last.lock().expect("no one panics while holding it").clone();
        error.while_doing(last)
    })
}

/// Before the run.
pub(super) async fn at_start(larder: &Larder) -> Result<Usages> {
    let start = at_rest(larder, |_| true).await?;
    Ok(Usages { start, max: start, end: start })
}

/// Looks again and again until the run is over.
pub(super) async fn watch(run: Arc<Run>, node: Arc<Node>, mut usages: Usages) -> Usages {
    // One that believes in a budget that is too small finds that it is broken.
    let budget = if run.defect == Some(Defect::LargerBudget) { 64 << 10 } else { CAPACITY };
    while !run.is_over() {
        tokio::time::sleep(PACE).await;
        match Usage::of(&node.larder).await {
            Ok(usage) => {
                usages.max = usages.max.max(usage);
                let may_hold = usages.start.resident + SPARE;
                let may_store = budget - budget / IN_FLIGHT_SHARE;
                let may_fill = budget / IN_FLIGHT_SHARE + SEGMENT * (usage.fills + 1) + SHORT_READ * usage.clients;
                if usage.stored > may_store || usage.filling > may_fill || usage.resident > may_hold {
                    let seen =
                        format!("{usage:?}, where {may_store} bytes may be stored, {may_fill} be on their way and {may_hold} be held");
                    run.found(Violation::new(Promise::WithinBudget, seen));
                }
            }
            Err(error) => run.found(Violation::new(Promise::AlwaysAnswered, format!("looking at a replica: {error}"))),
        }
    }
    usages
}

/// After the run: nothing is left of it but what is stored.
pub(super) async fn at_end(run: &Run, node: &Node, usages: Usages) -> Usages {
    let start = usages.start;
    let is_as_before = |now: &Usage| {
        now.sockets <= start.sockets + LATE_CONNECTIONS
            && now.files <= start.files + DISK_FILES
            && now.tasks <= start.tasks + 2 * LATE_CONNECTIONS
    };
    match at_rest(&node.larder, is_as_before).await {
        Ok(end) => Usages { end, ..usages },
        Err(error) => {
            run.found(Violation::new(Promise::NothingLeft, format!("{error}; at the start: {start:?}")));
            usages
        }
    }
}
