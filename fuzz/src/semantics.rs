//! Targets of `larder-semantics`: fields, keys and exchanges.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use larder_semantics::directives::{RequestDirectives, ResponseDirectives};
use larder_semantics::invalidation::invalidated;
use larder_semantics::key::{IdentityPart, KeyBuffer, KeyRules, Target};
use larder_semantics::range::{Answer, ContentRange, RangeSet, answer_ranged};
use larder_semantics::{
    CacheStatus, Decision, Disposition, Exchange, Policy, RequestContext, StoredHead, Timestamp, VarySpec, decide, on_response,
    serve_on_error,
};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] =
    &[("directives", directives), ("vary", vary), ("ranges", ranges), ("keys", keys), ("references", references), ("exchanges", exchanges)];

const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The lines of `data` that can be field values.
fn values(data: &[u8]) -> impl Iterator<Item = HeaderValue> {
    data.split(|&byte| byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok())
}

fn field(name: &HeaderName, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    values(data).take(64).for_each(|value| _ = headers.append(name, value));
    headers
}

/// `Name: value` lines.
fn fields(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    headers
}

/// `Cache-Control` both ways, and as a targeted field. Seconds stay within 2^31.
pub fn directives(data: &[u8]) {
    let request = RequestDirectives::parse(&field(&CACHE_CONTROL, data));
    assert!(request.max_age.is_none_or(|seconds| seconds <= 1 << 31));
    let response = ResponseDirectives::parse(&field(&CACHE_CONTROL, data), &[]);
    assert!(response.max_age.is_none_or(|seconds| seconds <= 1 << 31));
    let targeted = ResponseDirectives::parse(&field(&CDN, data), &[CDN]);
    assert!(targeted.s_maxage.is_none_or(|seconds| seconds <= 1 << 31));
}

/// Secondary keys of every field that has rules of its own. The first line is `Vary`, the others are the field's.
pub fn vary(data: &[u8]) {
    let (names, lines) = data.split_at(data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len()));
    let _ = VarySpec::of_response(&field(&VARY, names));
    for name in ["accept", "accept-encoding", "accept-language", "cookie"] {
        let name = HeaderName::from_static(name);
        let spec = VarySpec::new(vec![name.clone()]);
        let headers = field(&name, lines);
        assert_eq!(spec.secondary_key(&headers), spec.secondary_key(&headers.clone()));
        assert!(spec.secondary_key(&headers).text().starts_with(name.as_str()));
    }
}

/// `Range`, `If-Range`, `If-None-Match` and `Content-Range` against a stored response of any length.
pub fn ranges(data: &[u8]) {
    let length = data.first().map_or(0, |&byte| u64::from(byte) * 37);
    let mut lines = values(data.get(1..).unwrap_or_default());
    let mut headers = HeaderMap::new();
    for name in [RANGE, IF_RANGE, IF_NONE_MATCH] {
        lines.next().into_iter().filter(|value| !value.is_empty()).for_each(|value| _ = headers.insert(&name, value));
    }
    if let Some(value) = headers.get(RANGE) {
        let _ = RangeSet::parse_value(value.as_bytes());
        let _ = ContentRange::parse(value);
    }
    let policy = Policy::default();
    let request = RequestContext::new(&Method::GET, &headers, &policy, false, false);
    let Some(stored) = stored(&policy) else { return };
    if let Answer::Partial(partial) = answer_ranged(&request, &headers, &stored, length) {
        assert!(!partial.ranges.is_empty());
        assert!(partial.ranges.iter().all(|range| range.first <= range.last && range.last < length));
        assert!(partial.ranges.len() == 1 || partial.content_length() < length);
        let _ = partial.fields(&stored);
    }
}

fn stored(policy: &Policy) -> Option<StoredHead> {
    let headers = fields(b"cache-control: max-age=60\netag: \"1\"\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT");
    let none = HeaderMap::new();
    let request = RequestContext::new(&Method::GET, &none, policy, false, false);
    let at = Timestamp::from_secs(1_700_000_000);
    let exchange = exchange(policy, &request, &none, &headers, StatusCode::OK, at);
    if let Disposition::Store { head, .. } = on_response(&exchange, &[]) { Some((*head).clone()) } else { None }
}

fn exchange<'a>(
    policy: &'a Policy,
    request: &'a RequestContext,
    request_headers: &'a HeaderMap,
    headers: &'a HeaderMap,
    status: StatusCode,
    at: Timestamp,
) -> Exchange<'a> {
    Exchange { policy, request, method: &Method::GET, request_headers, request_time: at, response_time: at, status, headers }
}

