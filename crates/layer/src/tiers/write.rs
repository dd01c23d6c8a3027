//! Writes to all tiers: the memory at once, and behind it whatever else there is.

use std::sync::Arc;
use std::time::Duration;

use larder_semantics::storage::refuses_the_request;
use larder_semantics::{StoredHead, Timestamp};
use larder_store::codec::ResponseRecord;
use larder_store::{
    Lease, LogPosition, NewRemoteBody, RemoteBodyWriter, RemoteStore, StoreFuture, StoredBody, StoredResponse, Subject, Validity, Write,
};

use super::chain::{Tier, count};
use super::concurrent::{all, within};
use super::look_up::Promotion;
use crate::cache::Cache;
use crate::rules::TierChoice;
use crate::task::detached::detach;

/// How long a response with a validator is kept past its use, for 304s to renew it.
const FOR_VALIDATION: u32 = 3600;

/// A response to be written, with what is known of it from before it was put into memory.
struct Writing {
    response: Arc<StoredResponse>,
    lease: Option<Lease>,
    log_position: Option<LogPosition>,
}

/// A way to write to a tier.
type Operation = for<'a> fn(&'a (dyn RemoteStore + 'static), Write) -> StoreFuture<'a, ()>;

impl Cache {
    /// Takes a response that a tier had into memory. `false`: it was invalidated since.
    pub(crate) fn promote(&self, stored: &Arc<StoredResponse>) -> bool {
        self.saw_fetch(stored.fetch);
        let valid = stored.is_valid(self.store.ledger());
        if valid {
            self.keep(stored);
        }
        valid
    }

    /// Gives a response that a tier had to those before it.
    pub(crate) async fn promote_to_nearer(&self, response: Arc<StoredResponse>, Promotion { tier, lease }: Promotion, choice: &TierChoice) {
        let nearer = &self.tiers[..tier];
        if nearer.is_empty() {
            return;
        }
        let log_position = self.log_position(&response);
        if response.is_valid(self.store.ledger()) {
            nearer.iter().filter(|tier| choice.has(tier.store.name())).for_each(|tier| count(&tier.counters.promotions));
            self.write(nearer, choice, Writing { response, lease, log_position }, <dyn RemoteStore>::promote).await;
        }
    }

    /// Stores a response in all tiers that are chosen. Whether it is in memory.
    pub(crate) async fn commit(&self, response: Arc<StoredResponse>, lease: Option<Lease>, choice: &TierChoice) -> bool {
        let log_position = self.log_position(&response);
        // A response that was invalidated meanwhile is of no use to other replicas either.
        let stored = self.keep(&response);
        self.settle();
        if stored && !self.tiers.is_empty() {
            self.write(&self.tiers, choice, Writing { response, lease, log_position }, <dyn RemoteStore>::commit).await;
        }
        stored
    }

    /// Stores a response whose head was renewed.
    pub(crate) async fn freshen(&self, response: Arc<StoredResponse>, lease: Option<Lease>, choice: &TierChoice) {
        let log_position = self.log_position(&response);
        if self.keep(&response) && !self.tiers.is_empty() {
            self.write(&self.tiers, choice, Writing { response, lease, log_position }, <dyn RemoteStore>::freshen).await;
        }
    }

    /// As [`Self::freshen`], without waiting for other tiers than the memory.
    pub(crate) fn freshen_soon(self: &Arc<Self>, response: Arc<StoredResponse>, choice: &TierChoice) {
        let log_position = self.log_position(&response);
        if self.keep(&response) && !self.tiers.is_empty() {
            let (cache, choice) = (Arc::clone(self), choice.clone());
            let writing = Writing { response, lease: None, log_position };
            detach(async move { cache.write(&cache.tiers, &choice, writing, <dyn RemoteStore>::freshen).await });
        }
    }

    /// The nearest of the chosen tiers that takes a body while it arrives.
    pub(crate) fn begin_body(&self, new: NewRemoteBody<'_>, choice: &TierChoice) -> Option<Box<dyn RemoteBodyWriter>> {
        self.tiers.iter().filter(|tier| choice.has(tier.store.name())).find_map(|tier| tier.store.begin_body(new))
    }

    /// Stores a response whose body a tier has taken, and leaves no earlier one in the others. Whether it has.
    pub(crate) async fn commit_body(&self, writer: Box<dyn RemoteBodyWriter>, record: ResponseRecord) -> bool {
        let ledger = self.store.ledger();
        // First, as where the memory takes a response: the ledger keeps every later invalidation for as long as this one may be served.
        ledger.concern(record.head().usable_for());
        // As in `log_position`: before the comparison.
        let Some(log_position) = ledger.log_position(record.position()) else { return false };
        let about = Subject { url: record.key().url(), tags: record.tags().into() };
        let is_valid = ledger.check(&about, record.position()) == Validity::Valid;
        let keep = useful_for(record.head(), self.clock.now()).filter(|_| is_valid && !refuses_the_request(record.head().status));
        let Some(keep) = keep else { return false };
        let without_body = record.with_body(StoredBody::default());
        let stored = writer.commit(record, keep, log_position).await.is_ok();
        if stored {
            self.tiers.iter().for_each(|tier| tier.store.outdate(&without_body));
        }
        stored
    }

    /// Drops a response that its origin no longer stands for from all tiers.
    pub(crate) fn remove(&self, response: &StoredResponse) {
        self.store.remove(response);
        self.tiers.iter().for_each(|tier| tier.store.remove(response));
    }

    /// Has to be known before the response is compared with the ledger: an invalidation that comes after the comparison, and that is to be
    /// forgotten with the process ([`RemoteStore::forget_after_restart`]), finds it then.
    fn log_position(&self, response: &StoredResponse) -> Option<LogPosition> {
        if self.tiers.is_empty() { None } else { self.store.ledger().log_position(response.position) }
    }

    /// Writes to those of the tiers that are chosen. The lease goes to the tier that granted it.
    fn write<'a>(&self, tiers: &'a [Tier], choice: &TierChoice, writing: Writing, operation: Operation) -> StoreFuture<'a, ()> {
        let Writing { response, mut lease, log_position } = writing;
        // A refusal of one request is not written for other replicas: it might replace a good response there.
        let is_for_others = !refuses_the_request(response.head.status) && !self.store.ledger().ran_over(response.position);
        let keep = useful_for(&response.head, self.clock.now()).filter(|_| is_for_others);
        let Some(keep) = keep else {
            lease.into_iter().for_each(Lease::not_shared);
            return Box::pin(std::future::ready(()));
        };
        let write_to = |(number, tier): (usize, &'a Tier)| -> StoreFuture<'a, ()> {
            let lease = lease.take_if(|lease| lease.tier() == number);
            let written = operation(&*tier.store, Write { response: Arc::clone(&response), keep, lease, log_position });
            match tier.store.deadline() {
                None => written,
                deadline => Box::pin(async move { _ = within(deadline, written).await }),
            }
        };
        let chosen = tiers.iter().enumerate().filter(|(_, tier)| choice.has(tier.store.name()));
        let mut operations: Vec<_> = chosen.map(write_to).collect();
        if operations.len() == 1 { operations.remove(0) } else { Box::pin(all(operations)) }
    }
}

/// Tells all tiers that an invalidation will be forgotten with this process.
pub(crate) async fn forget_after_restart(tiers: &[Tier], up_to: Option<LogPosition>) {
    all(tiers.iter().map(|tier| tier.store.forget_after_restart(up_to)).collect()).await;
}

/// How long a response can be of any use: while it is fresh, while it may be served stale, and while it may be validated.
fn useful_for(head: &StoredHead, now: Timestamp) -> Option<Duration> {
    let validation = if head.has_validator() { FOR_VALIDATION } else { 0 };
    let stale = head.stale_while_revalidate.max(head.stale_if_error).max(validation);
    let end = u64::from(head.lifetime.seconds) + u64::from(stale);
    let left = end.saturating_sub(u64::from(head.age(now)));
    (left > 0).then(|| Duration::from_secs(left))
}
