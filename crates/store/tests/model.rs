//! The ledger against fills, commits and reads, under a model checker: every order in which threads can take turns, with every value that
//! the memory model lets them see, up to a few changes of thread within an operation.
//!
//! The ledger is built here a second time, on loom's locks and atomics instead of the standard library's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use larder_semantics::Timestamp;
use ledger::{Checked, Invalidation, InvalidationTarget, Ledger, Position, Subject, Tag};
use libtest_mimic::{Arguments, Trial};
use loom::sync::atomic::Ordering;
use loom::sync::{Arc, Mutex};
use loom::thread;
use sync::AtomicU64;

#[path = "../src/ledger/mod.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, unused_imports, reason = "what the library needs of it is more than the models do")]
mod ledger;
#[path = "../src/weight.rs"]
#[allow(dead_code, reason = "the ledger weighs its tags, and no heads")]
mod weight;

mod sync {
    pub(crate) use loom::sync::atomic::AtomicU64;
    pub(crate) use loom::sync::{RwLock, RwLockWriteGuard};
}

/// Changes of thread within operations: most faults need two.
const PREEMPTIONS: usize = 3;

const URL: &str = "http://a.example/x";
const NOW: Timestamp = Timestamp::from_secs(1_000);

/// A cache of one place before an origin of one number.
#[derive(Clone)]
struct World {
    ledger: Arc<Ledger>,
    origin: Arc<AtomicU64>,
    stored: Arc<Mutex<Option<Arc<Entry>>>>,
}

struct Entry {
    value: u64,
    checked: Checked,
    tags: [Tag; 1],
}

impl Entry {
    fn is_valid(&self, ledger: &Ledger) -> bool {
        self.checked.is_valid(ledger, || Subject { url: URL, tags: (&self.tags).into() })
    }
}

impl World {
    fn new() -> Self {
        Self { ledger: Arc::default(), origin: Arc::default(), stored: Arc::default() }
    }

    /// With what the origin says now.
    fn filled() -> Self {
        let world = Self::new();
        world.fill();
        world
    }

    fn fill(&self) {
        let position = self.ledger.position();
        self.commit(position, self.origin.load(Ordering::Acquire));
    }

    fn commit(&self, position: Position, value: u64) {
        let entry = Arc::new(Entry { value, checked: Checked::new(position), tags: [Tag::surrogate("tag")] });
        if entry.is_valid(&self.ledger) {
            *self.stored.lock().expect("whole") = Some(entry);
        }
    }

    fn found(&self) -> Option<Arc<Entry>> {
        let stored = self.stored.lock().expect("whole").clone();
        stored.filter(|entry| entry.is_valid(&self.ledger))
    }

    fn read(&self) -> Option<u64> {
        self.found().map(|entry| entry.value)
    }

    /// The origin's number changes, and the entry stored before is invalidated.
    fn write_and_purge(&self) {
        self.origin.store(1, Ordering::Release);
        self.ledger.apply(&hard("tag"), NOW);
    }

    fn alongside(&self, work: impl FnOnce(Self) + 'static) -> thread::JoinHandle<()> {
        let world = self.clone();
        thread::spawn(move || work(world))
    }
}

fn hard(tag: &str) -> Invalidation {
    Invalidation::hard([InvalidationTarget::Tag(tag.to_owned())])
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

fn a_fill_that_a_purge_overtakes_is_never_read() {
    check(|| {
        let world = World::new();
        let filler = world.alongside(|world| world.fill());
        world.write_and_purge();
        assert_ne!(world.read(), Some(0), "right after the purge");
        filler.join().expect("it ends");
        assert_ne!(world.read(), Some(0), "after the fill");
    });
}

fn readers_that_check_an_entry_meanwhile_do_not_bring_it_back() {
    check(|| {
        let world = World::filled();
        let reader = world.alongside(|world| _ = world.read());
        let other = world.alongside(|world| _ = world.ledger.apply(&hard("other"), NOW));
        world.write_and_purge();
        assert_eq!(world.read(), None);
        reader.join().expect("it ends");
        other.join().expect("it ends");
        assert_eq!(world.read(), None);
    });
}

fn an_entry_checked_after_a_soft_purge_is_stale() {
    check(|| {
        let world = World::filled();
        let reader = world.alongside(|world| _ = world.read());
        world.ledger.apply(&Invalidation::soft(hard("tag").targets), NOW);
        assert!(world.found().expect("still there").checked.is_softened());
        reader.join().expect("it ends");
    });
}

fn a_purge_that_is_read_back_from_the_log_meanwhile_holds() {
    check(|| {
        let world = World::new();
        let tail = world.alongside(|world| world.ledger.apply_logged(1, &hard("tag")));
        let filler = world.alongside(|world| world.fill());
        world.write_and_purge();
        assert_ne!(world.read(), Some(0));
        tail.join().expect("it ends");
        filler.join().expect("it ends");
        assert_ne!(world.read(), Some(0));
    });
}

fn a_write_s_own_answer_is_not_read_after_a_later_write_was_purged() {
    check(|| {
        let world = World::new();
        let began = world.ledger.position();
        // The origin has done the first write, and then does the second.
        let later = world.alongside(|world| world.write_and_purge());
        let tags = [Tag::surrogate("tag")];
        let subject = Subject { url: URL, tags: (&tags).into() };
        let (applied, untouched) = world.ledger.apply_since(&hard("tag"), NOW, &subject, began);
        let tail = world.alongside(|world| world.ledger.apply_logged(1, &hard("tag")));
        tail.join().expect("it ends");
        if untouched {
            world.commit(world.ledger.read_back(applied, 1), 0);
        }
        later.join().expect("it ends");
        assert_ne!(world.read(), Some(0));
    });
}

/// The models have to be able to fail.
fn a_position_that_is_read_after_the_fetch_is_found_out() {
    let faulty = || {
        check(|| {
            let world = World::new();
            let filler = world.alongside(|world| {
                let value = world.origin.load(Ordering::Acquire);
                world.commit(world.ledger.position(), value);
            });
            world.write_and_purge();
            filler.join().expect("it ends");
            assert_ne!(world.read(), Some(0));
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(faulty)).is_err());
}

fn main() {
    type Model = (&'static str, fn());
    let models: [Model; 6] = [
        ("a_fill_that_a_purge_overtakes_is_never_read", a_fill_that_a_purge_overtakes_is_never_read),
        ("readers_that_check_an_entry_meanwhile_do_not_bring_it_back", readers_that_check_an_entry_meanwhile_do_not_bring_it_back),
        ("an_entry_checked_after_a_soft_purge_is_stale", an_entry_checked_after_a_soft_purge_is_stale),
        ("a_purge_that_is_read_back_from_the_log_meanwhile_holds", a_purge_that_is_read_back_from_the_log_meanwhile_holds),
        (
            "a_write_s_own_answer_is_not_read_after_a_later_write_was_purged",
            a_write_s_own_answer_is_not_read_after_a_later_write_was_purged,
        ),
        ("a_position_that_is_read_after_the_fetch_is_found_out", a_position_that_is_read_after_the_fetch_is_found_out),
    ];
    let trials = models.map(|(name, model)| {
        Trial::test(name, move || {
            model();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}
