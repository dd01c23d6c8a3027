//! The codings of a route's answers: the origin is asked for all of them whoever asks, so that one stored body serves every client, and a client that does
//! not accept its coding gets it unpacked.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use larder_coding::{Coded, beginning_decoded, coding_of, decoded, may_unpack, unpacked_fields, weaken_for};
use larder_semantics::Coding;
use larder_semantics::coding::refuses_identity;
use larder_semantics::entity_tag::is_of_body;
use larder_tower::{CacheBody, ContentDecoder, Plain, RangeOfCoded, RouteRules};

use super::WayBody;
use crate::config::Route;

/// The codings that a route keeps.
#[derive(Debug)]
pub(crate) struct RouteCodings {
    kept: Vec<Coding>,
    /// All of them as `Accept-Encoding`.
    field: HeaderValue,
    /// Whether bodies are packed here, so that two of them are never the same bytes for certain.
    packs: bool,
}

/// The codings that a client accepts, where an answer may not suit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// A bit for each coding.
    codings: u8,
    packs: bool,
}

/// A client that may have to get another answer than the one that is stored.
#[derive(Debug)]
pub(crate) struct Negotiated {
    /// Its own request.
    request: Request<()>,
    accepted: Accepted,
    field: HeaderValue,
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
        let field = HeaderValue::try_from(names.join(", ")).ok()?;
        Some(Self { kept, field, packs: route.settings.compress.is_some() })
    }

    /// Has a read ask for all kept codings, whatever its client accepts of them. Tells what that is, where an answer may not suit it.
    pub(crate) fn ask_for_all<B>(&self, request: &mut Request<B>) -> Option<Accepted> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return None;
        }
        let headers = request.headers_mut();
        let mut accepted = Accepted { codings: 0, packs: self.packs };
        // An origin may answer in a coding that is not kept.
        for coding in Coding::ALL.into_iter().filter(|coding| coding.is_accepted(headers)) {
            accepted.codings |= bit(coding);
        }
        let accepts_all = self.kept.iter().all(|coding| accepted.has(*coding));
        let may_differ = !accepts_all || (self.packs && headers.contains_key(RANGE));
        headers.insert(ACCEPT_ENCODING, self.field.clone());
        may_differ.then_some(accepted)
    }

    /// As [`Self::ask_for_all`], with all that is needed to give such a client another answer.
    pub(crate) fn negotiate<B>(&self, request: &mut Request<B>) -> Option<Box<Negotiated>> {
        let said: Vec<HeaderValue> = request.headers().get_all(ACCEPT_ENCODING).iter().cloned().collect();
        let accepted = self.ask_for_all(request)?;
        let mut own = head_of(request);
        own.headers_mut().remove(ACCEPT_ENCODING);
        own.headers_mut().extend(said.into_iter().map(|line| (ACCEPT_ENCODING, line)));
        Some(Box::new(Negotiated { request: own, accepted, field: self.field.clone() }))
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

fn bit(coding: Coding) -> u8 {
    1 << coding as u8
}

impl Accepted {
    fn has(self, coding: Coding) -> bool {
        self.codings & bit(coding) != 0
    }

    /// Whether the answer to a plain request is stored, and suits the client without a look at its body.
    pub(crate) fn takes_plainly<B>(self, plain: &Plain<B>) -> bool {
        let Plain::Stored(answer) = plain else { return false };
        // The tag of a 304 may have to become the weak one that the client knows, and a 416 may be about content that it would not get.
        if matches!(answer.status(), StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE) {
            return false;
        }
        let may_be_coded = answer.status() != StatusCode::PARTIAL_CONTENT || !self.packs;
        let mut suits = true;
        answer.for_each_line(|name, value| {
            if *name == CONTENT_ENCODING {
                suits &= may_be_coded && Coding::named(value.trim_ascii()).is_some_and(|coding| self.has(coding));
            }
        });
        suits
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

    fn decode_beginning(&self, fields: &HeaderMap, beginning: &Bytes, max_length: usize) -> Option<Vec<u8>> {
        beginning_decoded(fields, beginning, max_length)
    }
}

/// The same head, with its extensions.
pub(crate) fn head_of<B>(request: &Request<B>) -> Request<()> {
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
        if response.extensions().get::<RangeOfCoded>().is_some() {
            return if self.accepted.packs { Verdict::AskForWhole } else { Verdict::AskAsSent };
        }
        let Some(coding) = coding_of(headers) else { return Verdict::Suits };
        let is_part = status == StatusCode::PARTIAL_CONTENT;
        // The tag of a body that was packed here says nothing about the bytes that another packing would have.
        let is_strong = || headers.get(ETAG).is_some_and(|tag| tag.as_bytes().starts_with(b"\"") && !is_of_body(tag.as_bytes()));
        // A status that may be unpacked stands for the whole, which is what is asked about.
        let asked = if is_part { StatusCode::OK } else { status };
        let may_unpack = || !refuses_identity(self.request.headers()) && may_unpack(self.request.headers(), asked, headers);
        match self.accepted.has(coding) {
            true if is_part && self.accepted.packs && !is_strong() => Verdict::AskForWhole,
            true => Verdict::Suits,
            // The bytes of its own coding can be had from the origin, part by part; those of what was packed here cannot.
            false if is_part && (is_strong() || !self.accepted.packs) => Verdict::AskAsSent,
            false if !may_unpack() => Verdict::AskAsSent,
            false if is_part => Verdict::AskForWhole,
            false => Verdict::Unpack(coding),
        }
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
    fn nine_usual_values_are_one_variant() {
        let kept = codings(r#"encodings = ["zstd", "br", "gzip"]"#).expect("codings");
        let spec = VarySpec::new(vec![ACCEPT_ENCODING]);
        let variant = |accepted| {
            let mut request = request(accepted);
            let accepted = kept.ask_for_all(&mut request);
            let codings = accepted.map(|accepted| Coding::ALL.map(|coding| accepted.has(coding)));
            (spec.secondary_key(request.headers()).text().to_owned(), codings)
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
        assert!(found.iter().all(|(key, _)| *key == found[0].0), "{found:?}");
        let (some, none) = (Some([false, false, true]), Some([false; 3]));
        let expected = [None, None, Some([false, true, true]), None, some, some, none, none, none];
        assert_eq!(found.map(|(_, codings)| codings), expected);
        assert!(codings("").is_none() && codings("encodings = []").is_none());
    }

    #[test]
    fn a_write_goes_up_as_it_was_sent() {
        let kept = codings(r#"encodings = ["gzip"]"#).expect("codings");
        let mut write = request(Some("deflate"));
        *write.method_mut() = Method::POST;
        assert!(kept.ask_for_all(&mut write).is_none() && kept.negotiate(&mut write).is_none());
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
        assert_eq!(verdict(Some("gzip, *;q=0"), false, 200, &[brotli]).0, Verdict::AskAsSent, "it refuses what is not coded");
        assert_eq!(verdict(None, true, 206, &[brotli, ("etag", "\"1\"")]), (Verdict::AskAsSent, true, None));
        assert_eq!(verdict(None, true, 206, &[brotli, ("etag", "W/\"1\"")]).0, Verdict::AskForWhole);
        assert_eq!(verdict(None, true, 206, &[brotli, ("cache-control", "no-transform")]).0, Verdict::AskAsSent);
        let all = Some("br, gzip");
        assert_eq!(verdict(all, true, 206, &[brotli, ("etag", "\"1\"")]).0, Verdict::Suits, "the origin's own bytes");
        assert_eq!(
            verdict(all, true, 206, &[brotli, ("etag", "W/\"1\"")]),
            (Verdict::AskForWhole, false, all.map(HeaderValue::from_static))
        );
    }
}
