//! A key, part by part, and what became of the request on the way to it.

use http::{HeaderMap, Uri};
use larder_semantics::{CookieFate, KeyParts, KeyRules};

use super::report::{KeyPart, KeyReport};

/// Of a key that no request is known for.
pub(crate) fn key_report(text: &str) -> Option<KeyReport> {
    let parts = KeyParts::of(text)?;
    let others = parts.others.iter().map(|(name, value)| KeyPart { name: (*name).to_owned(), value: (*value).to_owned() });
    Some(KeyReport {
        text: text.to_owned(),
        name: None,
        namespace: parts.namespace.to_owned(),
        url: parts.url.to_owned(),
        others: others.collect(),
        changes: Vec::new(),
    })
}

/// Of the key that these rules have made of a request for `url`, with these fields as they were sent.
pub(super) fn of_request(text: &str, rules: &KeyRules, url: &str, uri: &Uri, sent: &HeaderMap) -> Option<KeyReport> {
    let mut report = key_report(text)?;
    let left_out = rules.query.left_out(uri.query());
    if !left_out.is_empty() {
        report.changes.push(format!("left out of the query: {}", left_out.join(", ")));
    }
    let kept = uri.query().map_or(0, |query| query.split('&').count()).saturating_sub(left_out.len());
    let (before, after) = (query_of(url), query_of(&report.url));
    if rules.query.sort && kept > 1 && before != after && left_out.is_empty() {
        report.changes.push("the query is sorted by name".to_owned());
    }
    if before_query(url) != before_query(&report.url) {
        report.changes.push(format!("normalised: {} (RFC 9110 §4.2.3)", before_query(url)));
    }
    for (fate, what) in [(CookieFate::Ignored, "cookies as if absent"), (CookieFate::Private, "cookies that are not part of it")] {
        let fates = rules.fates_of_cookies(sent);
        let names: Vec<_> = fates.iter().filter(|(_, found)| *found == fate).map(|(name, _)| String::from_utf8_lossy(name)).collect();
        if !names.is_empty() {
            report.changes.push(format!("{what}: {}", names.join(", ")));
        }
    }
    if report.others.iter().all(|part| part.name != "identity") && !rules.identity.is_empty() {
        report.changes.push("no identity: the request has none of the fields that it is made of".to_owned());
    }
    Some(report)
}

fn query_of(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

fn before_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use larder_semantics::{IdentityPart, KeyBuffer, Target};

    use super::*;

    #[test]
    fn what_became_of_the_request_is_said() {
        let mut rules = crate::config::RouteSettings::default().key;
        rules.cookies.key = vec!["lang".to_owned()];
        rules.identity = vec![IdentityPart::Header(http::header::AUTHORIZATION)];
        let mut headers = HeaderMap::new();
        headers.insert(http::header::COOKIE, HeaderValue::from_static("lang=de; _ga=1; session=hush"));
        let uri = Uri::from_static("/a?z=1&utm_source=x&no_cache");
        let target = Target { scheme: "http", authority: "A.example:80", path: uri.path(), query: uri.query() };
        let mut key = KeyBuffer::default();
        rules.derive(target, &headers, &mut key);
        let report = of_request(key.text(), &rules, "http://A.example:80/a?z=1&utm_source=x&no_cache", &uri, &headers).expect("a key");
        assert_eq!(report.url, "http://a.example/a?z=1");
        assert_eq!(
            report.changes,
            [
                "left out of the query: utm_source=x, no_cache",
                "normalised: http://A.example:80/a (RFC 9110 §4.2.3)",
                "cookies as if absent: _ga",
                "cookies that are not part of it: session",
                "no identity: the request has none of the fields that it is made of",
            ]
        );
        assert!(!format!("{report:?}").contains("hush"));
    }
}
