//! Sends a request once more for as long as its failure asks for that, and as it may.

use std::sync::Arc;

use larder_config::Retry;
use larder_tower::clock::monotonic;
use smallvec::{SmallVec, smallvec};

use super::spare::{Spare, Wish};
use crate::balance::server::Server;
use crate::exchange::body::Held;
use crate::exchange::deadline::HeadTimeout;
use crate::request::interim::InterimSink;
use crate::upstream::{Answer, Upstream};

/// What has been tried for one request.
struct Tries {
    servers: SmallVec<[Arc<Server>; 4]>,
    /// Times that it was sent to another server because it never was to the one before.
    moved: u32,
    /// Times that it was sent again.
    repeated: u32,
}

/// Where the first try, with `server`, has come to nothing: the answer of another, or else of the last one; and whose it is.
pub(crate) async fn again(
    upstream: &Upstream,
    (retry, mut spare): (&Retry, Spare),
    (server, mut answer): (Arc<Server>, Answer),
    held: &mut Held,
    (interim, timeout): (&InterimSink, HeadTimeout),
) -> (Arc<Server>, Answer) {
    let mut tries = Tries { servers: smallvec![Arc::clone(&server)], moved: 0, repeated: 0 };
    let mut answered_by = server;
    while tries.may_go_on(spare.wish(retry, &answer), retry, upstream) {
        let server = upstream.pick(&spare.parts, spare.client.as_ref(), &tries.servers);
        let Some((outgoing, progress)) = spare.outgoing(&server) else { break };
        upstream.stats.retried();
        held.is_with(&server.standing.stats);
        let next = upstream.ask(&server, outgoing, (interim, progress), timeout).await;
        // A server's own words are better than none.
        if next.is_err() && answer.is_ok() {
            break;
        }
        answer = next;
        answered_by = Arc::clone(&server);
        tries.servers.push(server);
    }
    (answered_by, answer)
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
