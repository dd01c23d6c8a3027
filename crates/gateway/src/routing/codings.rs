//! The codings of a route's answers: clients are asked for as few variants as there are codings, and get an answer unpacked where they do not accept the
//! one that is stored.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use larder_coding::{Coded, coding_of, decoded, may_unpack, unpacked_fields, weaken_for};
use larder_semantics::Coding;
use larder_tower::{CacheBody, ContentDecoder, Plain, RouteRules};

use super::WayBody;
use crate::config::Route;

/// The codings that a route keeps.
#[derive(Debug)]
pub(crate) struct RouteCodings {
    kept: Vec<Coding>,
    /// `Accept-Encoding` for each of them: that one and all behind it.
    fields: Vec<HeaderValue>,
    /// The place of the coding for clients that accept none: unpacking gzip takes the least memory.
    least: usize,
    /// Whether bodies are packed here, so that two of them are never the same bytes for certain.
    packs: bool,
}

/// A client that may have to get another answer than the one that is stored.
#[derive(Debug)]
pub(crate) struct Negotiated {
    /// Its own request.
    request: Request<()>,
    field: HeaderValue,
    packs: bool,
}

/// The use that an answer is to such a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It suits.
    Suits,
    /// It has to be unpacked.
    Unpack(Coding),
    /// It cannot be unpacked, so the client's own request is to be asked.
    AskAsSent,
    /// It is a part of a body whose bytes may be others the next time, so the whole is to be asked for.
    AskForWhole,
}

impl RouteCodings {
    /// `None` where a route leaves codings to clients and origins.
    pub(crate) fn of(route: &Route) -> Option<Self> {
        let kept = route.settings.encodings.clone();
        if kept.is_empty() || !route.settings.cache {
            return None;
        }
        let names: Vec<&str> = kept.iter().map(|coding| coding.name()).collect();
        let fields = (0..names.len()).map(|first| HeaderValue::try_from(names[first..].join(", "))).collect::<Result<_, _>>().ok()?;
        let least = kept.iter().position(|coding| *coding == Coding::Gzip).unwrap_or(kept.len() - 1);
        Some(Self { kept, fields, least, packs: route.settings.compress.is_some() })
    }

    /// Brings a read's `Accept-Encoding` to one of as many values as there are codings. Tells what the client said, where an answer may not suit it.
    pub(crate) fn negotiate<B>(&self, request: &mut Request<B>) -> Option<Box<Negotiated>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return None;
        }
        let headers = request.headers();
        let field = &self.fields[Coding::preferred(&self.kept, headers).unwrap_or(self.least)];
        let accepts_all = self.kept.iter().all(|coding| coding.is_accepted(headers));
        let negotiated = (!accepts_all || (self.packs && headers.contains_key(RANGE)))
            .then(|| Box::new(Negotiated { request: head_of(request), field: field.clone(), packs: self.packs }));
        request.headers_mut().insert(ACCEPT_ENCODING, field.clone());
        negotiated
    }

    /// Brings the `Accept-Encoding` of a read with content to those kept codings that its client accepts, in one order. Its answers are not unpacked here:
    /// where that is not possible, its content would have to be sent again.
    pub(crate) fn narrow(&self, headers: &mut HeaderMap) {
        let accepted: Vec<&str> = self.kept.iter().filter(|coding| coding.is_accepted(headers)).map(|coding| coding.name()).collect();
        let field = if accepted.is_empty() { "identity".to_owned() } else { accepted.join(", ") };
        if let Ok(field) = HeaderValue::try_from(field) {
            headers.insert(ACCEPT_ENCODING, field);
        }
    }
}

/// Whether a request is a read whose content is a part of its key.
pub(crate) fn reads_content(rules: &RouteRules, method: &Method) -> bool {
    ![Method::GET, Method::HEAD].contains(method) && rules.reads(method)
}

/// Undoes the codings of requests, for keys.
#[derive(Debug)]
pub(crate) struct RequestDecoder;

