//! Three replicas and a real Redis under purges and reads in any order, and a judge of what was read: nobody who asks after a purge was
//! acknowledged is given anything older, whatever was in flight, in memory or in Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use larder_testkit::patience::eventually;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Redis, Result};
use rustix::process::Signal;
use serde_json::{Value, json};

const REPLICAS: usize = 3;
const KEYS: usize = 6;
const ROUNDS: u64 = 150;
const READERS: u64 = 6;
const READS_A_ROUND: usize = 20;

const HOST: (&str, &str) = ("Host", "site.example");

/// Numbers that look drawn by lot, the same in every run.
struct Lot(u64);

impl Lot {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }
}

/// What the origin has now, and what has to be seen at least, for each key.
#[derive(Default)]
struct Truth {
    versions: [AtomicU64; KEYS],
    least: [[AtomicU64; KEYS]; REPLICAS],
    round: AtomicU64,
    reads: AtomicUsize,
    over: AtomicBool,
}

struct Site {
    truth: Arc<Truth>,
    origin: Origin,
    redis: Redis,
    replicas: Vec<Arc<Larder>>,
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
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            let config = format!(
                "[cache]\nttl = \"60s\"\nstale_while_revalidate = \"60s\"\ncollapse = {{ wait = \"200ms\" }}\n[tags]\nfrom = [\"surrogate-key\"]\n[store.redis]\nurl = \"redis://{}\"\n",
                redis.address()
            );
            let larder = Larder::before(&origin, &config).await?;
            let ok = || async { Ok(larder.admin("/readyz").await?.text().contains(r#""state":"ok""#).then_some(())) };
            eventually("waiting for the log of invalidations to be read", ok).await?;
            replicas.push(Arc::new(larder));
        }
        Ok(Self { truth, origin, redis, replicas })
    }

    fn readers(&self) -> Vec<tokio::task::JoinHandle<Result<()>>> {
        let reader = |seed: u64| {
            let (replicas, truth) = (self.replicas.clone(), Arc::clone(&self.truth));
            tokio::spawn(read(replicas, truth, Lot(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
        };
        (1..=READERS).map(reader).collect()
    }

    /// A write that only the origin knows of, and then the purge that tells of it.
    async fn change_and_purge(&self, round: u64, lot: &mut Lot) -> Result<()> {
        self.truth.round.store(round, Ordering::SeqCst);
        let (key, replica) = (lot.below(KEYS), lot.below(REPLICAS));
        let version = self.truth.versions[key].fetch_add(1, Ordering::SeqCst) + 1;
        let body = match lot.below(6) {
            0 => json!({"urls": [format!("http://site.example{}", path(key))]}),
            1 => json!({"tags": [format!("key:{key}")]}),
            2 => json!({"tags": ["key:*"]}),
            3 => json!({"prefixes": [format!("site.example{}", path(key))]}),
            4 => json!({"patterns": [format!("*.example/k/{key}")]}),
            _ => json!({"all": true}),
        };
        let said = purge(&self.replicas[replica], &body).await?;
        if said["applied"] == json!(REPLICAS) && said["replicas"] == json!(REPLICAS) {
            for least in &self.truth.least {
                least[key].fetch_max(version, Ordering::SeqCst);
            }
        } else {
            // The others could not be told, or not all of them were known to live.
            self.truth.least[replica][key].fetch_max(version, Ordering::SeqCst);
        }
        self.origin.gate(&gate(round)).open();
        self.origin.gate(&gate(round - 1)).open();
        // What was held is out by now; something has to be read before the next change.
        let enough = self.truth.reads.load(Ordering::SeqCst) + READS_A_ROUND;
        let read = || async { Ok((self.truth.reads.load(Ordering::SeqCst) >= enough).then_some(())) };
        eventually("waiting for reads", read).await
    }

    async fn end(self, readers: Vec<tokio::task::JoinHandle<Result<()>>>) -> Result<()> {
        self.truth.over.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await??;
        }
        Ok(())
    }
}

fn path(key: usize) -> String {
    format!("/k/{key}")
}

fn gate(round: u64) -> String {
    format!("round {round}")
}

async fn read(replicas: Vec<Arc<Larder>>, truth: Arc<Truth>, mut lot: Lot) -> Result<()> {
    let mut clients = Vec::new();
    for replica in &replicas {
        clients.push(replica.connect().await?);
    }
    while !truth.over.load(Ordering::SeqCst) {
        let (replica, key) = (lot.below(REPLICAS), lot.below(KEYS));
        let least = truth.least[replica][key].load(Ordering::SeqCst);
        let response = clients[replica].exchange("GET", &path(key), &[HOST], "").await?;
        let version: u64 = response.text().parse().map_err(|_| Error::new(format!("{} {}", response.status, response.text())))?;
        if version < least {
            let status = response.cache_status();
            return Err(Error::new(format!("replica {replica} gave version {version} of key {key}, purged below {least}: {status}")));
        }
        truth.reads.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

async fn purge(larder: &Larder, body: &Value) -> Result<Value> {
    let fields = [("Content-Type", "application/json")];
    let answer = Client::connect(larder.admin_address()).await?.exchange("POST", "/purge", &fields, &body.to_string()).await?;
    Ok(serde_json::from_str(&answer.text())?)
}

#[tokio::test]
async fn nothing_older_than_an_acknowledged_purge_is_read() -> Result<()> {
    let site = Site::start().await?;
    let (readers, mut lot) = (site.readers(), Lot(7));
    for round in 1..=ROUNDS {
        site.change_and_purge(round, &mut lot).await?;
    }
    site.end(readers).await
}

#[tokio::test]
async fn nor_while_redis_stops_and_goes_on() -> Result<()> {
    let site = Site::start().await?;
    let (readers, mut lot) = (site.readers(), Lot(11));
    for round in 1..=ROUNDS {
        match round % 30 {
            10 => site.redis.signal(Signal::STOP)?,
            15 => site.redis.signal(Signal::CONT)?,
            _ => {}
        }
        site.change_and_purge(round, &mut lot).await?;
    }
    site.redis.signal(Signal::CONT)?;
    site.end(readers).await
}
