//! Several directories as one store: each key has one of them, by its hash and their capacities.
//!
//! 1. All are opened, each by its own thread, and it is decided what of them may be used (`set`).
//! 2. [`DiskArray`] hands each look-up and each write to the directory of its key. A directory that fails costs the keys that it has, and no others.
//!
//! Where no Redis keeps the log of invalidations, one of the directories does, for all of them.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use larder_disk_options::DiskOptions;
use larder_semantics::PrimaryKey;
use larder_store::{
    InvalidationLog, Ledger, LoadRequest, Loaded, LogPosition, NewRemoteBody, RemoteBodyWriter, RemoteError, RemoteStore, StoreFuture,
    StoredResponse, Write,
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
        let Some(round) = &self.round else { return self.stores.first() };
        let hash = xxhash_rust::xxh3::xxh3_64(key.text().as_bytes());
        let usable: Vec<(u64, &DiskStore)> =
            round.ids()?.into_iter().zip(&*self.stores).filter_map(|(id, store)| Some((id?, store))).collect();
        plan::place(hash, usable.iter().map(|(id, store)| (*id, store.capacity()))).map(|at| usable[at].1)
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
        match self.of(&write.response.key()) {
            Some(store) => store.commit(write),
            None => Box::pin(std::future::ready(())),
        }
    }

    fn begin_body(&self, new: NewRemoteBody<'_>) -> Option<Box<dyn RemoteBodyWriter>> {
        self.of(new.key)?.begin_body(new)
    }

    fn freshen(&self, write: Write) -> StoreFuture<'_, ()> {
        match self.of(&write.response.key()) {
            Some(store) => store.freshen(write),
            None => Box::pin(std::future::ready(())),
        }
    }

    fn remove(&self, response: &StoredResponse) {
        if let Some(store) = self.of(&response.key()) {
            store.remove(response);
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
