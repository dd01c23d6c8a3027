//! Making stored responses old, here and on all replicas.

use std::time::Duration;

use larder_store::{AppliedBy, Invalidation, Position, Published, Subject, Validity};

use crate::cache::Cache;

/// Between two looks at how far other replicas are: the first, and the longest.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// What became of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalidated {
    /// Where it stands in this process's sequence.
    pub position: Position,
    /// What other replicas will learn of it; `None` where there are none.
    pub published: Option<Published>,
}

impl Cache {
    /// Makes everything old that an invalidation names. No request that starts here after it returns gets any of it, but for what a soft
    /// invalidation leaves to be served while it is refreshed; on other replicas once they have read it in the log.
    pub async fn invalidate(&self, invalidation: &Invalidation) -> Invalidated {
        let invalidation = self.widened(invalidation);
        let published = self.tell(&invalidation).await;
        Invalidated { position: self.store.ledger().apply(&invalidation, self.clock.now()), published }
    }

    /// How many replicas have applied an invalidation, once all that live have, or `wait` is over. `None`: the log cannot say.
    pub async fn applied(&self, invalidated: &Invalidated, wait: Duration) -> Option<AppliedBy> {
        let (remote, number) = match (&self.remote, invalidated.published) {
            (Some(remote), Some(Published::Logged(number))) => (remote, number),
            (Some(_), _) => return None,
            (None, _) => return Some(AppliedBy { applied: 1, replicas: 1 }),
        };
        let mut last = None;
        let everywhere = async {
            let mut pause = LOOK_AGAIN;
            loop {
                last = remote.log.applied_by(number).await;
                if last.is_some_and(|by| by.applied > 0 && by.applied >= by.replicas) {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_LOOK);
            }
        };
        // What was seen last is the answer either way.
        let _ = tokio::time::timeout(wait, everywhere).await;
        last
    }

    /// As [`Self::invalidate`], by a write whose own answer is to be stored as `kept`: the position for it, and whether nothing else
    /// invalidated that since `began`.
    pub(crate) async fn invalidate_since(&self, invalidation: &Invalidation, kept: &Subject<'_>, began: Position) -> (Position, bool) {
        let (ledger, invalidation) = (self.store.ledger(), self.widened(invalidation));
        let before = ledger.position();
        let untouched = ledger.check(kept, began) == Validity::Valid;
        let since = match self.tell(&invalidation).await {
            // This write's own entry may have been read back already; it is the only one since it was looked whether there are others.
            Some(Published::Logged(number)) if untouched && number == before.log_number() + 1 => Position::of_log(number),
            _ => began,
        };
        ledger.apply_since(&invalidation, self.clock.now(), kept, since)
    }

    /// Tells other replicas. To be followed by the invalidation here, which then comes after it in the log: what is stored with that
    /// position stays good when the log is read.
    async fn tell(&self, invalidation: &Invalidation) -> Option<Published> {
        match &self.remote {
            Some(remote) => Some(remote.log.publish(invalidation.clone()).await),
            None => None,
        }
    }
}
