//! The fields of a response that only the client has whose exchange it was: others get them neither in a head nor in trailers.

use http::{HeaderMap, HeaderName, StatusCode};
use smallvec::SmallVec;

use crate::directives::ResponseDirectives;
use crate::head::fields::{connection_options, never_stored};
use crate::pattern::matches_pattern;
use crate::policy::Policy;
use crate::request::RequestContext;
use crate::reuse::set_aside::counted;

/// The fields that others do not get: those that are never stored (RFC 9111 §3.1), those that the route leaves out, and those that the response
/// itself names in `Connection`, `private` or `no-cache` (§5.2.2.4, §5.2.2.7). None of the latter by default.
#[derive(Clone, Debug, Default)]
pub struct Withheld {
    named: SmallVec<[HeaderName; 4]>,
}

impl Withheld {
    /// Of a response with these fields, to a request of this kind.
    pub fn of(policy: &Policy, request: &RequestContext, status: StatusCode, headers: &HeaderMap) -> Self {
        Self::named_by(&counted(policy, status, headers), request, headers)
    }

    /// The same with the directives that count.
    pub(crate) fn named_by(directives: &ResponseDirectives, request: &RequestContext, headers: &HeaderMap) -> Self {
        let mut named = connection_options(headers);
        named.extend(directives.no_cache.fields().iter().cloned());
        if !request.identified {
            named.extend(directives.private.fields().iter().cloned());
        }
        Self { named }
    }

    /// Whether a field of this name is one of them.
    pub fn contains(&self, policy: &Policy, name: &HeaderName) -> bool {
        let is_left_out = || policy.unstored_fields.iter().any(|pattern| matches_pattern(pattern, name.as_str().as_bytes()));
        never_stored(name) || self.named.contains(name) || is_left_out()
    }

    /// Removes them.
    pub fn remove_from(&self, policy: &Policy, fields: &mut HeaderMap) {
        let withheld: Vec<HeaderName> = fields.keys().filter(|name| self.contains(policy, name)).cloned().collect();
        for name in withheld {
            fields.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;

    #[test]
    fn rfc9111_5_2_2_7_what_a_response_names_is_withheld_from_others() {
        let policy = Policy { unstored_fields: vec!["x-trace*".to_owned()], ..Policy::default() };
        let head = [("cache-control", "max-age=60, private=\"x-user\", no-cache=\"x-price\""), ("connection", "x-hop")];
        let head: HeaderMap =
            head.into_iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let left = |identified| {
            let request = RequestContext::new(&Method::GET, &HeaderMap::new(), &policy, identified, false);
            let names = ["x-user", "x-price", "x-hop", "x-trace-id", "set-cookie", "x-sum"];
            let mut fields = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1"))).into_iter().collect();
            Withheld::of(&policy, &request, StatusCode::OK, &head).remove_from(&policy, &mut fields);
            names.into_iter().filter(|name| fields.contains_key(*name)).collect::<Vec<_>>()
        };
        assert_eq!(left(false), ["x-sum"]);
        assert_eq!(left(true), ["x-user", "x-sum"]);
    }
}