/// Keys: authority, path, query and cookie of any text. The URL part is what an invalidation names, and no secret shows.
pub fn keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let (authority, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let query = lines.next();
    let mut rules = KeyRules::default();
    rules.namespace = "fuzz".into();
    rules.query.sort = true;
    rules.query.drop = vec!["utm_*".into()];
    rules.query.drop_empty = true;
    rules.query.bypass = Some("no_cache".into());
    rules.identity = vec![IdentityPart::Cookie("sid".into())];
    rules.cookies.key = vec!["locale".into()];
    rules.cookies.ignored = vec!["_g*".into()];
    let mut headers = fields(lines.collect::<Vec<_>>().join("\n").as_bytes());
    rules.strip_ignored_cookies(&mut headers);
    let target = Target { scheme: "http", authority, path, query };
    let mut buffer = KeyBuffer::default();
    rules.derive(target, &headers, &mut buffer);
    assert_eq!(buffer.url(), rules.url_of(target));
    assert_eq!(buffer.text().contains(" #identity="), buffer.identified());
    assert_eq!(buffer.to_key().text(), buffer.text());
    assert_eq!((buffer.to_key().url(), buffer.to_key().identity().is_some()), (buffer.url(), buffer.identified()));
    let _ = rules.query.is_bypassed(query);
    if let Ok(uri) = format!("{path}?{}", query.unwrap_or_default()).parse::<Uri>()
        && let Some(stripped) = rules.query.without_bypass(&uri)
    {
        assert!(!rules.query.is_bypassed(stripped.query()));
        assert_eq!(stripped.path(), uri.path());
    }
}

/// `Location` of any text: what it invalidates is of the same origin.
pub fn references(data: &[u8]) {
    let target = Target { scheme: "https", authority: "example.com", path: "/a/b", query: None };
    for found in invalidated(target, StatusCode::CREATED, &field(&LOCATION, data)) {
        assert_eq!(found.scheme, "https");
        assert!(found.path.starts_with('/'), "{found:?}");
        assert!(matches!(found.authority.to_ascii_lowercase().as_str(), "example.com" | "example.com:443" | "example.com:"), "{found:?}");
    }
}

/// A whole exchange: request fields, a blank line, response fields. First byte: status and time.
pub fn exchanges(data: &[u8]) {
    let Some((&seed, data)) = data.split_first() else { return };
    let middle = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let (request_headers, headers) = (fields(&data[..middle]), fields(&data[middle..]));
    let statuses = [200, 206, 301, 302, 304, 404, 500, 503, 599, 103];
    let Ok(status) = StatusCode::from_u16(statuses[usize::from(seed) % statuses.len()]) else { return };
    let policy = Policy::default().with(|policy| (policy.ttl, policy.stale_if_error) = (u32::from(seed % 3) * 30, 10));
    let request = RequestContext::new(&Method::GET, &request_headers, &policy, false, false);
    let at = Timestamp::from_secs(1_700_000_000);
    let exchange = exchange(&policy, &request, &request_headers, &headers, status, at);
    let Some(known) = stored(&policy) else { return };
    for candidates in [&[][..], &[&known]] {
        let head = match on_response(&exchange, candidates) {
            Disposition::Store { head, .. } => head,
            Disposition::Freshen { answer, .. } => Arc::new(*answer.head),
            _ => continue,
        };
        assert!(head.headers.lines().eq(head.headers.to_map().iter().map(|(name, value)| (name, value.as_bytes()))));
        let mut last = 0;
        for seconds in [0, 1, 1 + u64::from(seed), 1 << 20, 1 << 33] {
            let now = Timestamp::from_millis(at.as_millis() + seconds * 1000);
            assert!(head.age(now) >= last, "age fell");
            last = head.age(now);
            let decision = decide(&policy, &request, Some(&head), now);
            if head.no_cache() {
                assert!(!matches!(decision, Decision::Serve { .. } | Decision::ServeStale { .. }));
            }
            let _ = serve_on_error(&policy, &request, &head, now);
            let _ = answer_ranged(&request, &request_headers, &head, seconds);
            let mut text = String::new();
            CacheStatus { hit: true, ttl: Some(head.ttl(now)), detail: Some(decision.reason().as_str()), ..CacheStatus::default() }
                .write(&mut text);
        }
    }
}
