//! Sends a request once more for as long as its failure asks for that, and as it may; and has each time observed.

use std::sync::Arc;

use http::Response;
use larder_config::Retry;
use larder_tower::SentBefore;
use larder_tower::clock::monotonic;
use smallvec::{SmallVec, smallvec};

use super::spare::{Spare, Wish};
use crate::balance::server::Server;
use crate::connect::with_connect_times;
use crate::error::UpstreamError;
use crate::exchange::body::Held;
use crate::observe::{ExchangeObserver, ExchangeReport};
use crate::request::interim::InterimSink;
use crate::request::pace::HeadTimeout;
use crate::upstream::{Answer, Upstream};

/// What has been tried for one request.
struct Tries {
    servers: SmallVec<[Arc<Server>; 4]>,
    /// Times that it was sent to another server because it never was to the one before.
    moved: u32,
    /// Times that it was sent again.
    repeated: u32,
}

/// The answer of the first try, with `server`; or of another, where that has come to nothing.
pub(crate) async fn again(
    upstream: &Upstream,
    (retry, mut spare): (&Retry, Spare),
    (server, mut answer): (Arc<Server>, Answer),
    held: &mut Held,
    (interim, timeout): (&InterimSink, HeadTimeout),
    observer: Option<&dyn ExchangeObserver>,
) -> Answer {
    let mut tries = Tries { servers: smallvec![server], moved: 0, repeated: 0 };
    let mut wish = spare.wish(retry, &answer);
    let mut is_perhaps_done = false;
    while tries.may_go_on(wish, retry, upstream) {
        let server = upstream.pick(&spare.parts, spare.client.as_ref(), &tries.servers);
        if let Some(observer) = observer {
            observer.begins(&mut spare.parts.headers);
        }
        let Some((outgoing, progress)) = spare.outgoing(&server) else { break };
        upstream.stats.retried();
        held.is_with(&server.standing.stats);
        let asking = upstream.ask(&server, outgoing, (interim, progress), timeout);
        let next = match observer {
            None => asking.await,
            Some(observer) => observed(observer, (&server, tries.moved + tries.repeated), asking).await,
        };
        is_perhaps_done |= may_have_arrived(&answer) || may_have_arrived(&next);
        // A server's own words are better than none.
        if next.is_err() && answer.is_ok() {
            // The exchange goes on with the one before.
            if let Some(kept) = tries.servers.last() {
                held.is_with(&kept.standing.stats);
            }
            break;
        }
        wish = spare.wish(retry, &next);
        tries.servers.push(server);
        // A write that an earlier server may have carried out is not one that never arrived.
        if !(may_have_arrived(&answer) && never_arrived(&next)) {
            answer = next;
        }
    }
    if is_perhaps_done
        && !spare.parts.method.is_safe()
        && let Ok(response) = &mut answer
    {
        response.extensions_mut().insert(SentBefore);
    }
    answer
}

fn never_arrived(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(UpstreamError::never_connected)
}

/// Whether an origin may have received it, and has not answered.
fn may_have_arrived(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|error| !error.never_connected())
}

/// Has one try of a request observed, up to the head of its response.
pub(crate) async fn observed(
    observer: &dyn ExchangeObserver,
    (server, resends): (&Server, u32),
    asking: impl Future<Output = Answer>,
) -> Answer {
    let began = monotonic();
    let (answer, connect) = with_connect_times(asking).await;
    let outcome = answer.as_ref().map(Response::status).map_err(UpstreamError::token);
    observer.ended(&ExchangeReport { server: &server.standing.label, resends, times: (began, monotonic()), connect, outcome });
    answer
}

impl Tries {
    fn may_go_on(&mut self, wish: Wish, retry: &Retry, upstream: &Upstream) -> bool {
        match wish {
            Wish::Nothing => false,
            Wish::Unsent => {
                self.moved += 1;
                self.moved <= retry.max || upstream.servers.load().has_untried(&self.servers)
            }
            Wish::Again if self.repeated == retry.max => false,
            Wish::Again => {
                self.repeated += 1;
                let may = upstream.budget.as_ref().is_some_and(|budget| budget.withdraw(monotonic()));
                if !may {
                    upstream.stats.retry_refused();
                }
                may
            }
        }
    }
}
