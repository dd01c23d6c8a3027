//! What clients wait for, alone and beside something that must not make them wait.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, fill};
use crate::bench::Result;
use crate::bench::client::Client;
use crate::bench::open_loop::OpenLoop;
use crate::bench::report::Figures;
use crate::bench::scenario::{EXPIRY_SECONDS, SMALL, Scenario};
use crate::bench::servers::Server;

/// The origin's time for a miss among hits.
const MISS_MILLIS: u64 = 20;

/// Keys that expire together, and URLs that are warmed at a time.
const MANY: u32 = 10_000;

/// Requests a second over keys that expire, unless another rate was asked for: each key once a second. Clients that ask again at once would
/// leave the server's core no rest, and then whatever else it does is time that they wait, fetched ahead or not.
const EXPIRY_RATE: u32 = 10_000;

/// So long is a round of it at least: to the end of the second in which keys expire, and as long as that again without it.
const EXPIRY_ROUND: Duration = Duration::from_secs(EXPIRY_SECONDS + 2);

/// Bytes that are written at a time to keep a disk busy.
const FLOOD: usize = 8 << 20;

/// Bytes of a body that is longer than the memory takes, where there is a disk.
const LONG: u32 = 100 << 10;

/// What is done beside the load.
type Work<'w> = dyn Fn(u32) -> Result<()> + Sync + 'w;

/// What is asked for, and whether it counts.
type Target<'t> = &'t (dyn Fn(u32, u32) -> (String, bool) + Sync);

