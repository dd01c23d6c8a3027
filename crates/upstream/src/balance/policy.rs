//! The rules by which one of several servers is picked, on the servers that may be asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::draw::Draw;
use super::hash::distance;
use super::server::Server;

/// A server that may be asked, and its share now.
pub(super) struct Candidate<'a> {
    pub(super) server: &'a Arc<Server>,
    pub(super) share: f64,
    /// Its place among all servers.
    pub(super) place: usize,
}

/// Differences in time below this are not worth a worse distribution.
const SMALL: Duration = Duration::from_millis(1);

/// The second choice is taken where it is better by this factor: less is noise.
const CLEARLY: f64 = 0.75;

/// With a key, a server takes at most so many times its share of the requests under way (Mirrokni and others, 2016).
const BOUND: f64 = 1.25;

impl Candidate<'_> {
    /// Requests under way, compared with what its share is.
    fn busy(&self) -> f64 {
        self.server.in_flight() / self.share
    }

    /// How long a further request is likely to take there.
    fn cost(&self, now: Instant) -> f64 {
        (self.server.standing.latency.expected(now) + SMALL.as_secs_f64()) * (self.busy() + 1.0)
    }
}

/// One of them, drawn by share.
fn drawn<'a, 'b>(candidates: &'b [Candidate<'a>], draw: &Draw, but: Option<usize>) -> Option<&'b Candidate<'a>> {
    let open = || candidates.iter().filter(move |candidate| Some(candidate.place) != but);
    let total: f64 = open().map(|candidate| candidate.share).sum();
    let mut left = draw.unit() * total;
    let chosen = open().find(|candidate| {
        left -= candidate.share;
        left < 0.0
    });
    chosen.or_else(|| open().next_back())
}

/// Peak EWMA over two random choices: the first is drawn by share, so that servers of the same speed get exactly their shares, and a second
/// one stands in for it where it is clearly faster or less busy.
pub(super) fn least_time<'a, 'b>(candidates: &'b [Candidate<'a>], draw: &Draw, now: Instant) -> Option<&'b Candidate<'a>> {
    let first = drawn(candidates, draw, None)?;
    let Some(second) = drawn(candidates, draw, Some(first.place)) else { return Some(first) };
    Some(if second.cost(now) < first.cost(now) * CLEARLY { second } else { first })
}

/// The one with the fewest requests under way for its share; where several have as few, one of them by share.
pub(super) fn least_requests<'a, 'b>(candidates: &'b [Candidate<'a>], draw: &Draw) -> Option<&'b Candidate<'a>> {
    let first = drawn(candidates, draw, None)?;
    Some(candidates.iter().fold(first, |best, candidate| if candidate.busy() < best.busy() { candidate } else { best }))
}

/// Smooth weighted round-robin, as in nginx: `turns` has what each server is owed.
pub(super) fn round_robin<'a, 'b>(candidates: &'b [Candidate<'a>], turns: &mut [f64]) -> Option<&'b Candidate<'a>> {
    let mut total = 0.0;
    for candidate in candidates {
        total += candidate.share;
        *turns.get_mut(candidate.place)? += candidate.share;
    }
    let owed = |candidate: &Candidate<'_>| turns.get(candidate.place).copied().unwrap_or_default();
    // The first of equals, so that the order is that of the file.
    let chosen = candidates.iter().reduce(|best, candidate| if owed(candidate) > owed(best) { candidate } else { best })?;
    *turns.get_mut(chosen.place)? -= total;
    Some(chosen)
}

/// The nearest server that has not much more to do than its share.
pub(super) fn nearest<'a, 'b>(candidates: &'b [Candidate<'a>], key: u64) -> Option<&'b Candidate<'a>> {
    let total: f64 = candidates.iter().map(|candidate| candidate.share).sum();
    let in_flight: f64 = candidates.iter().map(|candidate| candidate.server.in_flight()).sum();
    let has_room = |candidate: &&Candidate<'_>| {
        let bound = ((in_flight + 1.0) * BOUND * candidate.share / total).ceil();
        candidate.server.in_flight() < bound
    };
    let far = |candidate: &Candidate<'_>| distance(key, candidate.server.hash, candidate.share);
    let open = candidates.iter().filter(has_room);
    open.min_by(|one, other| far(one).total_cmp(&far(other))).or(candidates.first())
}
