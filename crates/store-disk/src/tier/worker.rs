//! The thread that opens the directory and writes to it.

use std::collections::HashSet;
use std::fs::DirEntry;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use larder_semantics::PrimaryKey;
use larder_store::codec::{encode, encode_selecting};
use larder_store::{Variant, Write};
use tracing::{info, warn};

use super::form::{content, sealed_head};
use super::queue::{Next, Queue, WriteTask};
use super::{Tier, count, hash_of, refused};
use crate::engine::{Engine, NewBody, NewEntry, Shape};
use crate::log;
use crate::observer::DiskOperation;
use crate::set::round;
use crate::volume::{Directory, OpenError, Volume};

/// How often a directory that another process has, or that cannot be used, is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How often responses that were not written at first are looked at, and what the process before this one leaves.
const LOOK: Duration = Duration::from_secs(1);

/// Files that say that everything is to be forgotten: written where another process still has the directory.
pub(super) const FORGET: &str = "forget-";

/// Opens the directory, and writes for as long as the tier lives.
pub(super) fn run(tier: &Weak<Tier>, queue: &Queue) {
    let engine = loop {
        let Some(tier) = tier.upgrade() else { return };
        match open(&tier, queue) {
            Ok(Some(engine)) => {
                tier.works();
                break engine;
            }
            Ok(None) => return,
            Err(error) => {
                if let (Some((round, number)), OpenError::Unusable { .. }) = (&tier.place, &error) {
                    round.unusable(*number);
                }
                tier.say_problem(error.to_string());
            }
        }
        drop(tier);
        if queue.is_closed_within(RETRY) {
            return;
        }
    };
    let (mut looked, mut applied) = (None::<Instant>, HashSet::new());
    loop {
        let next = queue.next(LOOK);
        let Some(tier) = tier.upgrade() else { return };
        tier.forget_at_last(&engine);
        // However much there is to write.
        let now = (tier.clocks.monotonic)();
        if looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK) {
            looked = Some(now);
            tier.take_over(&engine, &mut applied);
            tier.drop_mark();
            tier.write_asked();
        }
        tier.remove_due(&engine);
        match next {
            Next::WriteTask(job) => {
                let bytes = job.bytes();
                tier.work(&engine, job);
                queue.done(bytes);
            }
            Next::Idle => {}
            Next::Closed => {
                tier.drop_mark();
                if let Err(error) = tier.remove_at_last(&engine) {
                    tier.failed(&error);
                }
                return engine.note_wear();
            }
        }
    }
}

/// Locks the directory, reads the log of invalidations, and begins to read what an earlier process left. `None`: the process ends.
fn open(tier: &Arc<Tier>, queue: &Queue) -> Result<Option<Arc<Engine>>, OpenError> {
    let options = &tier.options;
    let shape = Shape { segment_size: options.segment_size(), segments: options.segments() };
    let unusable = |source| OpenError::Unusable { path: options.path.clone(), source };
    if let Some((round, number)) = &tier.place {
        std::fs::create_dir_all(&options.path).and_then(|()| round.claim(*number, &options.path)).map_err(unusable)?;
    }
    let directory = Directory::open(&options.path, shape.segment_size, shape.segments)?;
    let Some(has_log) = take_part(tier, &directory, queue).map_err(unusable)? else { return Ok(None) };
    let (engine, mut marks) = open_engine(tier, directory, shape).map_err(unusable)?;
    match &tier.log {
        // With the purges that this process has kept meanwhile.
        Some(log) if has_log => {
            log.open(&options.path, Arc::clone(&engine) as _).map_err(unusable)?;
            tier.has_log.store(true, Ordering::Relaxed);
        }
        // It may never be opened: until then nothing else remembers what this process has purged before.
        Some(log) if !log.is_open() => {
            let (own, others): (Vec<_>, _) = marks.into_iter().partition(|mark| mark.ends_with(&tier.mark));
            tier.keeps_mark.store(!own.is_empty(), Ordering::Relaxed);
            marks = others;
        }
        Some(_) => {}
        None if marks.iter().any(|mark| mark.ends_with(&tier.mark)) => tier.forget_all(&engine).map_err(unusable)?,
        None => {}
    }
    marks.iter().try_for_each(std::fs::remove_file).map_err(unusable)?;
    let ready = tier.ready.clone();
    let (restored, now, ledger) = (Arc::clone(&engine), tier.clocks.now(), Arc::clone(&tier.ledger));
    let restore = move || {
        let longest = restored.restore(now);
        // Invalidations have to be remembered for as long as what they concern may be used.
        ledger.concern(u64::from(longest) * 1_000);
        info!("{} responses are on disk", restored.indexed().0);
        ready.send_replace(true);
    };
    tier.remove_noted(&engine);
    tier.take_over(&engine, &mut HashSet::new());
    // Before anybody is told that it is ready.
    tier.set_engine(Some(Arc::clone(&engine)));
    // What has come in between. From here on no more is noted.
    tier.remove_noted(&engine);
    if let Err(error) = std::thread::Builder::new().name("larder-restore".to_owned()).spawn(restore) {
        tier.failed(&error);
    }
    Ok(Some(engine))
}

