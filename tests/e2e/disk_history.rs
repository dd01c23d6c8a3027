//! Three replicas, each with a disk of its own, and the log in Redis: processes end well, are killed and come back between purges, and nothing older
//! than an acknowledged purge is read from whatever they have kept.
//!
//! `LARDER_HISTORY_PURGES` makes it longer, as for the histories without disks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Result};
use larder_tests::Lot;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::history::purge_count;

const REPLICAS: usize = 3;
const KEYS: usize = 5;
const PURGES: u64 = 12;
const HOST: (&str, &str) = ("Host", "site.example");

struct Site {
    origin: Origin,
    redis: Redis,
    folder: TempDir,
    replicas: Vec<Option<Larder>>,
    versions: Arc<[AtomicU64; KEYS]>,
}

fn path(key: usize) -> String {
    format!("/k/{key}")
}

impl Site {
    async fn start() -> Result<Self> {
        let (origin, redis, versions) = (Origin::start().await?, Redis::start().await?, Arc::<[AtomicU64; KEYS]>::default());
        for key in 0..KEYS {
            let versions = Arc::clone(&versions);
            // Each version of another length: in a block, in a record, in parts.
            origin.respond_with("GET", &path(key), move |_| {
                let version = versions[key].load(Ordering::SeqCst);
                let padding = [0, 5_000, 600_000][version as usize % 3];
                Answer::ok().body(format!("{version} {}", "x".repeat(padding)))
            });
        }
        let mut site = Self { origin, redis, folder: TempDir::new()?, replicas: Vec::new(), versions };
        for replica in 0..REPLICAS {
            let larder = site.process(replica).await?;
            site.replicas.push(Some(larder));
        }
        Ok(site)
    }

    async fn process(&self, replica: usize) -> Result<Larder> {
        // Nothing is in Redis but the log: what a replica finds after a restart is on its disk.
        let text = format!(
            "[cache]\nttl = \"1h\"\n[store.disk]\npath = \"{}\"\ncapacity = \"256MiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\ntimeout = \"10s\"\n[store.redis]\nurl = \"redis://{}\"\nmax_object = \"1B\"\ntimeout = \"1s\"\n",
            self.folder.path().join(replica.to_string()).display(),
            self.redis.address(),
        );
        let larder = Larder::before(&self.origin, &text).await?;
        larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
        crate::redis::reads_the_log(&larder).await?;
        Ok(larder)
    }

    fn replica(&self, replica: usize) -> &Larder {
        self.replicas[replica].as_ref().expect("it runs")
    }

    async fn stop(&mut self, replica: usize, kill: bool) -> Result<()> {
        let larder = self.replicas[replica].take().expect("it runs");
        match kill {
            true => larder.process().signal(Signal::KILL)?,
            false => larder.terminate()?,
        }
        larder.exited().await.map(drop)
    }

    /// Every key on every replica that runs is as new as the last purge of it. Returns how many were found without the origin.
    async fn judge(&self) -> Result<usize> {
        let mut hits = 0;
        for larder in self.replicas.iter().flatten() {
            for key in 0..KEYS {
                let response = larder.request("GET", &path(key), &[HOST], "").await?;
                let (text, version) = (response.text(), self.versions[key].load(Ordering::SeqCst));
                let read: u64 = text.split(' ').next().and_then(|word| word.parse().ok()).expect("a version");
                assert_eq!(read, version, "key {key}: {}", response.cache_status());
                assert_eq!(text.len(), format!("{version} ").len() + [0, 5_000, 600_000][version as usize % 3]);
                hits += usize::from(response.x_cache() == "HIT");
            }
        }
        Ok(hits)
    }

    /// The origin's data changes, and a replica is told; the others that run have applied it when it answers.
    async fn change(&self, key: usize, through: usize) -> Result<()> {
        self.versions[key].fetch_add(1, Ordering::SeqCst);
        let body = format!(r#"{{"urls":["http://site.example{}"]}}"#, path(key));
        let told = || async {
            let mut admin = Client::connect(self.replica(through).admin_address()).await?;
            let answer = admin.exchange("POST", "/purge?wait=300ms", &[("Content-Type", "application/json")], &body).await?;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let said: serde_json::Value = serde_json::from_str(&answer.text())?;
            // The one that is away is waited for too, in vain.
            Ok(said["applied"].as_u64().filter(|applied| *applied >= REPLICAS as u64 - 1))
        };
        eventually("waiting for the others to apply the purge", told).await.map(drop)
    }
}

#[tokio::test]
async fn nothing_older_than_a_purge_comes_back_from_the_disks_of_replicas_that_end_and_start() -> Result<()> {
    let (mut site, mut lot, mut warm) = (Site::start().await?, Lot(17), 0);
    site.judge().await?;
    for round in 0..purge_count(PURGES) {
        let (away, key) = (lot.below(REPLICAS), lot.below(KEYS));
        site.stop(away, round % 2 == 1).await?;
        site.change(key, (away + 1 + lot.below(REPLICAS - 1)) % REPLICAS).await?;
        site.replicas[away] = Some(site.process(away).await?);
        warm += site.judge().await?;
    }
    assert!(warm > 0, "the disks bring something back");
    Ok(())
}