impl Bench<'_> {
    /// How long clients wait at most in 99 of 100 cases, alone and disturbed.
    pub(super) fn latency(&self, server: &Server, round: u32) -> Result<Figures> {
        Client::connect(server.port)?.get(&self.scenario.target())?;
        let (alone, disturbed) = match self.scenario {
            Scenario::Warming => {
                let hit = |_: u32, _: u32| (self.scenario.target(), true);
                (self.slowest(server, &hit)?, self.beside(server, &hit, &[&|turn| self.warm_up(server, round, turn)])?)
            }
            Scenario::DiskBusy => {
                let hit = |_: u32, _: u32| (self.scenario.target(), true);
                let ask = |turn| self.use_disk(server, round, turn);
                (self.slowest(server, &hit)?, self.beside(server, &hit, &[&|_| self.write_to_disk(), &ask])?)
            }
            expiry if expiry.is_expiry() => {
                let of = |kind: &'static str| move |number: u32| format!("/{SMALL}/{kind}/{round}/{}", number % MANY);
                let (long, short) = (of("long"), of("short"));
                fill(server.port, MANY, long)?;
                let alone = self.slowest(server, &|thread, number| (long(thread * 157 + number), true))?;
                fill(server.port, MANY, short)?;
                (alone, self.slowest(server, &|thread, number| (short(thread * 157 + number), true))?)
            }
            _ => {
                // Each tenth request is for a key that nobody asked for before.
                let among_misses = |thread: u32, number: u32| match number % 10 {
                    0 => (format!("/slow/{MISS_MILLIS}/{round}/{thread}/{number}"), false),
                    _ => (self.scenario.target(), true),
                };
                (self.slowest(server, &|_, _| (self.scenario.target(), true))?, self.slowest(server, &among_misses)?)
            }
        };
        Ok(Figures::Latency { alone, disturbed })
    }

    /// The 99th percentile of the latency of what counts, in milliseconds. Load tools tell the latency of all requests together, and `wrk` adds some
    /// that it did not make; so each connection is a thread here.
    #[expect(clippy::disallowed_methods, reason = "measures wall time of a whole process; nothing here decides by it")]
    fn slowest(&self, server: &Server, target: Target<'_>) -> Result<f64> {
        let rate = self.scenario.is_expiry().then_some(EXPIRY_RATE);
        if let Some(rate) = self.options.open_loop.or(rate) {
            return self.slowest_of_due(server, rate, target);
        }
        let (port, end) = (server.port, Instant::now() + self.options.run);
        let ask = |thread: u32| -> std::result::Result<Vec<Duration>, String> {
            let mut client = Client::connect(port).map_err(|error| error.to_string())?;
            let mut taken = Vec::new();
            for number in 1_u32.. {
                let start = Instant::now();
                if start >= end {
                    break;
                }
                let (target, counts) = target(thread, number);
                client.get(&target).map_err(|error| error.to_string())?;
                taken.extend(counts.then(|| start.elapsed()));
            }
            Ok(taken)
        };
        let mut taken = thread::scope(|scope| {
            let clients: Vec<_> = (0..self.scenario.connections()).map(|thread| scope.spawn(move || ask(thread))).collect();
            let taken = clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".to_owned())));
            taken.collect::<std::result::Result<Vec<_>, _>>()
        })?
        .concat();
        taken.sort_unstable();
        let slowest = taken.get(taken.len() * 99 / 100).ok_or("nothing was asked for")?;
        Ok(slowest.as_secs_f64() * 1000.0)
    }

    /// As [`Self::slowest`], at so many requests a second, whatever the server does; each is timed from when it was due.
    fn slowest_of_due(&self, server: &Server, rate: u32, target: Target<'_>) -> Result<f64> {
        let time = if self.scenario.is_expiry() { self.options.run.max(EXPIRY_ROUND) } else { self.options.run };
        let open_loop = OpenLoop { port: server.port, rate, connections: self.scenario.connections(), time };
        match open_loop.run(|number| target(0, u32::try_from(number).unwrap_or(u32::MAX)).0)? {
            Figures::OpenLoop { p99, .. } => Ok(p99),
            other => Err(format!("an open loop measured {other:?}").into()),
        }
    }

    /// As [`Self::slowest`], while each of `works` is done again and again, with the number of its turn.
    fn beside(&self, server: &Server, hit: Target<'_>, works: &[&Work<'_>]) -> Result<f64> {
        let is_over = AtomicBool::new(false);
        let repeat = |work: &Work<'_>| -> std::result::Result<(), String> {
            for turn in 0.. {
                if is_over.load(Ordering::Relaxed) && turn > 0 {
                    break;
                }
                work(turn).map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let works: Vec<_> = works.iter().map(|work| scope.spawn(|| repeat(work))).collect();
            let slowest = self.slowest(server, hit);
            is_over.store(true, Ordering::Relaxed);
            for work in works {
                work.join().map_err(|_| "what was done beside it panicked")??;
            }
            slowest
        })
    }

    /// Keeps the disk busy that the cache's directory is on, at no cost to the server.
    fn write_to_disk(&self) -> Result<()> {
        let mut file = File::create(self.folders.work.join("flood"))?;
        file.write_all(&vec![7; FLOOD])?;
        Ok(file.sync_data()?)
    }

    /// Asks for a body that only the disk takes, and for one that it took a while ago; a hundred times a second at most, since the server's core is to be
    /// left to the hits.
    fn use_disk(&self, server: &Server, round: u32, turn: u32) -> Result<()> {
        let mut client = Client::connect(server.port)?;
        for number in [turn, turn / 2] {
            client.get(&format!("/{LONG}/busy/{round}/{number}"))?;
        }
        thread::sleep(Duration::from_millis(20));
        Ok(())
    }

    fn warm_up(&self, server: &Server, round: u32, turn: u32) -> Result<()> {
        let urls: String = (0..MANY).map(|n| format!("http://127.0.0.1:{}/{SMALL}/warm/{round}/{turn}/{n}\n", server.port)).collect();
        let file = self.folders.work.join("warm.txt");
        fs::write(&file, urls)?;
        let admin = format!("127.0.0.1:{}", server.admin);
        let mut command = Command::new(self.folders.binaries.join("larder"));
        let output = command.arg("warm").arg("--urls").arg(&file).args(["--concurrency", "8", "--admin", &admin]).output()?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    }
}
