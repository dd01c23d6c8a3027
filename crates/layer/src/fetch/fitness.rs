//! Whether a whole answer may be given again, where only its body tells: the answers of some protocols say within a 200 that they failed.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use larder_semantics::content::{Asked, ContentRules, Fitness};
use larder_semantics::{StoredHead, TtlMode};

use super::state::Fetch;
use crate::body::content::joined;
use crate::rules::RouteRules;

impl Fetch {
    /// Whether only the end of an answer with this head tells if it is for other clients too: a guard may refuse it, and an answer of GraphQL
    /// says in its body that it is private.
    pub(super) fn is_judged_at_its_end(&self, rules: &RouteRules, headers: &HeaderMap) -> bool {
        self.asks_graphql(rules) || rules.refuses_part(&self.request.parts, headers)
    }

    fn asks_graphql(&self, rules: &RouteRules) -> bool {
        rules.content.is_some() && matches!(self.request.asked(), Asked::GraphQl { .. })
    }

    /// Whether the requests that wait may have an answer of this fitness. One that is not given again because it failed still answers them, but for
    /// GraphQL, where it may be private.
    pub(super) fn is_for_followers(&self, rules: &RouteRules, fitness: &Fitness) -> bool {
        *fitness != Fitness::Unfit || !self.asks_graphql(rules)
    }

    /// Whether the head of an answer tells that it cannot be given again.
    pub(super) fn is_unfit(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        match self.request.asked() {
            Asked::Other => false,
            // Its `id` is to be read and written.
            Asked::Rpc(_) if headers.contains_key(CONTENT_ENCODING) => true,
            _ => status != StatusCode::OK,
        }
    }

    /// What the answer says of itself.
    pub(super) fn judge_body<'a>(&self, rules: &RouteRules, head: &StoredHead, frames: impl Iterator<Item = &'a Bytes>) -> Fitness {
        let (asked, Some(content)) = (self.request.asked(), rules.content.as_ref()) else { return Fitness::Fit(None) };
        if *asked == Asked::Other {
            return Fitness::Fit(None);
        }
        let told = self.judge_content(rules, content, head, frames);
        match told {
            Fitness::Hinted(hint) if hint.is_private && !self.request.context.identified => Fitness::Unfit,
            Fitness::Hinted(hint) if hint.ttl == Some(0) && rules.policy.ttl_mode != TtlMode::Override => Fitness::Unfit,
            told => told,
        }
    }

    fn judge_content<'a>(
        &self,
        rules: &RouteRules,
        content: &ContentRules,
        head: &StoredHead,
        frames: impl Iterator<Item = &'a Bytes>,
    ) -> Fitness {
        let asked = self.request.asked();
        let (body, content_type) = (joined(frames), head.headers.get(&CONTENT_TYPE));
        let Some(coding) = head.headers.get(&CONTENT_ENCODING) else { return content.judge(asked, content_type.as_ref(), &body) };
        let fields = HeaderMap::from_iter([(CONTENT_ENCODING, coding)]);
        let max_length = usize::try_from(rules.max_object).unwrap_or(usize::MAX);
        let body = rules.decoded(&fields, &body, max_length);
        body.map_or(Fitness::Unfit, |body| content.judge(asked, content_type.as_ref(), &body))
    }
}
