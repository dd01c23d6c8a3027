//! Shadow mode: what would be served from the cache is compared with the answer that a client gets from the origin.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Empty;
use larder_tower::{CacheBody, CacheService, EffectiveTarget, Verdict};

use super::answer::{Answer, MAX_BODY};
use super::check::{Sampled, is_judged};
use super::route::RouteVerify;
use super::state::Judgement;
use crate::client::ClientConnection;
use crate::routing::{RouteUpstream, WayBody, head_of, watched};
use crate::upstream::ClientContext;

/// A request whose answer would come from the cache.
pub(crate) struct Shadow(Sampled);

impl Shadow {
    /// `None` where it would not.
    pub(crate) fn of(
        verify: &Arc<RouteVerify>,
        service: &CacheService<RouteUpstream>,
        head: Request<()>,
        effective: &EffectiveTarget,
        connection: ClientConnection,
    ) -> Option<Self> {
        let run = service.dry_run(head_of(&head), effective, &Bytes::new());
        if !matches!(run.verdict, Verdict::Hit { .. }) {
            return None;
        }
        // The use that it would have been counts, and begins the refresh that it would have begun.
        drop(service.serve(head_of(&head).map(|()| Empty::<Bytes>::new()), effective.clone(), |extensions| {
            extensions.insert(ClientContext { connection, interim: None, min_upload_rate: 0, observer: None });
        }));
        Some(Self(Sampled::whatever(verify, service, head, effective, connection)))
    }

    /// The answer of the origin on its way to the client; once it is whole, it is compared.
    pub(crate) fn watches(self, response: Response<CacheBody<WayBody>>) -> Response<CacheBody<WayBody>> {
        let conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
        let is_conditional = conditions.iter().any(|name| self.0.head.headers().contains_key(name));
        let (status, headers) = (response.status(), response.headers().clone());
        // A 304 tells of what the client has.
        if !self.0.is_whole() || is_judged(status).is_err() || is_conditional && status == StatusCode::NOT_MODIFIED {
            self.0.verify.state.count(Judgement::NotJudged);
            return response;
        }
        watched(response, MAX_BODY, move |body| self.ended(status, &headers, body))
    }

    /// `None`: it broke off, or is too long to be compared.
    fn ended(self, status: StatusCode, headers: &HeaderMap, body: Option<Bytes>) {
        let Self(sampled) = self;
        match body.and_then(|body| Answer::new(status, headers, body, &sampled.verify.settings)) {
            Some(fresh) => drop(tokio::spawn(async move { sampled.compare(Some(fresh)).await })),
            None => sampled.verify.state.count(Judgement::NotJudged),
        }
    }
}
