//! Making stored responses old, here and on all replicas.

use std::sync::Arc;
use std::time::Duration;

use larder_store::{AppliedBy, Invalidation, InvalidationLog, Position, Published, StoreFuture, Subject, Validity};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::cache::Cache;
use crate::task::detached::DetachedTask;
use crate::tiers::write::forget_after_restart;

/// Shortest and longest pause between two looks at how far other replicas are.
const MIN_LOOK_PAUSE: Duration = Duration::from_millis(2);
const MAX_LOOK_PAUSE: Duration = Duration::from_millis(50);

/// How long writes that are given up may take to publish what they invalidate.
const LAST_PUBLICATIONS: Duration = Duration::from_secs(2);

/// The result of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidated {
    /// Where it stands in this process's sequence.
    pub position: Position,
    /// How other replicas learn of it; `None` where there are none.
    pub published: Option<Published>,
}

/// Tells those who watch purges of one, when it is dropped: once other replicas can know of it, or nobody waits for that any more. What is
/// fetched earlier may be made old by the entry of the log, which is applied here too.
struct TellsOfPurge<'c>(&'c Cache);

impl Drop for TellsOfPurge<'_> {
    fn drop(&mut self) {
        self.0.purged();
    }
}

impl Cache {
    /// Makes everything old that an invalidation names. No request that starts here after its first step gets any of it, but for what a soft
    /// invalidation leaves to be served while it is refreshed; on other replicas once they have read it in the log. It is
    /// published even if the caller stops waiting.
    pub async fn invalidate(&self, invalidation: &Invalidation) -> Invalidated {
        let invalidated = self.apply(invalidation);
        let _tells = TellsOfPurge(self);
        invalidated.await
    }

    /// Applied when this returns; what is left is to tell others.
    fn apply(&self, invalidation: &Invalidation) -> impl Future<Output = Invalidated> {
        let invalidation = self.widened(invalidation);
        let position = self.store.ledger().apply(&invalidation, self.clock.now());
        self.tell_of_folds();
        async move { Invalidated { position, published: self.tell(&invalidation).await } }
    }

    /// As [`Self::invalidate`], by a write: its answer waits for other replicas where that is asked for.
    pub(crate) async fn invalidate_by_write(&self, invalidation: &Invalidation) {
        let invalidated = self.apply(invalidation).await;
        self.wait_for_others(&invalidated).await;
    }

    /// As [`Self::invalidate`], of a message that every replica receives at the same time and carries out by itself: the log needs it once,
    /// for replicas that missed it. `messages` identify it.
    pub async fn invalidate_received(&self, invalidation: &Invalidation, messages: Vec<u64>) {
        let invalidation = self.widened(invalidation);
        self.store.ledger().apply(&invalidation, self.clock.now());
        self.tell_of_folds();
        let _tells = TellsOfPurge(self);
        let invalidation = invalidation.into_owned();
        self.publish(|log| log.publish_once(invalidation, messages)).await;
    }

    /// How many replicas have applied an invalidation, once all that live have, or `wait` is over. `None`: the log cannot say.
    pub async fn applied(&self, invalidated: &Invalidated, wait: Duration) -> Option<AppliedBy> {
        let (log, number) = match (&self.log, invalidated.published) {
            (Some(log), Some(Published::Logged(number))) => (log, number),
            (Some(log), _) if log.is_shared() => return None,
            (_, _) => return Some(AppliedBy { applied: 1, replicas: 1, unknown: 0 }),
        };
        // It can say at once how far they are, however short the wait is.
        let mut last = log.applied_by(number).await;
        let everywhere = async {
            let mut pause = MIN_LOOK_PAUSE;
            while !last.is_some_and(AppliedBy::is_everyone) {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_LOOK_PAUSE);
                last = log.applied_by(number).await;
            }
        };
        // The last figures are the answer either way.
        let _ = timeout(wait, everywhere).await;
        last
    }

    /// As [`Self::invalidate_by_write`], by a write whose own answer is to be stored as `kept`: the position for it, and whether nothing else
    /// invalidated that since `began`.
    pub(crate) async fn invalidate_since(&self, invalidation: &Invalidation, kept: &Subject<'_>, began: Position) -> (Position, bool) {
        let (ledger, invalidation) = (self.store.ledger(), self.widened(invalidation));
        let (position, untouched) = ledger.apply_since(&invalidation, self.clock.now(), kept, began);
        self.tell_of_folds();
        let invalidated = Invalidated { position, published: self.tell(&invalidation).await };
        let position = match invalidated.published {
            Some(Published::Logged(number)) => ledger.read_back(position, number),
            _ => position,
        };
        self.wait_for_others(&invalidated).await;
        (position, untouched && ledger.check(kept, position) == Validity::Valid)
    }

    /// Publishes it to other replicas, even if the caller stops waiting. This one has applied the invalidation before, and applies it once more
    /// when it reads it in the log: what it fetched between the two is lost, and what others stored since they read it is good.
    async fn tell(&self, invalidation: &Invalidation) -> Option<Published> {
        let invalidation = invalidation.clone();
        self.publish(|log| log.publish(invalidation)).await
    }

    /// Publishes an invalidation that was applied here. Where nothing that outlives this process has it, tiers that do must not bring back what
    /// they have now.
    async fn publish(
        &self,
        publish: impl for<'l> FnOnce(&'l dyn InvalidationLog) -> StoreFuture<'l, Published> + Send + 'static,
    ) -> Option<Published> {
        if self.log.is_none() && self.tiers.is_empty() {
            return None;
        }
        let (log, tiers, up_to) =
            (self.log.clone(), Arc::clone(&self.tiers), self.store.ledger().log_position(self.store.ledger().position()));
        let (report, answer) = oneshot::channel();
        let unfinished = self.unfinished.begin();
        let telling = DetachedTask::new(async move {
            let published = match &log {
                Some(log) => Some(publish(&**log).await),
                None => None,
            };
            let outlives = match published {
                Some(Published::Logged(_)) => true,
                Some(Published::Kept) => log.is_some_and(|log| log.outlives_process()),
                Some(Published::Unwritten) | None => false,
            };
            if !outlives {
                forget_after_restart(&tiers, up_to).await;
            }
            let _ = report.send(published);
            drop(unfinished);
        });
        telling.run_until(answer).await.ok().flatten()
    }

    /// To be awaited before a process ends, once it takes no more requests: until every write has been answered and what it invalidates is
    /// published, also where its client has left. After `within` no answer is waited for any longer. Whether those writes took place is then
    /// unknown, so what they would invalidate without an answer is published. Returns how many writes and publications were under way then.
    ///
    /// A write that begins later is sent, and ends at once in the same way.
    pub async fn finish_writes(&self, within: Duration) -> usize {
        let unfinished = &self.unfinished;
        if timeout(within, unfinished.ended()).await.is_ok() {
            return 0;
        }
        let count = unfinished.count();
        unfinished.give_up();
        // A log that does not answer must not hold up the end.
        let _ = timeout(LAST_PUBLICATIONS, unfinished.ended()).await;
        count
    }

    async fn wait_for_others(&self, invalidated: &Invalidated) {
        let wait = self.write_wait();
        if !wait.is_zero() && matches!(invalidated.published, Some(Published::Logged(_))) {
            // A replica that has not applied it by then does so later.
            tokio::select! {
                _ = self.applied(invalidated, wait) => {}
                () = self.unfinished.given_up() => {}
            }
        }
    }
}
