//! The soak: two replicas under a mix like production's, while Redis, its network and the replicas themselves fail, and a checker of all that was promised.
//!
//! 1. `site` starts an origin, a Redis and two replicas with memory and disk.
//! 2. `clients` read everything that `subject` has: whole, in parts, slowly, not to the end, over HTTP/1.1 and HTTP/2, from origins that fail as well
//!    (`answers`). `changes` write and purge.
//! 3. `faults` happen one after the other, each until everything is as before.
//! 4. `judge` judges each answer by the body alone and by what was acknowledged when it was asked for (`truth`); `watch` the memory while it runs, and what is left
//!    once nobody asks.
//! 5. `report` tells all of it. The first broken promise ends the run.
//!
//! [`Defect`] plants what the checker has to find.

mod answers;
mod changes;
mod clients;
mod defect;
mod faults;
mod judge;
mod report;
mod site;
mod subject;
mod truth;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use defect::Defect;
pub use judge::{Promise, Violation};
pub use report::Report;

use clients::Reader;
use faults::Kind;
use larder_testkit::{Client, Result};
use report::Counts;
use site::Site;
use subject::Subject;
use tokio::task::JoinSet;
use truth::Truth;
use watch::Usages;

use crate::Lot;

const REPLICAS: usize = 2;
const READERS_EACH: usize = 4;

/// Replicas are one site under one name.
const HOST: (&str, &str) = ("Host", "site.example");

/// How long nothing fails, between two faults of a run that has the time.
const CALM: Duration = Duration::from_secs(2);

/// How long a run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// For so long.
    Time(Duration),
    /// Until so many answers were judged, and everything has happened that may.
    Work(u64),
    /// Until so many answers were judged, while nothing fails.
    Calm(u64),
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long.
    pub length: Length,
    /// What is drawn by lot begins with it.
    pub seed: u64,
    /// What is wrong on purpose.
    pub defect: Option<Defect>,
}

/// What all who take part share.
struct Run {
    truth: Arc<Truth>,
    counts: Counts,
    defect: Option<Defect>,
    has_faults: bool,
    violations: Mutex<Vec<Violation>>,
    over: AtomicBool,
}

impl Run {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// A promise was broken, and the run is over.
    fn found(&self, violation: Violation) {
        self.violations.lock().expect("no one panics while holding them").push(violation);
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Runs, and tells what happened.
///
/// # Errors
/// If something that the run needs does not start.
pub async fn run(options: Options) -> Result<Report> {
    let truth = Arc::new(Truth::new());
    let mut site = Site::start(&truth, options.defect).await?;
    let run = Arc::new(Run {
        truth,
        counts: Counts::default(),
        defect: options.defect,
        has_faults: !matches!(options.length, Length::Calm(_)),
        violations: Mutex::default(),
        over: AtomicBool::new(false),
    });
    // What is opened when it is first needed is no more than that at the end.
    changes::warm(&run, &site.nodes).await?;
    read_everything(&run, &site).await;
    let mut watches = Vec::new();
    for node in &site.nodes {
        let usages = watch::at_start(&node.larder).await?;
        watches.push(tokio::spawn(watch::watch(Arc::clone(&run), Arc::clone(node), usages)));
    }
    let held = hold(&site, options.defect).await?;
    let actors = actors(&run, &site, options.seed);
    let faults = last(&run, &mut site, options).await;
    run.over.store(true, Ordering::SeqCst);
    actors.join_all().await;
    let mut usages = Vec::new();
    for watch in watches {
        usages.push(watch.await?);
    }
    let usages = end(&run, &site, usages).await;
    drop(held);
    let violations = run.violations.lock().expect("no one panics while holding them").clone();
    for node in site.nodes.iter().filter(|_| !violations.is_empty() && options.defect.is_none()) {
        // What the replicas printed stands beside what was found.
        eprintln!("{}", node.larder.process().output().join("\n"));
    }
    Ok(Report::new(&run.counts, faults, usages, violations))
}

/// Connections that nobody gives back.
async fn hold(site: &Site, defect: Option<Defect>) -> Result<Vec<Client>> {
    let mut held = Vec::new();
    for node in site.nodes.iter().filter(|_| defect == Some(Defect::HeldConnections)) {
        let mut client = node.larder.connect().await?;
        // One that has never asked would be closed sooner.
        client.exchange("GET", "/key/0", &[HOST], "").await?;
        held.push(client);
    }
    Ok(held)
}

fn actors(run: &Arc<Run>, site: &Site, seed: u64) -> JoinSet<()> {
    let mut actors = JoinSet::new();
    let lot = |number: usize| Lot(seed.wrapping_add(number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for (replica, node) in site.nodes.iter().enumerate() {
        for reader in 0..READERS_EACH {
            let lot = lot(replica * READERS_EACH + reader);
            actors.spawn(Reader::new(Arc::clone(run), Arc::clone(node), replica, lot).run());
        }
        actors.spawn(clients::read_over_http2(Arc::clone(run), Arc::clone(node), replica, lot(100 + replica)));
    }
    actors.spawn(changes::change(Arc::clone(run), site.nodes.clone(), lot(200)));
    actors
}

/// Lets things happen until the run has lasted long enough; what happened how often.
async fn last(run: &Arc<Run>, site: &mut Site, options: Options) -> BTreeMap<Kind, u64> {
    let (mut happened, mut lot) = (BTreeMap::new(), Lot(options.seed | 1));
    if let Length::Time(time) = options.length {
        let run = Arc::clone(run);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            run.over.store(true, Ordering::SeqCst);
        });
    }
    let mut number = 0;
    while !run.is_over() && !is_enough(run, options.length, number) {
        if let Length::Calm(_) = options.length {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let (kind, replica) = (Kind::ALL[number % Kind::ALL.len()], lot.below(REPLICAS));
        number += 1;
        *happened.entry(kind).or_insert(0) += 1;
        if let Err(error) = kind.happen(site, replica, number).await {
            run.found(Violation::new(Promise::Recovers, format!("{kind:?}, replica {replica}: {error}")));
        }
        if let Length::Time(_) = options.length {
            tokio::time::sleep(CALM).await;
        }
    }
    happened
}

fn is_enough(run: &Run, length: Length, number: usize) -> bool {
    match length {
        Length::Time(_) => false,
        Length::Work(answers) => run.counts.all() >= answers && number >= Kind::ALL.len(),
        Length::Calm(answers) => run.counts.all() >= answers,
    }
}

/// Everything once on both replicas.
async fn read_everything(run: &Arc<Run>, site: &Site) {
    for (replica, node) in site.nodes.iter().enumerate() {
        let mut reader = Reader::new(Arc::clone(run), Arc::clone(node), replica, Lot(1));
        for subject in Subject::all() {
            if let Err(violation) = reader.read_whole(subject).await {
                run.found(violation);
            }
        }
    }
}

/// Everything once more, and then nothing is left but what is stored.
async fn end(run: &Arc<Run>, site: &Site, usages: Vec<Usages>) -> Vec<Usages> {
    read_everything(run, site).await;
    let mut ended = Vec::new();
    for (node, usages) in site.nodes.iter().zip(usages) {
        ended.push(watch::at_end(run, node, usages).await);
    }
    ended
}
