//! Several directories as one store: each key has one of them, by its hash and their capacities.
//!
//! 1. All are opened, each by its own thread, and it is decided what of them may be used (`set`).
//! 2. [`DiskArray`] hands each look-up and each write to the directory of its key. A directory that fails costs the keys that it has, and no others.
//! 3. What is written or removed there is dropped in the others, which may have it from when the directories were others.
//!
//! Where no Redis keeps the log of invalidations, one of the directories does, for all of them.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_disk_options::DiskOptions;
use larder_semantics::PrimaryKey;
use larder_store::codec::ResponseRecord;
use larder_store::{
    InvalidationLog, Ledger, LoadRequest, Loaded, LogPosition, NewRemoteBody, RemoteBody, RemoteBodyWriter, RemoteError, RemoteStore,
    StoreFuture, StoredResponse, Variant, Write,
};

use crate::clocks::Clocks;
use crate::log::{LocalLog, Shared};
use crate::observer::DiskObserver;
use crate::set::plan;
use crate::set::round::Round;
use crate::stats::{DirectoryStats, DiskStats};
use crate::tier::{DiskStore, Ending, GivenUp};

/// One directory or several as the tier behind the memory.
#[derive(Clone, Debug)]
pub struct DiskArray {
    /// In the order in which they are configured; one at least.
    stores: Arc<[DiskStore]>,
    log: Option<Arc<LocalLog>>,
    /// Where there are several.
    round: Option<Arc<Round>>,
}

impl DiskArray {
    /// Starts the tier, as [`DiskStore::start`] does for one directory.
    pub fn start(
        options: &DiskOptions,
        clocks: Clocks,
        ledger: &Arc<Ledger>,
        keeps_log: bool,
        observer: Option<&Arc<dyn DiskObserver>>,
    ) -> io::Result<Self> {
        let directories = options.directories();
        let log = keeps_log.then(|| Arc::new(LocalLog::new(Arc::clone(ledger))));
        let round = (directories.len() > 1).then(|| Arc::new(Round::new(directories.len())));
        let start = |(number, options): (usize, DiskOptions)| {
            let place = round.as_ref().map(|round| (Arc::clone(round), number));
            DiskStore::start_in(options, clocks, Arc::clone(ledger), log.clone(), observer.cloned(), place)
        };
        let stores = directories.into_iter().enumerate().map(start).collect::<io::Result<_>>()?;
        Ok(Self { stores, log, round })
    }

    /// The log of invalidations, if it keeps one.
    pub fn log(&self) -> Option<Arc<dyn InvalidationLog>> {
        self.log.clone().map(|log| Arc::new(Shared(log)) as _)
    }

    /// Waits until everything that an earlier process left can be found, at most so long; `false` if it cannot be by then.
    pub async fn usable(&self, time_limit: Duration) -> bool {
        let all = async {
            for store in &*self.stores {
                store.usable(time_limit).await;
            }
        };
        let _ = tokio::time::timeout(time_limit, all).await;
        self.stores.iter().all(|store| store.stats().is_ready)
    }

    /// As [`DiskStore::close`].
    pub async fn close(&self, time_limit: Duration) -> usize {
        self.give_up(time_limit, false).await
    }

    /// As [`DiskStore::hand_over`].
    pub async fn hand_over(&self, time_limit: Duration) -> usize {
        self.give_up(time_limit, true).await
    }

    /// The directory with the log comes last: the log says of all of them whether they are on their disks.
    async fn give_up(&self, time_limit: Duration, hands_over: bool) -> usize {
        let (keepers, others): (Vec<_>, Vec<_>) = self.stores.iter().cloned().partition(DiskStore::has_log);
        let others = give_up(others, time_limit, Ending::of(hands_over, true)).await;
        let keepers = give_up(keepers, time_limit, Ending::of(hands_over, others.is_stored)).await;
        others.left + keepers.left
    }

    /// Why a directory does not work now, in words for people.
    pub fn problem(&self) -> Option<String> {
        self.stores.iter().find_map(DiskStore::problem)
    }

    /// Figures of all directories together.
    pub fn stats(&self) -> DiskStats {
        // There is one at least.
        self.stores[1..].iter().fold(self.stores[0].stats(), |all, one| all.with(&one.stats()))
    }

    /// Each directory with its own figures, and why it does not work now, where there are several; in the order of the configuration.
    pub fn directories(&self) -> Vec<DirectoryStats> {
        let own = |store: &DiskStore| DirectoryStats { path: store.path().to_owned(), stats: store.stats(), problem: store.problem() };
        self.stores.iter().filter(|_| self.round.is_some()).map(own).collect()
    }

    /// The directory of a key. `None`: it is not known which can be used, or none can.
    fn of(&self, key: &PrimaryKey) -> Option<&DiskStore> {
        self.number_of(key).map(|number| &self.stores[number])
    }