/// Waits for the other directories, where there are several, and makes this one what it is to be among them: whether it has the log. `None`: the process
/// ends.
fn take_part(tier: &Tier, directory: &Directory, queue: &Queue) -> io::Result<Option<bool>> {
    let path = &tier.options.path;
    let Some((round, number)) = &tier.place else {
        round::leave(path)?;
        return Ok(Some(true));
    };
    let member = round::member_of(directory, log::STATE)?;
    let Some(part) = round.join(*number, member, || queue.is_closed_within(Duration::ZERO)) else { return Ok(None) };
    part.prepare(directory, path, log::STATE)?;
    Ok(Some(part.is_keeper))
}

/// Marks of other processes mean everything. One of this process is not for itself: it was there, and knows what it has invalidated.
fn open_engine(tier: &Tier, directory: Directory, shape: Shape) -> io::Result<(Arc<Engine>, Vec<PathBuf>)> {
    let is_mark = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(FORGET);
    let marks: Vec<_> = std::fs::read_dir(&tier.options.path)?.filter_map(Result::ok).filter(is_mark).map(|entry| entry.path()).collect();
    let must_forget = tier.must_forget.swap(false, Ordering::Relaxed);
    if must_forget || marks.iter().any(|mark| !mark.ends_with(&tier.mark)) {
        directory.remove_segments().inspect_err(|_| _ = tier.must_forget.fetch_or(must_forget, Ordering::Relaxed))?;
    }
    Ok((Engine::open(Arc::new(directory), shape, tier.clocks.now())?, marks))
}

/// The name of this process's own mark.
pub(super) fn mark_name() -> String {
    format!("{FORGET}{:016x}", RandomState::new().hash_one("mark"))
}

/// Tells the process that opens the directory next that it must not use anything in it.
pub(super) fn forget_later(path: &Path, mark: &str) -> io::Result<()> {
    std::fs::create_dir_all(path).and_then(|()| std::fs::write(path.join(mark), "")).inspect_err(|error| {
        warn!("a purge could not be noted in {}: {error}", path.display());
    })
}

impl Tier {
    /// What the disk could not be told in time.
    pub(super) fn forget_at_last(&self, engine: &Engine) {
        if self.must_forget.swap(false, Ordering::Relaxed)
            && let Err(error) = self.forget_all(engine)
        {
            self.failed(&error);
            self.must_forget.store(true, Ordering::Relaxed);
        }
        // All is forgotten that was written before. This is for what comes after.
        let _ = engine.write_due_marks();
    }

    /// No later process may use anything that is stored, or that was fetched until now and is written later.
    pub(super) fn forget_all(&self, engine: &Engine) -> io::Result<()> {
        engine.forget(None)?;
        self.ledger.log_position(self.ledger.position()).map_or(Ok(()), |up_to| engine.forget(Some(up_to)))
    }

    /// The log, in another directory, has what this process has purged before: its mark is not needed any more.
    fn drop_mark(&self) {
        if self.keeps_mark.load(Ordering::Relaxed) && self.log.as_ref().is_some_and(|log| log.is_open()) {
            self.keeps_mark.store(false, Ordering::Relaxed);
            if let Err(error) = std::fs::remove_file(self.options.path.join(&self.mark)) {
                self.failed(&error);
            }
        }
    }

    /// Queues the responses that were asked for since they were stored.
    pub(super) fn write_asked(&self) {
        let writes = self.admitting.asked((self.clocks.monotonic)());
        writes.into_iter().for_each(|write| self.push(WriteTask::Commit(write)));
    }

    /// The write, if it is to be done now.
    pub(super) fn admit(&self, write: Write, hash: u64) -> Option<Write> {
        if self.engine().is_some_and(|engine| may_be_stored(&engine, hash)) {
            return Some(write);
        }
        self.admitting.admit(write, hash, (self.clocks.monotonic)())
    }

    /// Whether a body is written that is not in memory, where it could be asked for a second time.
    pub(super) fn admits_body(&self, engine: &Engine, hash: u64) -> bool {
        may_be_stored(engine, hash) || self.admitting.admits(hash)
    }

