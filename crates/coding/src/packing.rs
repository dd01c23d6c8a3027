//! The answers that are packed on their way into a cache.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_NONE_MATCH, SET_COOKIE, VARY};
use http::request::Parts as Request;
use http::response::Parts as Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use larder_semantics::coding::Coding;
use larder_semantics::guard::has_credentials;
use larder_semantics::matches_pattern;

use crate::head::{add_vary, has_directive, is_known_as_weak, recoded, weaken, without_claims_about_bytes};

/// The settings of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// The codings that are kept, the most liked first.
    pub kept: Vec<Coding>,
    /// Bytes of the shortest body that is packed.
    pub min: u64,
    /// Media types that are packed; one `*` in each stands for any text. None: nothing is packed.
    pub types: Vec<String>,
}

/// What of a request bears on the packing of its answer.
#[derive(Clone, Debug)]
pub struct PackingRequest {
    /// The coding for its answer.
    coding: Option<Coding>,
    /// The entity tags that it knows.
    known: Option<HeaderValue>,
}

impl Packing {
    /// Looks at a request on its way to the origin. `reads`: its method only reads on this route. An answer to somebody known is not packed: its length would tell what of it a stranger has guessed
    /// (BREACH).
    pub fn request(&self, request: &Request, reads: bool) -> PackingRequest {
        let headers = &request.headers;
        // RFC 9111 §5.2.1.6: the client asks intermediaries not to transform the content.
        let may_pack = reads && !has_credentials(headers) && !has_directive(headers, &["no-transform"]);
        PackingRequest { coding: self.first(headers).filter(|_| may_pack), known: headers.get(IF_NONE_MATCH).cloned() }
    }

    /// The coding that a request names first, if that is kept.
    fn first(&self, headers: &HeaderMap) -> Option<Coding> {
        let line = headers.get(ACCEPT_ENCODING)?.as_bytes();
        let coding = Coding::named(line.split(|&byte| byte == b',').next()?.trim_ascii())?;
        self.kept.contains(&coding).then_some(coding)
    }