impl ContentDecoder for RequestDecoder {
    fn decode(&self, fields: &HeaderMap, content: &Bytes, max_length: usize) -> Option<Vec<u8>> {
        decoded(fields, content, max_length)
    }
}

fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    (*head.method_mut(), *head.uri_mut(), *head.version_mut()) = (request.method().clone(), request.uri().clone(), request.version());
    head.headers_mut().clone_from(request.headers());
    head.extensions_mut().clone_from(request.extensions());
    head
}

impl Negotiated {
    /// The use that an answer is.
    pub(crate) fn judge<B>(&self, response: &Response<B>) -> Verdict {
        let (status, headers) = (response.status(), response.headers());
        match coding_of(headers) {
            None => Verdict::Suits,
            Some(coding) if coding.is_accepted(self.request.headers()) => {
                let is_strong = headers.get(ETAG).is_some_and(|tag| tag.as_bytes().starts_with(b"\""));
                if status == StatusCode::PARTIAL_CONTENT && self.packs && !is_strong { Verdict::AskForWhole } else { Verdict::Suits }
            }
            Some(coding) if may_unpack(self.request.headers(), status, headers) => Verdict::Unpack(coding),
            Some(_) => Verdict::AskAsSent,
        }
    }

    /// Whether the answer to a plain request is stored, and suits the client without a look at its body.
    pub(crate) fn takes_plainly<B>(&self, plain: &Plain<B>) -> bool {
        let Plain::Stored(answer) = plain else { return false };
        let mut is_coded = false;
        answer.for_each_line(|name, _| is_coded |= *name == CONTENT_ENCODING);
        !is_coded && answer.status() != StatusCode::NOT_MODIFIED
    }

    /// The request to be asked where an answer does not suit.
    pub(crate) fn asked_again(&self, verdict: Verdict) -> Request<()> {
        let mut request = head_of(&self.request);
        if verdict == Verdict::AskForWhole {
            let headers = request.headers_mut();
            headers.remove(RANGE);
            headers.remove(IF_RANGE);
            headers.insert(ACCEPT_ENCODING, self.field.clone());
        }
        request
    }

    /// An answer as the client can take it.
    pub(crate) fn finished(&self, response: Response<CacheBody<WayBody>>) -> Response<CacheBody<WayBody>> {
        let verdict = self.judge(&response);
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::NOT_MODIFIED {
            weaken_for(self.request.headers(), &mut parts.headers);
        }
        let Verdict::Unpack(coding) = verdict else { return Response::from_parts(parts, body) };
        unpacked_fields(&mut parts.headers);
        if *self.request.method() == Method::HEAD {
            return Response::from_parts(parts, CacheBody::empty());
        }
        let body = WayBody::Unpacked(Box::new(Coded::unpacked(body, coding)));
        CacheBody::upstream(Response::from_parts(parts, body))
    }
}

#[cfg(test)]
mod tests {
    use larder_semantics::VarySpec;

    use super::*;
    use crate::config;

    fn codings(text: &str) -> Option<RouteCodings> {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[cache]\n{text}");
        let parsed = config::parse("test.toml", text.as_bytes(), &Default::default());
        let (config, _) = parsed.unwrap_or_else(|report| panic!("{}", report.render(false)));
        RouteCodings::of(&config.fallback.expect("one upstream"))
    }

    fn request(accepted: Option<&'static str>) -> Request<()> {
        let mut request = Request::get("/a").body(()).expect("a request");
        request.headers_mut().extend(accepted.map(|accepted| (ACCEPT_ENCODING, HeaderValue::from_static(accepted))));
        request
    }

