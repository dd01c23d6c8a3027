//! The answer of a model that is stored in another form than the one that is asked for: whole, as a stream, or as a stream that tells its cost.
//!
//! Only what is stored is converted: whether that is exact, the end of an answer tells.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response};
use larder_semantics::Reason;
use larder_semantics::content::{Asked, ContentRules, Keyed};

use super::content::drop_fields_of_bytes;
use super::fresh::{Fresh, without_conditions};
use crate::body::CacheBody;
use crate::effective_target::EffectiveTarget;
use crate::outcome::Served;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// The answer in the form that is asked for, where it is stored in another one only.
pub(super) async fn in_another_form<S: Upstream>(
    service: &CacheService<S>,
    rules: &ContentRules,
    parts: &Parts,
    keyed: &Keyed,
    effective: &EffectiveTarget,
) -> Option<Served<S::Body>> {
    if service.origin_only || keyed.other_forms.is_empty() || service.hit_in_memory(parts.clone(), &keyed.key, effective).is_some() {
        return None;
    }
    for other in &keyed.other_forms {
        let parts = without_conditions(parts.clone());
        let found = service.find_fresh(parts, &other.in_turn(keyed.key.turn()), effective).await;
        if let Some(served) = found.and_then(|fresh| converted(service, rules, &keyed.asked, fresh)) {
            return Some(served);
        }
    }
    None
}

fn converted<S: Upstream>(service: &CacheService<S>, rules: &ContentRules, asked: &Asked, fresh: Fresh) -> Option<Served<S::Body>> {
    let stored = fresh.stored();
    let (content_type, body) = (stored.head.headers.get(&CONTENT_TYPE), service.route.plain_body(stored)?);
    let body = rules.converted(asked, content_type.as_ref(), &body)?;
    let Served { response, outcome, .. } = fresh.served(service, Reason::Converted);
    let (mut parts, _) = response.into_parts();
    drop_fields_of_bytes(&mut parts.headers);
    parts.headers.remove(CONTENT_ENCODING);
    let is_stream = matches!(asked, Asked::Model(request) if request.streams);
    let content_type = if is_stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Some(Served { response: Response::from_parts(parts, CacheBody::from_bytes(body.into())), outcome })
}
