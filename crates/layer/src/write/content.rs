//! The look-up of a request whose content is part of its key: the content is read first.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, EXPECT, IF_RANGE, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use larder_semantics::content::{Asked, ContentRequest, ContentRules, Keyed, Operation, Unkeyed};
use larder_semantics::{ForwardReason, Reason};

use super::{forms, pass, several};
use crate::body::content::{ReadContent, read};
use crate::body::request::{ClientBody, RequestBody};
use crate::effective_target::EffectiveTarget;
use crate::error::FetchError;
use crate::outcome::{CacheResult, Served};
use crate::rules::Operations;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// Answers a request under `rules`. Content that has no key goes on as it came, and the request is a read all the same, which invalidates nothing; but not where
/// it carries out operations, or may do so.
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
            return without_key(service, request, rules.unread(), effective).await;
        }
    };
    // Reading it has answered this already.
    parts.headers.remove(EXPECT);
    let keyed = service.route.content_key(&rules, &parts.method, &parts.uri, &parts.headers, content.bytes());
    let mut keyed = match keyed {
        Ok(keyed) => keyed,
        Err(unkeyed) => return without_key(service, Request::from_parts(parts, content.to_body()), unkeyed, effective).await,
    };
    if service.has_parts(&rules, &parts, content.bytes()) {
        return several::answer(service, parts, content, rules, effective).await;
    }
    keyed.key = service.route.in_turn(&rules, keyed.key, &parts);
    if let Some(served) = forms::in_another_form(&service, &rules, &parts, &keyed, &effective).await {
        return Ok(served);
    }
    let Keyed { key, asked, .. } = keyed;
    let id = match &asked {
        Asked::Rpc(call) => call.id.clone(),
        _ => None,
    };
    // What is read in the answer, or written into it, must be there as it is and as a whole.
    if matches!(asked, Asked::Rpc(_)) || rules.tags_types {
        [RANGE, IF_RANGE].iter().for_each(|name| _ = parts.headers.remove(name));
        parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let request = Request::from_parts(parts, content.to_body());
    let served = service.look_up_content(request, (content.asking(asked), key), effective).await?;
    Ok(match id {
        Some(id) if is_shared(&served) => renumbered(served, &id),
        _ => served,
    })
}

/// Passes a request by the store, for this `reason`, whose content tells whether it is a write.
pub(crate) async fn pass_by<S: Upstream, R: ClientBody>(
    service: CacheService<S>,
    request: Request<R>,
    rules: ContentRules,
    effective: EffectiveTarget,
    reason: Reason,
) -> Result<Served<S::Body>, FetchError> {
    let (mut parts, body) = request.into_parts();
    // What is held of it counts in the budget until the answer is there.
    let (unkeyed, body, _held) = match read(body, rules.max_length, &service.cache.in_flight).await {
        ReadContent::Whole(content) => {
            // Reading it has answered this already.
            parts.headers.remove(EXPECT);
            let keyed = service.route.content_key(&rules, &parts.method, &parts.uri, &parts.headers, content.bytes());
            (keyed.err(), content.to_body(), Some(content))
        }
        ReadContent::Other(body) => (Some(rules.unread()), RequestBody::new(body), None),
    };
    let request = Request::from_parts(parts, body);
    match unkeyed {
        Some(Unkeyed { reason: why, operations, .. }) if !operations.is_empty() => {
            let reason = if why == Reason::Operation { why } else { reason };
            carry_out(service, request, operations, effective, (reason, ForwardReason::Bypass)).await
        }
        _ => pass::pass_read(service, request, reason, ForwardReason::Bypass).await,
    }
}

/// Answers a request whose content has no key.
async fn without_key<S: Upstream>(
    service: CacheService<S>,
    request: Request<RequestBody>,
    Unkeyed { reason, operations, .. }: Unkeyed,
    effective: EffectiveTarget,
) -> Result<Served<S::Body>, FetchError> {
    let is_get = *request.method() == Method::GET;
    if is_get && reason == Reason::BodyNotKeyed {
        // It is a GET like any other.
        return service.look_up_url(request, effective).await;
    }
    if is_get || operations.is_empty() {
        return pass::pass_read(service, request, reason, ForwardReason::Request).await;
    }
    carry_out(service, request, operations, effective, (reason, ForwardReason::Request)).await
}

/// Passes a write on that is known by its operations.
async fn carry_out<S: Upstream>(
    service: CacheService<S>,
    mut request: Request<RequestBody>,
    operations: Vec<Operation>,
    effective: EffectiveTarget,
    (reason, forward): (Reason, ForwardReason),
) -> Result<Served<S::Body>, FetchError> {
    request.extensions_mut().insert(Operations(operations.into()));
    pass::pass(service, request, effective, reason, forward).await
}

impl<S: Upstream> CacheService<S> {
    /// Whether a request asks for several things that are stored by themselves. One that is to renew what is stored goes on as a whole.
    pub(super) fn has_parts(&self, rules: &ContentRules, parts: &Parts, content: &[u8]) -> bool {
        let is_whole = self.origin_only
            || rules.answers > 1
            || rules.wants_decoding(&parts.headers)
            || self.route.key.query.is_bypassed(parts.uri.query());
        let request = ContentRequest { path: parts.uri.path(), fields: &parts.headers, content };
        !is_whole && rules.has_parts(&request)
    }
}

/// Whether the answer was given to another request, whose `id` it has.
fn is_shared<B>(served: &Served<B>) -> bool {
    let (outcome, headers) = (&served.outcome, served.response.headers());
    let is_other = outcome.collapsed || matches!(outcome.result, CacheResult::Hit | CacheResult::Revalidated);
    is_other && served.response.status() != StatusCode::NOT_MODIFIED && !headers.contains_key(CONTENT_ENCODING)
}

/// Removes what is about the very bytes of a body that is not given as it is stored.
pub(super) fn drop_fields_of_bytes(headers: &mut HeaderMap) {
    const OF_BYTES: [&str; 7] = ["content-length", "etag", "accept-ranges", "content-md5", "content-digest", "repr-digest", "digest"];
    OF_BYTES.iter().for_each(|name| _ = headers.remove(*name));
}

/// The answer with this client's `id`. What is about the bytes of the other one goes.
fn renumbered<B>(served: Served<B>, id: &str) -> Served<B> {
    let (mut parts, body) = served.response.into_parts();
    drop_fields_of_bytes(&mut parts.headers);
    Served { response: Response::from_parts(parts, body.renumbered(id)), ..served }
}
