//! Answers of other replicas that can be read while they arrive there.

use larder_semantics::{Decision, decide};
use larder_store::{LeaseHolder, Relayed, Subject, Validity};

use super::look_up::{Looking, TierAnswer, TierResult};
use super::waiting::is_outdated;

/// What comes of such an answer.
pub(super) enum RelayResult {
    /// It ends the look-up.
    Ends(TierResult),
    /// It is of a fetch that is not to be waited for any more.
    Outdated(LeaseHolder),
}

impl Looking<'_> {
    /// Judges an answer by its head, as a follower judges its leader's.
    pub(super) fn judge_relayed(&mut self, number: usize, relayed: Relayed) -> RelayResult {
        let (cache, record, holder) = (self.cache, &relayed.record, relayed.holder);
        cache.saw_fetch(record.fetch());
        let about = Subject { url: self.request.key.url(), tags: record.tags().into() };
        let is_valid = cache.store.ledger().check(&about, record.position()) == Validity::Valid;
        if holder.silent || !is_valid || is_outdated(&holder, cache, self.rules, self.request) {
            return RelayResult::Outdated(holder);
        }
        let now = cache.clock.now();
        let head = Some(record.head()).filter(|head| cache.store.vouches_for(head, now));
        let decision = decide(&self.rules.policy, &self.request.context, head.map(|head| &**head), now);
        let is_of_use = record.fetch() > self.newer_than && matches!(decision, Decision::Serve { .. });
        RelayResult::Ends(match is_of_use {
            true => TierResult::Answered(TierAnswer::Relayed(relayed, self.promotion(number))),
            // Its end will be of no more use.
            false => TierResult::AskOrigin,
        })
    }
}