    #[test]
    fn nine_usual_values_are_three_variants() {
        let kept = codings(r#"encodings = ["zstd", "br", "gzip"]"#).expect("codings");
        let spec = VarySpec::new(vec![ACCEPT_ENCODING]);
        let variant = |accepted| {
            let mut request = request(accepted);
            let may_differ = kept.negotiate(&mut request).is_some();
            (spec.secondary_key(request.headers()), may_differ)
        };
        let usual = [
            Some("gzip, deflate, br, zstd"),
            Some("zstd, br, gzip"),
            Some("gzip, deflate, br"),
            Some("br;q=1.0, gzip;q=0.8, *;q=0.1"),
            Some("gzip, deflate"),
            Some("gzip"),
            Some("identity"),
            Some(""),
            None,
        ];
        let found = usual.map(variant);
        let mut variants: Vec<_> = found.iter().map(|(key, _)| key.text().to_owned()).collect();
        variants.sort();
        variants.dedup();
        assert_eq!(variants.len(), 3, "{found:?}");
        assert_eq!(found.map(|(_, may_differ)| may_differ), [false, false, true, false, true, true, true, true, true]);
        assert!(codings("").is_none() && codings("encodings = []").is_none());
    }

    #[test]
    fn a_write_goes_up_as_it_was_sent() {
        let kept = codings(r#"encodings = ["gzip"]"#).expect("codings");
        let mut write = request(Some("deflate"));
        *write.method_mut() = Method::POST;
        assert!(kept.negotiate(&mut write).is_none());
        assert_eq!(write.headers()[ACCEPT_ENCODING], "deflate");
    }

    #[test]
    fn a_read_with_content_names_what_it_accepts_of_the_kept_ones() {
        let kept = codings(r#"encodings = ["zstd", "br", "gzip"]"#).expect("codings");
        for (said, narrowed) in [
            (Some("gzip, deflate, br, zstd"), "zstd, br, gzip"),
            (Some("br;q=1.0, gzip;q=0.8, *;q=0.1"), "zstd, br, gzip"),
            (Some("gzip, deflate, br"), "br, gzip"),
            (Some("deflate"), "identity"),
            (None, "identity"),
        ] {
            let mut request = request(said);
            kept.narrow(request.headers_mut());
            assert_eq!(request.headers()[ACCEPT_ENCODING], narrowed, "{said:?}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_unpacked_is_asked_for_as_it_was_wanted() {
        let kept = codings("encodings = [\"br\", \"gzip\"]\ncompress = {}").expect("codings");
        let verdict = |accepted, range: bool, status: u16, fields: &[(&str, &str)]| {
            let mut request = request(accepted);
            if range {
                request.headers_mut().insert(RANGE, HeaderValue::from_static("bytes=0-1"));
            }
            let negotiated = kept.negotiate(&mut request).expect("may differ");
            let mut response = Response::builder().status(status);
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            let verdict = negotiated.judge(&response.body(()).expect("a response"));
            let again = negotiated.asked_again(verdict);
            (verdict, again.headers().contains_key(RANGE), again.headers().get(ACCEPT_ENCODING).cloned())
        };
        let brotli = ("content-encoding", "br");
        assert_eq!(verdict(None, false, 200, &[brotli]).0, Verdict::Unpack(Coding::Brotli));
        assert_eq!(verdict(None, false, 200, &[]).0, Verdict::Suits);
        assert_eq!(verdict(Some("gzip"), false, 200, &[("content-encoding", "gzip")]).0, Verdict::Suits);
        assert_eq!(verdict(None, false, 200, &[brotli, ("cache-control", "no-transform")]), (Verdict::AskAsSent, false, None));
        assert_eq!(verdict(None, true, 206, &[brotli, ("etag", "\"1\"")]), (Verdict::AskAsSent, true, None));
        let all = Some("br, gzip");
        assert_eq!(verdict(all, true, 206, &[brotli, ("etag", "\"1\"")]).0, Verdict::Suits, "the origin's own bytes");
        assert_eq!(
            verdict(all, true, 206, &[brotli, ("etag", "W/\"1\"")]),
            (Verdict::AskForWhole, false, all.map(HeaderValue::from_static))
        );
    }
}
