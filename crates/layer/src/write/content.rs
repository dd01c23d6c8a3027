//! The look-up of a request whose content is part of its key: the content is read first.

use http::Request;
use http::header::EXPECT;
use larder_semantics::content::{ContentRules, Keyed};
use larder_semantics::{ForwardReason, Reason};

use super::pass;
use crate::body::content::{ReadContent, read};
use crate::body::request::{ClientBody, RequestBody};
use crate::effective_target::EffectiveTarget;
use crate::error::FetchError;
use crate::outcome::Served;
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
    let keyed = service.route.content_key(&rules, parts.uri.path(), &parts.headers, content.bytes());
    let request = Request::from_parts(parts, content.to_body());
    match keyed {
        Ok(Keyed { key, model, .. }) => service.look_up_content(request, (content.of_model(model), key), effective).await,
        Err(reason) => pass::pass_read(service, request, reason, ForwardReason::Request).await,
    }
}
