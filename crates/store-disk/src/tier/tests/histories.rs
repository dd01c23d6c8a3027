//! Processes one after another over one directory, under fetches, purges, kills and hand-overs in any order, and a judge of what is read: nothing
//! older than an acknowledged purge.

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;

const KEYS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// The origin's data changes.
    Write(usize),
    Purge(usize),
    /// The process begins to fetch, and the origin answers at once.
    Fetch(usize),
    /// The answer of a fetch is stored.
    Commit(usize),
    Remove(usize),
    Read(usize),
    /// The process ends well, or is killed with what it had not written; then another one starts.
    Restart {
        kill: bool,
    },
    /// A second process starts, and is told to purge before it gets the directory.
    HandOver(usize),
    /// As before, but the second process is killed, and the first one goes on.
    Abandoned(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    prop_oneof![
        4 => key.clone().prop_map(Step::Write),
        4 => key.clone().prop_map(Step::Purge),
        6 => key.clone().prop_map(Step::Fetch),
        6 => (0..8_usize).prop_map(Step::Commit),
        1 => key.clone().prop_map(Step::Remove),
        8 => key.clone().prop_map(Step::Read),
        3 => any::<bool>().prop_map(|kill| Step::Restart { kill }),
        1 => key.clone().prop_map(Step::HandOver),
        1 => key.prop_map(Step::Abandoned),
    ]
}

/// What a fetch has brought: a body whose length is the version.
struct Fetched {
    key: usize,
    write: Write,
}

struct World {
    folder: TempDir,
    process: Option<Process>,
    fetches: Vec<Fetched>,
    fetched: u64,
    origin: [usize; KEYS],
    /// The oldest version that may be read, by this process and by later ones.
    min: [usize; KEYS],
    min_later: [usize; KEYS],
    reads: usize,
}

fn path(key: usize) -> String {
    format!("/{key}")
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Some(Process::start(&folder).await);
        let (origin, min, min_later) = ([1; KEYS], [0; KEYS], [0; KEYS]);
        Self { folder, process, fetches: Vec::new(), fetched: 0, origin, min, min_later, reads: 0 }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("one runs")
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Write(key) => self.origin[key] += 1,
            Step::Purge(key) => {
                self.process().purge(&path(key)).await;
                (self.min[key], self.min_later[key]) = (self.origin[key], self.origin[key]);
            }
            Step::Fetch(key) => {
                self.fetched += 1;
                let write = self.process().write(&path(key), self.origin[key], self.fetched, None);
                self.fetches.push(Fetched { key, write });
            }
            Step::Commit(number) if number < self.fetches.len() => self.commit(number).await,
            Step::Commit(_) => {}
            Step::Remove(key) => self.process().store.remove(&response(&path(key), 0, self.fetched, None)),
            Step::Read(key) => return self.read(key).await,
            Step::Restart { kill } => {
                let process = self.process.take().expect("one runs");
                if kill {
                    process.kill()
                } else {
                    process.end().await
                }
                self.process = Some(Process::start(&self.folder).await);
                self.restarted();
            }
            Step::HandOver(key) => {
                let (first, second) = (self.process.take().expect("one runs"), Process::begin(options(&self.folder)));
                second.purge(&path(key)).await;
                self.min_later[key] = self.origin[key];
                first.end().await;
                assert!(second.store.usable(LONG).await);
                self.process = Some(second);
                self.restarted();
            }
            Step::Abandoned(key) => {
                let second = Process::begin(options(&self.folder));
                second.purge(&path(key)).await;
                self.min_later[key] = self.origin[key];
                second.kill();
            }
        }
        Ok(())
    }

    fn restarted(&mut self) {
        self.fetches.clear();
        self.min = self.min_later;
    }

    /// As the cache does it: what was invalidated since its fetch began is not written.
    async fn commit(&mut self, number: usize) {
        let Fetched { key, write } = self.fetches.remove(number);
        let process = self.process();
        let log_position = process.ledger.log_position(write.response.position);
        if write.response.is_valid(&process.ledger) {
            process.store.commit(Write { log_position, ..write }).await;
            if key == 0 {
                process.written().await;
            }
        }
    }

    async fn read(&mut self, key: usize) -> Result<(), TestCaseError> {
        if let Some(stored) = self.process().get_for(&path(key), &HeaderMap::new()).await {
            let version = stored.body_length() as usize;
            prop_assert!(version >= self.min[key], "version {} of key {}, purged below {}", version, key, self.min[key]);
            self.reads += 1;
        }
        Ok(())
    }
}

impl Process {
    /// Ends without a word, with what it had not written.
    fn kill(self) {
        self.store.tier.queue.clear();
        self.store.tier.queue.close();
        let thread = self.store.take_thread().expect("it runs");
        thread.join().expect("it ends");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_purged_comes_back(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in &steps {
                world.take(step).await?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}

/// The judge reads from the disk at all, and a purge that is forgotten would be seen.
#[tokio::test]
async fn the_judge_reads_and_can_say_no() {
    let mut world = World::new().await;
    for step in [Step::Fetch(0), Step::Commit(0), Step::Restart { kill: true }, Step::Read(0)] {
        world.take(&step).await.expect("nothing old is read");
    }
    assert_eq!(world.reads, 1);
    world.min[0] = 2;
    world.take(&Step::Read(0)).await.expect_err("old data");
}
