//! What the origin has answered when it was tried out, field by field.

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY};
use larder_semantics::{Policy, Reason};
use larder_tower::TriedOut;

use super::report::{FetchReport, FieldReport};

/// Longer values are cut: a person reads them.
const MAX_VALUE: usize = 300;

/// What would be done with the answer.
pub(super) fn report(tried: &TriedOut, policy: &Policy, milliseconds: u64) -> FetchReport {
    let (stored, reason) = match &tried.verdict {
        Ok(_) => (true, Reason::Stored),
        Err(reason) => (false, *reason),
    };
    let head = tried.verdict.as_ref().ok();
    let lifetime = head.map(|(head, _)| head.lifetime);
    let vary = head.and_then(|(_, vary)| vary.as_ref()).map(|vary| vary.names().iter().map(ToString::to_string).collect());
    FetchReport {
        status: tried.status.as_u16(),
        length: tried.length,
        milliseconds,
        stored,
        reason: Some(reason.as_str().to_owned()),
        meaning: Some(reason.meaning().to_owned()),
        advice: reason.advice().map(str::to_owned),
        lifetime: lifetime.map(|lifetime| lifetime.seconds),
        lifetime_from: lifetime.map(|lifetime| { lifetime.source }.words().to_owned()),
        vary: vary.unwrap_or_default(),
        fields: fields(&tried.fields, policy),
        failure: None,
    }
}

/// The fields that bear on caching, as they came, each with what it is to the cache.
fn fields(headers: &HeaderMap, policy: &Policy) -> Vec<FieldReport> {
    let targeted = policy.targeted.iter().find(|name| headers.contains_key(*name));
    let replaced = targeted.map(|name| format!("not looked at: `{name}` stands in for it (RFC 9213 §2.2)"));
    let of_lifetime = |effect: &str| replaced.clone().unwrap_or_else(|| effect.to_owned());
    let mut found = Vec::new();
    for (name, value) in headers {
        let effect = match name {
            name if Some(name) == targeted => "directives for caches like this one; it stands in for Cache-Control and Expires".to_owned(),
            name if *name == CACHE_CONTROL => {
                of_lifetime("whether it may be stored, for how long it is fresh, and what stale use is allowed")
            }
            name if *name == EXPIRES => of_lifetime("the end of its lifetime, where Cache-Control names none"),
            name if *name == PRAGMA => {
                "means nothing beside Cache-Control or a lifetime; alone it keeps a route's `ttl` from serving without asking".to_owned()
            }
            name if *name == VARY => "the request fields that select it: each combination of their values is stored apart".to_owned(),
            name if *name == SET_COOKIE => {
                "never stored; it keeps the answer from being stored unless that says `public` or `s-maxage`".to_owned()
            }
            name if *name == ETAG => "a validator: once stale it costs the origin a 304".to_owned(),
            name if *name == LAST_MODIFIED => "a validator, and the ground for a lifetime where none is named".to_owned(),
            name if *name == AGE => "the age that it already has".to_owned(),
            name if *name == DATE => "when it was made".to_owned(),
            _ => continue,
        };
        let value =
            if *name == SET_COOKIE { cookie_name(value.as_bytes()) } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
        let value = value[..value.floor_char_boundary(MAX_VALUE)].to_owned();
        found.push(FieldReport { name: name.to_string(), value, effect });
    }
    found
}

/// A cookie's value is somebody's secret.
fn cookie_name(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    format!("{}=…", text.split('=').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_says_what_it_does_and_no_cookie_is_shown() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("cache-control", "max-age=5"), ("cdn-cache-control", "max-age=9"), ("set-cookie", "id=hush"), ("server", "x")]
        {
            headers.append(name, value.parse().expect("a value"));
        }
        let fields = fields(&headers, &Policy::default());
        let of = |name: &str| fields.iter().find(|field| field.name == name).map(|field| (field.value.as_str(), field.effect.as_str()));
        assert_eq!(of("cache-control").map(|(_, effect)| effect.starts_with("not looked at: `cdn-cache-control`")), Some(true));
        assert_eq!(of("set-cookie").map(|(value, _)| value), Some("id=…"));
        assert_eq!(of("server"), None);
    }
}
