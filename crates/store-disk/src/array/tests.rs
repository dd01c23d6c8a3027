//! Several directories, one process after another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use larder_disk_options::{Admission, DiskOptions};
use larder_semantics::{Timestamp, VarySpec};
use larder_store::codec::{BodySummer, ResponseRecord};
use larder_store::{Invalidation, InvalidationTarget, Ledger, LoadRequest, Loaded, NewRemoteBody, Published, RemoteStore, Variant, Write};
use tempfile::TempDir;

use super::DiskArray;
use crate::clocks::Clocks;
use crate::fixtures::{key, response, write_of};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

const PATHS: usize = 40;

#[expect(clippy::disallowed_methods, reason = "the clock of a test")]
const CLOCKS: Clocks = Clocks { monotonic: Instant::now, wall: || Timestamp::from_secs(1_000) };

struct Process {
    array: DiskArray,
    ledger: Arc<Ledger>,
}

fn options(directories: &[PathBuf]) -> DiskOptions {
    let others = directories[1..].iter().map(|path| (path.clone(), DiskOptions::MIN_CAPACITY)).collect();
    let first = DiskOptions::new(directories[0].clone(), DiskOptions::MIN_CAPACITY);
    DiskOptions { others, admission: Admission::All, timeout: LONG, write_rate: None, ..first }
}

impl Process {
    fn begin(directories: &[PathBuf]) -> Self {
        let ledger = Arc::<Ledger>::default();
        let array = DiskArray::start(&options(directories), CLOCKS, &ledger, true, None).expect("it starts");
        Self { array, ledger }
    }

    /// All directories can be used.
    async fn start(directories: &[PathBuf]) -> Self {
        let process = Self::begin(directories);
        assert!(process.array.usable(LONG).await, "{:?}", process.array.problem());
        process
    }

    async fn end(self) {
        assert_eq!(self.array.close(LONG).await, 0);
    }

    /// Stores a response under each path.
    async fn fill(&self, fetch: u64) {
        for number in 0..PATHS {
            self.array.commit(self.write(number, fetch, None)).await;
        }
    }

    fn write(&self, number: usize, fetch: u64, variant: Option<Variant>) -> Write {
        let mut response = response(&path(number), 10, fetch, variant);
        response.position = self.ledger.position();
        let log_position = self.ledger.log_position(response.position);
        Write { log_position, ..write_of(response) }
    }

    /// Stores a response whose body is written while it arrives.
    async fn spool(&self, number: usize, fetch: u64) {
        let Write { response, keep, log_position, .. } = self.write(number, fetch, None);
        let (key, body) = (response.key(), response.body());
        let new = NewRemoteBody { key: &key, variant: None, head: &response.head, fetch, length: Some(body.len()) };
        let mut writer = self.array.begin_body(new).expect("it is taken");
        let mut sum = BodySummer::default();
        for segment in body.segments() {
            sum.add(segment);
            writer.write(segment.clone()).await.expect("written");
        }
        let (head, tags) = (Arc::new(response.head.clone()), Arc::default());
        let record = ResponseRecord::new(key, None, head, tags, response.position, fetch, sum.sum(), None);
        writer.commit(record, keep, log_position.expect("the log is there")).await.expect("stored");
    }

    async fn get(&self, number: usize) -> Option<u64> {
        let (key, request) = (key(&path(number)), HeaderMap::new());
        let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
        match self.array.load(ask).await {
            Ok(Loaded::Response(stored)) => Some(stored.fetch).filter(|_| stored.is_valid(&self.ledger)),
            _ => None,
        }
    }

    async fn found(&self) -> usize {
        let mut found = 0;
        for number in 0..PATHS {
            found += usize::from(self.get(number).await.is_some());
        }
        found
    }

    /// As the cache does it.
    async fn purge(&self, number: usize) {
        let invalidation = Invalidation::hard([InvalidationTarget::Url(format!("http://a{}", path(number)))]);
        self.ledger.apply(&invalidation, Timestamp::from_secs(1_000));
        let up_to = self.ledger.log_position(self.ledger.position());
        let log = self.array.log().expect("it keeps one");
        let published = log.publish(invalidation).await;
        if !matches!(published, Published::Logged(_)) && !log.outlives_process() {
            self.array.forget_after_restart(up_to).await;
        }
    }
}

