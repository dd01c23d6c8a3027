//! Shadow mode: what would be served from the cache is compared with the answer that a client gets from the origin.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Empty;
use larder_semantics::range::ContentRange;
use larder_tower::{CacheBody, CacheService, EffectiveTarget, Verdict};

use super::answer::{Answer, MAX_BODY};
use super::check::{Sampled, is_judged};
use super::kept::{Kept, Part};
use super::route::RouteVerify;
use super::state::Judgement;
use crate::client::ClientConnection;
use crate::routing::{RouteUpstream, WayBody, head_of, watched};
use crate::upstream::ClientContext;

/// A request whose answer would come from the cache.
pub(crate) struct Shadow {
    sampled: Sampled,
    /// The status of the answer that it would get; `None`: another request's fetch is to bring it.
    status: Option<StatusCode>,
}

impl Shadow {
    /// `None` where the origin would be asked for this request itself. A tier behind the memory is asked as it would be.
    pub(crate) async fn of(
        verify: &Arc<RouteVerify>,
        service: &CacheService<RouteUpstream>,
        head: Request<()>,
        effective: &EffectiveTarget,
        connection: ClientConnection,
    ) -> Option<Self> {
        let run = service.dry_run(head_of(&head), effective, &Bytes::new());
        let (kept, status) = match run.verdict {
            Verdict::Hit { status, age, .. } => {
                // The use that it would have been counts, and begins the refresh that it would have begun.
                drop(service.serve(head_of(&head).map(|()| Empty::<Bytes>::new()), effective.clone(), |extensions| {
                    extensions.insert(ClientContext { connection, interim: None, min_upload_rate: 0, observer: None });
                }));
                (run.selected.clone().zip(age).map(Kept::from), Some(status))
            }
            Verdict::Fetch { .. } => match service.load_from_tiers(&run).await {
                Some(stored) => {
                    let status = stored.head.status;
                    let age = stored.head.age(run.now);
                    (Some(Kept { stored, age }), Some(status))
                }
                None if service.would_follow(&run) => (None, None),
                None => return None,
            },
            Verdict::Pass { .. } | Verdict::GatewayTimeout { .. } => return None,
        };
        let sampled = Sampled { kept, ..Sampled::whatever(verify, service, head, effective, connection) };
        Some(Self { sampled, status })
    }

    /// The answer of the origin on its way to the client; once it is whole, it is compared.
    pub(crate) fn watches(self, response: Response<CacheBody<WayBody>>) -> Response<CacheBody<WayBody>> {
        let (status, headers) = (response.status(), response.headers().clone());
        if is_judged(status).is_err() || !self.sampled.is_get() {
            self.sampled.verify.state.count(Judgement::NotJudged);
            return response;
        }
        if status == StatusCode::NOT_MODIFIED && self.is_conditional() {
            self.not_modified();
            return response;
        }
        let part = match headers.get(CONTENT_RANGE).map(ContentRange::parse) {
            None => None,
            Some(Some(ContentRange::Range { range, complete_length: Some(total) })) => Some(Part { range, total }),
            Some(_) => {
                self.sampled.verify.state.count(Judgement::NotJudged);
                return response;
            }
        };
        watched(response, MAX_BODY, move |body| self.ended(status, &headers, part, body))
    }

    fn is_conditional(&self) -> bool {
        [IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| self.sampled.head.headers().contains_key(name))
    }

    /// The origin says that the client's own copy is still good. Where the cache would have said so, too, they agree; otherwise nothing is known of the body.
    fn not_modified(self) {
        let state = &self.sampled.verify.state;
        match &self.sampled.kept {
            Some(kept) if self.status == Some(StatusCode::NOT_MODIFIED) => {
                state.found().agreed(kept.age);
                state.count(Judgement::Agreed);
            }
            _ => state.count(Judgement::NotJudged),
        }
    }

    /// `None`: it broke off, or is too long to be compared.
    fn ended(self, status: StatusCode, headers: &HeaderMap, part: Option<Part>, body: Option<Bytes>) {
        let sampled = Sampled { part, ..self.sampled };
        match body.and_then(|body| Answer::new(status, headers, body, &sampled.verify.settings)) {
            Some(fresh) => drop(tokio::spawn(async move { sampled.compare(Some(fresh)).await })),
            None => sampled.verify.state.count(Judgement::NotJudged),
        }
    }
}