    /// Makes the head of an answer into the one that is stored, and says in which coding its body has to be packed, if it has to. `length` is that of
    /// the body, where it is known.
    pub fn received(&self, request: &PackingRequest, response: &mut Response, length: Option<u64>) -> Option<Coding> {
        let headers = &mut response.headers;
        if response.status == StatusCode::NOT_MODIFIED {
            // It is about what is stored, under the tag that this has there; and its `Vary` would take the place of the stored one.
            if request.known.as_ref().is_some_and(|known| is_known_as_weak(known.as_bytes(), headers)) {
                // Digests of the origin's bytes would become those of the packed ones.
                without_claims_about_bytes(headers);
                weaken(headers);
            }
            if headers.contains_key(VARY) {
                add_vary(headers);
            }
            return None;
        }
        if !self.is_packable(response.status, headers, length) {
            if headers.contains_key(CONTENT_ENCODING) {
                add_vary(headers);
            }
            return None;
        }
        // Unpacked as well, since the next client may get it packed.
        add_vary(headers);
        let coding = request.coding?;
        recoded(headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        Some(coding)
    }

    fn is_packable(&self, status: StatusCode, headers: &HeaderMap, length: Option<u64>) -> bool {
        const WHOLE: [StatusCode; 4] = [StatusCode::OK, StatusCode::NON_AUTHORITATIVE_INFORMATION, StatusCode::NOT_FOUND, StatusCode::GONE];
        let announced = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        WHOLE.contains(&status)
            && self.has_type(headers)
            && headers.get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
            && !headers.contains_key(CONTENT_RANGE)
            && !headers.contains_key(SET_COOKIE)
            && !has_directive(headers, &["no-transform", "private", "no-store"])
            && length.or_else(announced).is_none_or(|length| length >= self.min)
    }

    /// A stream of events has no end, and each event has to be there at once.
    fn has_type(&self, headers: &HeaderMap) -> bool {
        let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
        let kind = kind.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        kind != b"text/event-stream" && self.types.iter().any(|pattern| matches_pattern(pattern, &kind))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};

    use super::*;

    fn packing() -> Packing {
        Packing { kept: Coding::ALL.to_vec(), min: 10, types: vec!["text/*".into(), "application/json".into()] }
    }

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|(name, value)| _ = headers.append(HeaderName::from_static(name), HeaderValue::from_static(value)));
        headers
    }

    fn received(
        method: &Method,
        request: &[(&'static str, &'static str)],
        status: u16,
        response: &[(&'static str, &'static str)],
    ) -> (Option<Coding>, HeaderMap) {
        let (mut parts, ()) = http::Request::builder().method(method).body(()).expect("a request").into_parts();
        parts.headers = head(request);
        let (mut answer, ()) = http::Response::builder().status(status).body(()).expect("a response").into_parts();
        answer.headers = head(response);
        let packing = packing();
        let coding = packing.received(&packing.request(&parts, [Method::GET, Method::HEAD].contains(method)), &mut answer, None);
        (coding, answer.headers)
    }

    const ACCEPTS: &[(&str, &str)] = &[("accept-encoding", "br, gzip")];

    #[test]
    fn rfc9110_8_8_1_what_is_packed_has_a_weak_tag_and_no_length() {
        let plain = [
            ("content-type", "Text/HTML; charset=utf-8"),
            ("content-length", "5000"),
            ("etag", "\"1\""),
            ("accept-ranges", "bytes"),
            ("repr-digest", "sha-256=:x:"),
            ("vary", "Origin"),
        ];
        for method in [Method::GET, Method::HEAD] {
            let (coding, headers) = received(&method, ACCEPTS, 200, &plain);
            assert_eq!(coding, Some(Coding::Brotli));
            let expected = head(&[
                ("content-type", "Text/HTML; charset=utf-8"),
                ("etag", "W/\"1\""),
                ("vary", "Origin"),
                ("vary", "Accept-Encoding"),
                ("content-encoding", "br"),
            ]);
            assert_eq!(headers, expected, "{method}");
        }
    }

    #[test]
    fn what_must_not_be_packed_stays_as_it_is() {
        let json = ("content-type", "application/json");
        for lines in [
            &[json, ("cache-control", "public, no-transform")][..],
            &[json, ("cache-control", "Private;max-age=1")],
            &[json, ("cache-control", "no-store")],
            &[json, ("set-cookie", "a=1")],
            &[json, ("content-encoding", "gzip")],
            &[json, ("content-length", "9")],
            &[("content-type", "image/png")],
            &[("content-type", "text/event-stream")],
            &[],
        ] {
            let (coding, headers) = received(&Method::GET, ACCEPTS, 200, lines);
            assert_eq!(coding, None, "{lines:?}");
            assert_eq!(headers.contains_key("vary"), headers.contains_key("content-encoding"), "{lines:?}");
        }
        for status in [201, 206, 302, 500] {
            assert_eq!(received(&Method::GET, ACCEPTS, status, &[json]).0, None, "{status}");
        }
    }

    #[test]
    fn an_answer_to_somebody_known_is_not_packed_but_its_kind_is_told() {
        let json = [("content-type", "application/json")];
        for request in [
            &[("accept-encoding", "br"), ("cookie", "a=1")][..],
            &[("accept-encoding", "br"), ("authorization", "x")],
            &[("accept-encoding", "br"), ("client-cert", ":AA==:")],
            &[("accept-encoding", "br"), ("x-api-key", "x")],
            &[("accept-encoding", "br"), ("cache-control", "no-transform")],
            &[("accept-encoding", "deflate")],
            &[],
        ] {
            let (coding, headers) = received(&Method::GET, request, 200, &json);
            assert_eq!((coding, headers.get("vary").is_some()), (None, true), "{request:?}");
        }
        assert_eq!(received(&Method::POST, ACCEPTS, 200, &json).0, None);
    }

    #[test]
    fn rfc9111_4_3_4_a_304_confirms_what_was_packed_under_its_own_tag() {
        let tag = |known: &'static str| {
            let (_, headers) = received(&Method::GET, &[("if-none-match", known)], 304, &[("etag", "\"1\""), ("vary", "Origin")]);
            assert_eq!(headers.get_all("vary").iter().count(), 2);
            headers["etag"].clone()
        };
        assert_eq!(tag("W/\"0\", W/\"1\""), "W/\"1\"");
        assert_eq!(tag("\"1\""), "\"1\"");
        assert_eq!(tag("W/\"1\", \"1\""), "\"1\"");
    }

    #[test]
    fn rfc9530_a_304_gives_what_was_packed_no_digest_of_other_bytes() {
        let has_digest = |known: &'static str| {
            let answer = [("etag", "\"1\""), ("repr-digest", "sha-256=:AA==:"), ("content-digest", "sha-256=:AA==:")];
            let (_, headers) = received(&Method::GET, &[("if-none-match", known)], 304, &answer);
            (headers.contains_key("repr-digest"), headers.contains_key("content-digest"))
        };
        assert_eq!(has_digest("W/\"1\""), (false, false));
        assert_eq!(has_digest("\"1\""), (true, true), "it is about what was stored as it came");
    }
}