    /// The number of that directory.
    fn number_of(&self, key: &PrimaryKey) -> Option<usize> {
        let Some(round) = &self.round else { return Some(0) };
        let hash = xxhash_rust::xxh3::xxh3_64(key.text().as_bytes());
        let usable: Vec<(u64, usize)> = round.ids()?.into_iter().enumerate().filter_map(|(number, id)| Some((id?, number))).collect();
        plan::place(hash, usable.iter().map(|(id, number)| (*id, self.stores[*number].capacity()))).map(|at| usable[at].1)
    }

    /// Drops what directories other than a key's `own` have of it, up to this fetch: they had the key while the directories, or their capacities, were
    /// others, and what they have would be found again once they are the same as then. `None`: any of them may be its own.
    fn drop_in_others(&self, own: Option<usize>, key: &PrimaryKey, variant: Option<&Variant>, fetch: u64) {
        let Some(round) = &self.round else { return };
        let ids = round.ids();
        // One that comes later begins empty.
        let is_used = |number: usize| ids.as_ref().is_none_or(|ids| ids[number].is_some());
        let others = self.stores.iter().enumerate().filter(|(number, _)| Some(*number) != own && is_used(*number));
        others.for_each(|(_, store)| store.drop_earlier(key, variant, fetch));
    }

    /// The directory of a response that is stored now. No other one has an earlier one in its place from here on.
    fn taking(&self, response: &StoredResponse) -> Option<&DiskStore> {
        let key = response.key();
        let own = self.number_of(&key);
        self.drop_in_others(own, &key, response.variant(), response.fetch.saturating_sub(1));
        own.map(|own| &self.stores[own])
    }
}

/// All of them at the same time.
async fn give_up(stores: Vec<DiskStore>, time_limit: Duration, ending: Ending) -> GivenUp {
    let tasks = stores.into_iter().map(|store| tokio::spawn(async move { store.give_up(time_limit, ending).await }));
    let mut all = GivenUp { left: 0, is_stored: true };
    for task in tasks.collect::<Vec<_>>() {
        let one = task.await.unwrap_or(GivenUp { left: 0, is_stored: false });
        all = GivenUp { left: all.left + one.left, is_stored: all.is_stored && one.is_stored };
    }
    all
}

/// A body that arrives in one of several directories.
struct ArrayBodyWriter {
    writer: Box<dyn RemoteBodyWriter>,
    array: DiskArray,
    /// The number of the directory.
    own: usize,
}

impl RemoteBodyWriter for ArrayBodyWriter {
    fn body(&self) -> Arc<dyn RemoteBody> {
        self.writer.body()
    }

    fn write(&mut self, segment: Bytes) -> StoreFuture<'_, Result<(), RemoteError>> {
        self.writer.write(segment)
    }

    fn commit(
        self: Box<Self>,
        record: ResponseRecord,
        keep: Duration,
        log_position: LogPosition,
    ) -> StoreFuture<'static, Result<(), RemoteError>> {
        self.array.drop_in_others(Some(self.own), record.key(), record.variant(), record.fetch().saturating_sub(1));
        self.writer.commit(record, keep, log_position)
    }
}

impl RemoteStore for DiskArray {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        match self.of(ask.key) {
            Some(store) => store.load(ask),
            None => Box::pin(std::future::ready(Ok(Loaded::Nothing(None)))),
        }
    }

    fn commit(&self, write: Write) -> StoreFuture<'_, ()> {
        match self.taking(&write.response) {
            Some(store) => store.commit(write),
            None => Box::pin(std::future::ready(())),
        }
    }

    fn begin_body(&self, new: NewRemoteBody<'_>) -> Option<Box<dyn RemoteBodyWriter>> {
        let own = self.number_of(new.key)?;
        let writer = self.stores[own].begin_body(new)?;
        Some(if self.round.is_some() { Box::new(ArrayBodyWriter { writer, array: self.clone(), own }) } else { writer })
    }

    fn freshen(&self, write: Write) -> StoreFuture<'_, ()> {
        match self.taking(&write.response) {
            Some(store) => store.freshen(write),
            None => Box::pin(std::future::ready(())),
        }
    }

    fn remove(&self, response: &StoredResponse) {
        let key = response.key();
        let own = self.number_of(&key);
        self.drop_in_others(own, &key, response.variant(), response.fetch);
        if let Some(own) = own {
            self.stores[own].remove(response);
        }
    }

    fn repacked(&self, before: &Arc<StoredResponse>, now: &Arc<StoredResponse>) {
        if let Some(store) = self.of(&now.key()) {
            store.repacked(before, now);
        }
    }

    fn forget_after_restart(&self, up_to: Option<LogPosition>) -> StoreFuture<'_, ()> {
        let stores = self.stores.iter().cloned();
        let told = stores.map(|store| tokio::spawn(async move { store.forget_after_restart(up_to).await }));
        let told: Vec<_> = told.collect();
        Box::pin(async move {
            for told in told {
                let _ = told.await;
            }
        })
    }

    fn takes(&self, length: u64) -> bool {
        self.stores.iter().any(|store| store.takes(length))
    }
}
