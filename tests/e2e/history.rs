//! Replicas and a real Redis under purges and reads in any order, and a judge of what was read: nobody who asks after a purge was
//! acknowledged is given anything older, whatever was in flight, in memory or in Redis. A purge that is confirmed holds on every replica
//! that lives, known or not; any other one on the replica that took it.
//!
//! `LARDER_HISTORY_PURGES` makes the histories longer: `LARDER_HISTORY_PURGES=10000 cargo nextest run -p larder-tests --profile long history`.

mod faults;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use faults::Faults;
use larder_testkit::faults::FaultProxy;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Redis, Response, Result};
use larder_tests::Lot;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const REPLICAS: usize = 3;
const KEYS: usize = 6;
const PURGES: u64 = 150;
const READERS_EACH: u64 = 2;
const READS_A_ROUND: usize = 20;

const HOST: (&str, &str) = ("Host", "site.example");

/// For each key, the origin's version now, and the least version that has to be seen.
#[derive(Default)]
struct Truth {
    versions: [AtomicU64; KEYS],
    min: [[AtomicU64; KEYS]; REPLICAS],
    round: AtomicU64,
    reads: AtomicUsize,
    confirmed: AtomicUsize,
    over: AtomicBool,
}

/// A replica, and what lies between it and Redis.
struct Node {
    larder: Larder,
    proxy: FaultProxy,
}

struct Site {
    truth: Arc<Truth>,
    origin: Origin,
    redis: Redis,
    nodes: Vec<Arc<Node>>,
}

impl Site {
    async fn start() -> Result<Self> {
        let (origin, redis, truth) = (Origin::start().await?, Redis::start().await?, Arc::<Truth>::default());
        for key in 0..KEYS {
            let (truth, asked) = (Arc::clone(&truth), AtomicU64::new(0));
            origin.respond_with("GET", &path(key), move |_| {
                let body = truth.versions[key].load(Ordering::SeqCst).to_string();
                let answer = Answer::ok().header("Surrogate-Key", format!("key:{key} all"));
                // Every other answer is from before the next purge and arrives after it.
                match asked.fetch_add(1, Ordering::SeqCst) % 2 {
                    0 => answer.wait(gate(truth.round.load(Ordering::SeqCst))).body(body),
                    _ => answer.body(body),
                }
            });
        }
        origin.always("PUT", "/busy", Answer::new(204));
        let mut nodes = Vec::new();
        for _ in 0..REPLICAS {
            let proxy = FaultProxy::start(redis.address()).await?;
            let config = format!(
                "[cache]\nttl = \"60s\"\nstale_while_revalidate = \"60s\"\ncollapse = {{ wait = \"200ms\" }}\n[tags]\nfrom = [\"surrogate-key\"]\n[store.redis]\nurl = \"redis://{}\"\nmax_lag = \"{}s\"\n",
                proxy.address(),
                faults::MAX_LAG.as_secs(),
            );
            nodes.push(Arc::new(Node { larder: Larder::before(&origin, &config).await?, proxy }));
        }
        let site = Self { truth, origin, redis, nodes };
        site.is_well().await?;
        Ok(site)
    }

