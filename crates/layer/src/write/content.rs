//! The look-up of a request whose content is part of its key: the content is read first.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, EXPECT, IF_RANGE, RANGE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use larder_semantics::content::{Asked, ContentRules, Keyed, Unkeyed};
use larder_semantics::{ForwardReason, Reason};

use super::pass;
use crate::body::content::{ReadContent, read};
use crate::body::request::{ClientBody, RequestBody};
use crate::effective_target::EffectiveTarget;
use crate::error::FetchError;
use crate::outcome::{CacheResult, Served};
use crate::rules::Operations;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// Answers a request under `rules`. Content that has no key goes on as it came, and the request is a read all the same: it invalidates nothing.
pub(crate) async fn answer<S: Upstream, R: ClientBody>(
    service: CacheService<S>,
    request: Request<R>,
    rules: ContentRules,
    effective: EffectiveTarget,
) -> Result<Served<S::Body>, FetchError> {
    let (mut parts, body) = request.into_parts();
    let content = match read(body, rules.max_length, &service.cache.in_flight).await {
        ReadContent::Whole(content) => content,
        ReadContent::Other(body) => {
            let request = Request::from_parts(parts, RequestBody::new(body));
            return pass::pass_read(service, request, Reason::BodyNotKeyed, ForwardReason::Request).await;
        }
    };
    // Reading it has answered this already.
    parts.headers.remove(EXPECT);
    let keyed = service.route.content_key(&rules, &parts.method, &parts.uri, &parts.headers, content.bytes());
    let is_get = parts.method == Method::GET;
    let body = content.to_body();
    let Keyed { key, asked, .. } = match keyed {
        Ok(keyed) => keyed,
        // It is a GET like any other.
        Err(Unkeyed { reason: Reason::BodyNotKeyed, .. }) if is_get => {
            return service.look_up_url(Request::from_parts(parts, body), effective).await;
        }
        Err(Unkeyed { reason, .. }) if is_get => {
            return pass::pass_read(service, Request::from_parts(parts, body), reason, ForwardReason::Request).await;
        }
        Err(Unkeyed { reason, operations, .. }) if operations.is_empty() => {
            return pass::pass_read(service, Request::from_parts(parts, body), reason, ForwardReason::Request).await;
        }
        Err(Unkeyed { reason, operations, .. }) => {
            parts.extensions.insert(Operations(operations.into()));
            return pass::pass(service, Request::from_parts(parts, body), effective, reason, ForwardReason::Request).await;
        }
    };
    let key = service.route.in_turn(&rules, key, &parts);
    let id = match &asked {
        Asked::Rpc(call) => call.id.clone(),
        _ => None,
    };
    // What is read in the answer, or written into it, must be there as it is and as a whole.
    if matches!(asked, Asked::Rpc(_)) || rules.tags_types {
        [RANGE, IF_RANGE].iter().for_each(|name| _ = parts.headers.remove(name));
        parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let served = service.look_up_content(Request::from_parts(parts, body), (content.asking(asked), key), effective).await?;
    Ok(match id {
        Some(id) if is_shared(&served) => renumbered(served, &id),
        _ => served,
    })
}

/// Whether the answer was given to another request, whose `id` it has.
fn is_shared<B>(served: &Served<B>) -> bool {
    let (outcome, headers) = (&served.outcome, served.response.headers());
    let is_other = outcome.collapsed || matches!(outcome.result, CacheResult::Hit | CacheResult::Revalidated);
    is_other && served.response.status() != StatusCode::NOT_MODIFIED && !headers.contains_key(CONTENT_ENCODING)
}

/// The answer with this client's `id`. What is about the bytes of the other one goes.
fn renumbered<B>(served: Served<B>, id: &str) -> Served<B> {
    const OF_BYTES: [&str; 7] = ["content-length", "etag", "accept-ranges", "content-md5", "content-digest", "repr-digest", "digest"];
    let (mut parts, body) = served.response.into_parts();
    OF_BYTES.iter().for_each(|name| _ = parts.headers.remove(*name));
    Served { response: Response::from_parts(parts, body.renumbered(id)), ..served }
}