fn path(number: usize) -> String {
    format!("/{number}")
}

fn directories(folder: &TempDir, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| folder.path().join(name)).collect()
}

/// Something that is no directory is in the way of one.
fn block(directory: &PathBuf) -> PathBuf {
    let aside = directory.with_extension("aside");
    std::fs::rename(directory, &aside).unwrap();
    std::fs::write(directory, "in its way").unwrap();
    aside
}

fn unblock(directory: &PathBuf, aside: &PathBuf) {
    std::fs::remove_file(directory).unwrap();
    std::fs::rename(aside, directory).unwrap();
}

#[tokio::test]
async fn responses_are_spread_and_found_by_the_next_process_wherever_the_directories_are_by_then() {
    let folder = tempfile::tempdir().unwrap();
    let three = directories(&folder, &["a", "b", "c"]);
    let process = Process::start(&three).await;
    process.fill(1).await;
    process.end().await;
    for directory in &three {
        let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().any(|name| name.starts_with("segment-")), "each has some: {}", directory.display());
    }
    // One is moved, and they are named in another order.
    let moved = directories(&folder, &["c", "moved", "b"]);
    std::fs::rename(&three[0], &moved[1]).unwrap();
    let process = Process::start(&moved).await;
    assert_eq!((process.found().await, process.array.stats().entries), (PATHS, PATHS as u64));
}

#[tokio::test]
async fn a_purge_holds_in_whichever_directory_its_response_is() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let process = Process::start(&two).await;
    process.fill(1).await;
    for number in 0..PATHS / 2 {
        process.purge(number).await;
    }
    process.end().await;
    let process = Process::start(&two).await;
    assert_eq!((process.found().await, process.get(0).await, process.get(PATHS - 1).await), (PATHS / 2, None, Some(1)));
}

#[tokio::test]
async fn a_purge_from_before_the_directories_are_had_holds_where_the_one_with_the_log_is_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let first = Process::start(&two).await;
    first.fill(1).await;
    let second = Process::begin(&two);
    for number in 0..PATHS {
        second.purge(number).await;
    }
    // The log cannot be opened, although the directory can.
    let lines = [two[0].join("purges"), two[0].join("aside")];
    std::fs::rename(&lines[0], &lines[1]).unwrap();
    std::fs::create_dir(&lines[0]).unwrap();
    first.end().await;
    assert!(second.array.stores[1].usable(LONG).await);
    second.end().await;
    std::fs::remove_dir(&lines[0]).unwrap();
    std::fs::rename(&lines[1], &lines[0]).unwrap();
    assert_eq!(Process::start(&two).await.found().await, 0);
}

#[tokio::test]
async fn a_purge_from_before_the_directories_are_had_costs_nothing_else_once_the_log_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let first = Process::start(&two).await;
    first.fill(1).await;
    let second = Process::begin(&two);
    second.purge(0).await;
    first.end().await;
    assert!(second.array.usable(LONG).await);
    second.end().await;
    assert_eq!(Process::start(&two).await.found().await, PATHS - 1);
}

#[tokio::test]
async fn what_is_removed_or_replaced_before_the_directories_are_had_is_not_found_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let first = Process::start(&two).await;
    first.fill(1).await;
    let second = Process::begin(&two);
    for number in 0..PATHS * 3 / 4 {
        let later = second.write(number, 2, None);
        match number % 3 {
            0 => second.array.remove(&later.response),
            1 => second.array.commit(later).await,
            _ => second.array.freshen(later).await,
        }
    }
    first.end().await;
    assert!(second.array.usable(LONG).await);
    assert_eq!(second.found().await, PATHS / 4);
    second.end().await;
    assert_eq!(Process::start(&two).await.found().await, PATHS / 4);
}

#[tokio::test]
async fn the_others_go_on_without_a_directory_that_cannot_be_used_and_it_begins_empty_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let process = Process::start(&two).await;
    process.fill(1).await;
    process.end().await;
    let aside = block(&two[0]);
    let process = Process::begin(&two);
    assert!(process.array.stores[1].usable(LONG).await);
    assert!(process.array.problem().is_some());
    assert_eq!(process.found().await, 0, "the missing one may know purges that the other does not");
    process.fill(2).await;
    process.purge(3).await;
    process.end().await;
    unblock(&two[0], &aside);
    let process = Process::start(&two).await;
    let found = process.found().await;
    assert!((1..PATHS).contains(&found), "those of the one that was there, as far as they are still its own: {found}");
    for number in 0..PATHS {
        let version = process.get(number).await;
        assert!(version != Some(1) && !(number == 3 && version.is_some()), "{number}: {version:?}");
    }
}

