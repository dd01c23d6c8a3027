//! Answers for clients that do not accept the coding they have.

use http::header::{CONTENT_ENCODING, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use larder_semantics::coding::Coding;

use crate::head::{has_directive, is_known_as_weak, recoded, weaken};

/// The coding of an answer, where it is one that can be unpacked, and the only one.
pub fn coding_of(headers: &HeaderMap) -> Option<Coding> {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let (only, more) = (lines.next()?, lines.next());
    if more.is_some() { None } else { Coding::named(only.as_bytes().trim_ascii()) }
}

/// Whether an answer to a request with these fields may be unpacked: the client allows it (RFC 9111 §5.2.1.6), it is whole, and "a proxy MUST NOT transform the content of a response message that contains a no-transform cache
/// directive" (RFC 9110 §7.7).
pub fn may_unpack(request: &HeaderMap, status: StatusCode, headers: &HeaderMap) -> bool {
    !has_directive(request, &["no-transform"])
        && status != StatusCode::PARTIAL_CONTENT
        && status != StatusCode::RANGE_NOT_SATISFIABLE
        && !has_directive(headers, &["no-transform"])
}

/// Makes the fields of an answer into those of the same one unpacked.
pub fn unpacked_fields(headers: &mut HeaderMap) {
    headers.remove(CONTENT_ENCODING);
    recoded(headers);
}

/// Gives a 304 the entity tag that its client knows: that of the answer that was unpacked for it.
pub fn weaken_for(request: &HeaderMap, headers: &mut HeaderMap) {
    if request.get(IF_NONE_MATCH).is_some_and(|known| is_known_as_weak(known.as_bytes(), headers)) {
        weaken(headers);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ETAG;

    use super::*;

    #[test]
    fn only_one_known_coding_can_be_undone() {
        let coding = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|line| _ = headers.append(CONTENT_ENCODING, HeaderValue::from_static(line)));
            coding_of(&headers)
        };
        assert_eq!(coding(&["BR"]), Some(Coding::Brotli));
        assert_eq!(coding(&["x-gzip"]), Some(Coding::Gzip));
        for lines in [&[][..], &["deflate"], &["gzip, br"], &["gzip", "br"], &["identity"]] {
            assert_eq!(coding(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn rfc9110_7_7_what_must_not_be_transformed_is_not() {
        let mut headers = HeaderMap::new();
        let request = HeaderMap::new();
        assert!(may_unpack(&request, StatusCode::OK, &headers) && !may_unpack(&request, StatusCode::PARTIAL_CONTENT, &headers));
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=1, No-Transform"));
        assert!(!may_unpack(&request, StatusCode::OK, &headers));
        assert!(!may_unpack(&headers, StatusCode::OK, &request), "the client's own word");
    }

    #[test]
    fn a_client_is_told_the_tag_that_it_knows() {
        let told = |known: &'static str| {
            let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"1\""))]);
            weaken_for(&HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(known))]), &mut headers);
            headers[ETAG].clone()
        };
        assert_eq!(
            (told("W/\"1\""), told("\"1\""), told("*")),
            ("W/\"1\"".parse().unwrap(), "\"1\"".parse().unwrap(), "\"1\"".parse().unwrap())
        );
    }
}