    pub(super) fn push(&self, job: WriteTask) {
        if let Err(job) = self.queue.push(job) {
            count(&self.counters.dropped);
            self.give_up(&job);
        }
    }

    /// What is not written must not leave an older response to be found in its place.
    pub(super) fn give_up(&self, job: &WriteTask) {
        let Some(engine) = self.engine() else { return };
        let (hash, fetch) = job.target(engine.seed());
        job.response().into_iter().for_each(|response| self.unvary_for(&engine, response));
        if job.is_removal() {
            self.lose(&engine, hash, fetch);
        } else if may_be_stored(&engine, hash) {
            // It may still be written later.
            self.lose(&engine, hash, fetch.saturating_sub(1));
        }
    }

    pub(super) fn work(&self, engine: &Engine, mut job: WriteTask) {
        let (now, (hash, fetch)) = ((self.clocks.monotonic)(), job.target(engine.seed()));
        if !job.is_removal() && self.removals.cover(hash, fetch) {
            // Its removal did not get a place behind it.
            count(&self.counters.dropped);
            return;
        }
        let Some(pass) = self.writing.pass(now) else {
            count(&self.counters.dropped);
            return self.give_up(&job);
        };
        if !job.is_removal() && !self.rate_allows(now) {
            count(&self.counters.held_back);
            job.response().into_iter().for_each(|response| self.unvary_for(engine, response));
            job = WriteTask::Remove { hash, fetch };
        }
        if job.is_removal() || may_be_stored(engine, hash) {
            // The process may end before it is over.
            self.removals.add(hash, if job.is_removal() { fetch } else { fetch.saturating_sub(1) });
        }
        let before = engine.written_bytes();
        let (operation, written) = match &job {
            WriteTask::Commit(write) => (DiskOperation::Commit, self.write(engine, write, false)),
            WriteTask::Freshen(write) => (DiskOperation::Freshen, self.write(engine, write, true)),
            WriteTask::Remove { .. } => (DiskOperation::Remove, engine.remove(hash, fetch, self.clocks.now())),
        };
        let elapsed = (self.clocks.monotonic)().saturating_duration_since(now);
        self.observing.tell(operation, written.as_ref().map(|_| ()).map_err(refused), elapsed);
        self.rate_spends(engine.written_bytes() - before);
        match written {
            Ok(()) => {
                pass.succeeded();
                self.works();
                self.removals.done(hash, fetch);
                if !job.is_removal() {
                    count(&self.counters.written);
                }
            }
            Err(error) => {
                count(&self.counters.dropped);
                self.give_up(&job);
                self.failed(&error);
                pass.failed((self.clocks.monotonic)());
            }
        }
    }

    fn write(&self, engine: &Engine, write: &Write, is_renewed: bool) -> io::Result<()> {
        let (response, now) = (&write.response, self.clocks.now());
        let (key, variant) = (response.key(), response.variant());
        let hash = hash_of(engine.seed(), &key, variant);
        let Some(position) = write.log_position else {
            // A later process could not judge it, and must not use an earlier one in its place.
            return engine.remove(hash, response.fetch, now);
        };
        let expires = now.saturating_add(u32::try_from(write.keep.as_secs()).unwrap_or(u32::MAX));
        if let Some(variant) = variant {
            engine.commit(self.selecting(engine, &key, variant, response.fetch, expires)?, now)?;
        }
        let (content, fetch) = (content(&self.options, hash, response), response.body_fetch());
        let body = if is_renewed { NewBody::Known { content, fetch } } else { NewBody::Whole { content, fetch } };
        let frame = sealed_head(self.options.keys.as_ref(), hash, encode(response, response.position.shared()))?;
        let entry = NewEntry { hash, fetch: response.fetch, expires, position: Some(position), frame, body };
        engine.commit(entry, now).map(drop)
    }

    /// The entry under the primary key that leads to variants.
    pub(super) fn selecting(&self, engine: &Engine, key: &PrimaryKey, variant: &Variant, fetch: u64, expires: u32) -> io::Result<NewEntry> {
        let hash = hash_of(engine.seed(), key, None);
        let frame = sealed_head(self.options.keys.as_ref(), hash, encode_selecting(key, &variant.spec))?;
        Ok(NewEntry { hash, fetch, expires, position: None, frame, body: NewBody::Selecting })
    }
}

/// A key that is stored already has been asked for often enough. While it is not known what is stored, an older response could be found later in the place
/// of one that is held back.
pub(super) fn may_be_stored(engine: &Engine, hash: u64) -> bool {
    engine.knows(hash) || !engine.is_restored()
}