    /// Every replica has read the log to its end, and told what it had to tell.
    async fn is_well(&self) -> Result<()> {
        for node in &self.nodes {
            let well = || async {
                let detail = node.larder.admin("/readyz").await?.text();
                Ok((detail.contains(r#""state":"ok""#) && detail.contains(r#""log_lag_seconds":0"#)).then_some(()))
            };
            eventually("waiting for the log of invalidations to be read", well).await?;
            let published = || async { Ok((node.larder.metric("larder_invalidations_untold", &[]).await? == 0.0).then_some(())) };
            eventually("waiting for all to be told", published).await?;
        }
        Ok(())
    }

    fn readers(&self) -> Vec<JoinHandle<Result<()>>> {
        let reader = |seed: u64| {
            let replica = seed as usize % REPLICAS;
            let (node, truth) = (Arc::clone(&self.nodes[replica]), Arc::clone(&self.truth));
            tokio::spawn(read(replica, node, truth, Lot(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
        };
        (1..=READERS_EACH * REPLICAS as u64).map(reader).collect()
    }

    /// Keeps the log from ever resting: a write every 100 ms, through one replica or another.
    fn busy(&self) -> JoinHandle<Result<()>> {
        let (nodes, truth) = (self.nodes.clone(), Arc::clone(&self.truth));
        tokio::spawn(async move {
            let mut pause = tokio::time::interval(Duration::from_millis(100));
            for node in nodes.iter().cycle() {
                if truth.over.load(Ordering::SeqCst) {
                    break;
                }
                pause.tick().await;
                // One that stands still answers when it goes on; nobody waits for it.
                let mut client = node.larder.connect().await?;
                tokio::spawn(async move { client.exchange("PUT", "/busy", &[HOST], "").await.map(drop) });
            }
            Ok(())
        })
    }

    /// A write that only the origin knows of, and then the purge that tells of it through `replica`.
    async fn change_and_purge(&self, round: u64, replica: usize, lot: &mut Lot) -> Result<()> {
        let truth = &self.truth;
        truth.round.store(round, Ordering::SeqCst);
        let key = lot.below(KEYS);
        let version = truth.versions[key].fetch_add(1, Ordering::SeqCst) + 1;
        let body = match lot.below(6) {
            0 => json!({"urls": [format!("http://site.example{}", path(key))]}),
            1 => json!({"tags": [format!("key:{key}")]}),
            2 => json!({"tags": ["key:*"]}),
            3 => json!({"prefixes": [format!("site.example{}", path(key))]}),
            4 => json!({"patterns": [format!("*.example/k/{key}")]}),
            _ => json!({"all": true}),
        };
        let said = purge(&self.nodes[replica].larder, &body).await?;
        if said["applied"].is_u64() && said["applied"] == said["replicas"] {
            truth.confirmed.fetch_add(1, Ordering::SeqCst);
            truth.min.iter().for_each(|min| _ = min[key].fetch_max(version, Ordering::SeqCst));
        } else {
            truth.min[replica][key].fetch_max(version, Ordering::SeqCst);
        }
        self.origin.gate(&gate(round)).open();
        self.origin.gate(&gate(round - 1)).open();
        // The held answers are out by now; something has to be read before the next change.
        let enough = truth.reads.load(Ordering::SeqCst) + READS_A_ROUND;
        let read = || async { Ok((truth.reads.load(Ordering::SeqCst) >= enough).then_some(())) };
        eventually("waiting for reads", read).await
    }

    /// Returns how many purges were confirmed.
    async fn end(self, readers: Vec<JoinHandle<Result<()>>>) -> Result<usize> {
        self.truth.over.store(true, Ordering::SeqCst);
        // The answers held for the last round are let go, and later requests are held no more.
        let last = self.truth.round.load(Ordering::SeqCst);
        self.origin.gate(&gate(last)).open();
        for reader in readers {
            reader.await??;
        }
        Ok(self.truth.confirmed.load(Ordering::SeqCst))
    }
}

fn path(key: usize) -> String {
    format!("/k/{key}")
}

fn gate(round: u64) -> String {
    format!("round {round}")
}

/// How many purges a history has, unless it is told.
pub(crate) fn purge_count(usual: u64) -> u64 {
    std::env::var("LARDER_HISTORY_PURGES").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

async fn read(replica: usize, node: Arc<Node>, truth: Arc<Truth>, mut lot: Lot) -> Result<()> {
    let mut client = node.larder.connect().await?;
    while !truth.over.load(Ordering::SeqCst) {
        let key = lot.below(KEYS);
        let (min, round) = (truth.min[replica][key].load(Ordering::SeqCst), truth.round.load(Ordering::SeqCst));
        let response = client.exchange("GET", &path(key), &[HOST], "").await?;
        judge(&response, min).map_err(|what| {
            let now = truth.round.load(Ordering::SeqCst);
            Error::new(format!("replica {replica}, key {key}, asked in round {round}, answered in {now}: {what}"))
        })?;
        truth.reads.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn judge(response: &Response, min: u64) -> std::result::Result<(), String> {
    match response.text().parse::<u64>() {
        Ok(version) if version >= min => Ok(()),
        Ok(version) => Err(format!("version {version}, purged below {min}: {}", response.cache_status())),
        Err(_) => Err(format!("{} {}", response.status, response.text())),
    }
}

async fn purge(larder: &Larder, body: &Value) -> Result<Value> {
    let fields = [("Content-Type", "application/json")];
    let answer = Client::connect(larder.admin_address()).await?.exchange("POST", "/purge?wait=300ms", &fields, &body.to_string()).await?;
    Ok(serde_json::from_str(&answer.text())?)
}

#[tokio::test]
async fn nothing_older_than_an_acknowledged_purge_is_read() -> Result<()> {
    let site = Site::start().await?;
    let (readers, mut lot) = (site.readers(), Lot(7));
    for round in 1..=purge_count(PURGES) {
        let replica = lot.below(REPLICAS);
        site.change_and_purge(round, replica, &mut lot).await?;
    }
    assert!(site.end(readers).await? > 0);
    Ok(())
}

#[tokio::test]
async fn nor_while_redis_stops_and_goes_on() -> Result<()> {
    let site = Site::start().await?;
    let (readers, mut lot) = (site.readers(), Lot(11));
    for round in 1..=purge_count(PURGES) {
        match round % 30 {
            10 => site.redis.signal(Signal::STOP)?,
            15 => site.redis.signal(Signal::CONT)?,
            _ => {}
        }
        let replica = lot.below(REPLICAS);
        site.change_and_purge(round, replica, &mut lot).await?;
    }
    site.redis.signal(Signal::CONT)?;
    assert!(site.end(readers).await? > 0);
    Ok(())
}

#[tokio::test]
async fn nor_while_replicas_stand_still_or_are_cut_off_and_redis_loses_what_it_has() -> Result<()> {
    let site = Site::start().await?;
    let (readers, busy, mut lot) = (site.readers(), site.busy(), Lot(13));
    let mut faults = Faults::default();
    let mut round = 0;
    // Each kind of fault once at least, however few purges there are.
    while round < purge_count(PURGES) || !faults.are_all_seen() {
        round += 1;
        faults.go_on(&site, &mut lot).await?;
        let replica = faults.purger(&mut lot);
        site.change_and_purge(round, replica, &mut lot).await?;
    }
    faults.end(&site).await?;
    assert!(site.end(readers).await? > 0);
    busy.await?
}