#[tokio::test]
async fn nothing_that_was_purged_comes_back_when_directories_are_missing_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let process = Process::start(&two).await;
    process.fill(1).await;
    process.end().await;
    // First one is away, then the other; each knows only what happened while it was there.
    for away in [0, 1] {
        let aside = block(&two[away]);
        let process = Process::begin(&two);
        assert!(process.array.stores[1 - away].usable(LONG).await);
        assert_eq!(process.found().await, 0, "{away} is away");
        for number in 0..PATHS {
            process.purge(number).await;
        }
        process.end().await;
        unblock(&two[away], &aside);
    }
    let process = Process::start(&two).await;
    assert_eq!(process.found().await, 0);
    process.fill(5).await;
    process.end().await;
    assert_eq!(Process::start(&two).await.found().await, PATHS);
}

#[tokio::test]
async fn a_directory_that_was_used_alone_meanwhile_is_no_part_of_the_set_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    for process in [&two[..1], &two] {
        let process = Process::start(process).await;
        process.fill(1).await;
        process.end().await;
    }
    let alone = Process::start(&two[..1]).await;
    for number in 0..PATHS {
        alone.purge(number).await;
    }
    alone.end().await;
    assert_eq!(Process::start(&two).await.found().await, 0);
}

/// With another set of directories keys have other directories. The one that had a key before still has what it had.
#[tokio::test]
async fn what_another_directory_replaced_or_removed_does_not_come_back_with_an_earlier_set() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let process = Process::start(&two[..1]).await;
    process.fill(1).await;
    process.end().await;
    let process = Process::start(&two).await;
    for number in 0..PATHS {
        let language = Variant::of(VarySpec::new(vec![http::header::ACCEPT_LANGUAGE]), &HeaderMap::new());
        match number % 5 {
            0 => process.array.commit(process.write(number, 2, None)).await,
            1 => process.array.freshen(process.write(number, 2, None)).await,
            2 => process.array.remove(&process.write(number, 2, None).response),
            3 => process.spool(number, 2).await,
            _ => process.array.commit(process.write(number, 2, Some(language))).await,
        }
    }
    process.end().await;
    let process = Process::start(&two[..1]).await;
    for number in 0..PATHS {
        let version = process.get(number).await;
        assert!(version != Some(1) && !(number % 5 == 2 && version.is_some()), "{number}: {version:?}");
    }
    assert!((1..PATHS * 4 / 5).contains(&process.found().await), "those that the directory has in both sets");
}

#[tokio::test]
async fn a_directory_that_breaks_costs_the_keys_that_it_has_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "b"]);
    let process = Process::start(&two).await;
    process.fill(1).await;
    process.end().await;
    let process = Process::start(&two).await;
    process.array.stores[1].close(LONG).await;
    let found = process.found().await;
    assert!((1..PATHS).contains(&found), "{found}");
}

#[tokio::test]
async fn a_directory_that_is_named_twice_by_a_link_does_not_wait_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let two = directories(&folder, &["a", "link"]);
    std::fs::create_dir(&two[0]).unwrap();
    std::os::unix::fs::symlink(&two[0], &two[1]).unwrap();
    let process = Process::begin(&two);
    one_is_usable(&process).await;
    process.fill(1).await;
    let problem = process.array.problem().expect("the other one says why it is not used");
    assert!(problem.ends_with("which is configured already"), "{problem}");
    process.end().await;
    let process = Process::begin(&two);
    one_is_usable(&process).await;
    assert_eq!(process.found().await, PATHS, "one of them has all");
}

async fn one_is_usable(process: &Process) {
    let [first, second] = [&process.array.stores[0], &process.array.stores[1]];
    let usable = tokio::select! {
        usable = first.usable(LONG) => usable,
        usable = second.usable(LONG) => usable,
    };
    assert!(usable);
}
