//! A response on its way into the store, or past it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::Response;
use larder_semantics::storage::{refuses_the_request, supersedes};
use larder_semantics::{Reason, StoredHead, VarySpec};
use larder_store::{Lease, StoredBody, StoredResponse, Variant};
use tokio::sync::oneshot;

use super::pump::{Begun, Kept, Pump, begin};
use super::state::Job;
use crate::body::CacheBody;
use crate::body::live::{Live, LiveBody, LiveReader};
use crate::body::log::body_log;
use crate::cache::Cache;
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::rules::TagsInBody;
use crate::service::CacheService;
use crate::upstream::{Upstream, UpstreamBody, announced_length};

impl Job {
    /// For this client only. Everyone who waits is released at once; where this request was refused, one of them asks anew.
    pub(super) fn pass<B>(
        mut self,
        cache: &Cache,
        response: Response<B>,
        reason: Reason,
        remember: bool,
        reply: oneshot::Sender<Reply<B>>,
    ) {
        if remember {
            self.remember(cache, reason);
        }
        // A full answer means that what is stored no longer holds (RFC 9111 §4.3.3).
        if supersedes(&self.asked.context, reason, response.status()) {
            self.forget(cache);
        }
        let is_refused = refuses_the_request(response.status());
        let another_may_try = is_refused || response.status().is_server_error();
        self.lease.take().into_iter().for_each(if another_may_try { Lease::failed } else { Lease::not_shared });
        let outcome = if is_refused { FetchOutcome::Refused } else { FetchOutcome::NotShared };
        self.deliver(outcome, Own::Response { response: response.map(CacheBody::upstream), reason }, reply);
    }

    /// Streams the body to whoever reads, and into the store once it is proven complete. All that needs no waiting is done at once, since an
    /// `async fn` has room for its arguments and what they are taken apart into.
    pub(crate) fn store<S: Upstream, B: UpstreamBody>(
        mut self: Box<Self>,
        service: CacheService<S>,
        response: Response<B>,
        head: Arc<StoredHead>,
        vary: Option<VarySpec>,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) -> impl Future<Output = ()> + Send {
        let length = announced_length(&response);
        let variant = vary.map(|spec| Variant::of(spec, &self.asked.parts.headers));
        let more_tags = service.route.tags_in(response.headers()) != TagsInBody::None;
        let (tags, position) = (self.tags.clone(), self.position);
        let live = move |body| Arc::new(Live { head, variant, body, length, tags, more_tags, position });
        let (parts, body) = response.into_parts();
        async move {
            let mut body = pin!(body);
            let begun = match more_tags {
                false => poll_fn(|cx| Poll::Ready(begin(body.as_mut(), length, service.route.max_object, cx))).await,
                true => Begun::Unfinished(Poll::Pending),
            };
            let begun = match begun {
                Begun::Whole(body) => {
                    let live = live(LiveBody::Whole(body.clone()));
                    // Before anybody has the answer, so that a client that asks again at once finds it.
                    let (stored, lease) = (self.stored(&live, body.clone()), self.lease.take());
                    service.cache.commit(stored, lease).await;
                    self.deliver(FetchOutcome::Fetched(live), Own::Head { head: parts, reader: LiveReader::Whole(body) }, reply);
                    return;
                }
                Begun::Unfinished(begun) => begun,
            };
            self.head_is_there(&service.cache, length);
            let (writer, handle) = body_log(Arc::clone(&service.cache.in_flight));
            let live = live(LiveBody::Arriving(handle));
            let Some(reader) = live.body.reader() else { return };
            // The client's reader is there before any follower's, so that the first frame finds it.
            let landed = self.deliver(FetchOutcome::Fetched(Arc::clone(&live)), Own::Head { head: parts, reader }, reply);
            let pump = Pump { job: self, service, kept: Kept::Whole(live), writer, landed, length, given_up: None };
            Box::pin(pump.run(body, begun)).await;
        }
    }

    /// A response whose body is proven complete.
    pub(super) fn stored(&self, live: &Live, body: StoredBody) -> Arc<StoredResponse> {
        Arc::new(StoredResponse::new(&self.asked.key, live.variant.clone(), &live.head, body, &self.tags, self.position, self.fetch))
    }
}
