//! The request that somebody asks about.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use larder_semantics::fields::drop_nominated;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde::Deserialize;

use crate::client::ClientConnection;
use crate::purge::Refused;

/// The JSON of a question.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    url: Option<String>,
    /// The id of a request that has happened.
    #[serde(default)]
    id: Option<String>,
    /// The last request that has happened.
    #[serde(default)]
    last: bool,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    /// The content of the request.
    #[serde(default)]
    data: String,
    /// The address that it comes from.
    #[serde(default)]
    client: Option<IpAddr>,
    #[serde(default)]
    fetch: bool,
}

/// One line of a field, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

/// Reads a question about a request that might come.
pub(crate) fn question(json: &serde_json::Value) -> Result<ExplainRequest, Refused> {
    match ExplainRequest::parse(json.to_string().as_bytes())? {
        Subject::Request(request) => Ok(*request),
        Subject::Happened(_) => Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "This is about a request that has happened.")),
    }
}

/// What is parsed.
pub(crate) enum Subject {
    /// A request that might come.
    Request(Box<ExplainRequest>),
    /// One that has happened: the one with this id, or the last one.
    Happened(Option<String>),
}

/// A request as a listener would have read it.
pub(crate) struct ExplainRequest {
    pub(crate) request: Request<()>,
    pub(crate) connection: ClientConnection,
    pub(crate) data: Bytes,
    /// Whether the origin is to be parsed.
    pub(crate) fetch: bool,
}

impl ExplainRequest {
    /// Reads a question. A mistake in it is said with its place.
    pub(crate) fn parse(body: &[u8]) -> Result<Subject, Refused> {
        let wrong = |detail: String| Refused::new(StatusCode::BAD_REQUEST, detail);
        let question: Question = serde_json::from_slice(body).map_err(|error| match error.is_data() {
            true => wrong(format!("This is not a question: {error}. It is {{\"url\", \"method\", \"headers\"}}.")),
            false => wrong(format!("The body is not JSON: {error}.")),
        })?;
        match (&question.url, &question.id, question.last) {
            (Some(_), None, false) => question.request().map(|request| Subject::Request(Box::new(request))),
            (None, None, true) => Ok(Subject::Happened(None)),
            (None, Some(id), false) => Ok(Subject::Happened(Some(id.clone()))),
            _ => Err(wrong("This is not a question: it is about a `url`, or the request with an `id`, or the `last` one.".to_owned())),
        }
    }
}

impl Question {
    fn request(self) -> Result<ExplainRequest, Refused> {
        let wrong = |detail: String| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        let url = self.url.unwrap_or_default();
        let (secure, authority, target) = parts_of(&url)
            .ok_or_else(|| wrong(format!("url: `{}` is not an absolute URL like http://example.com/a?b=1.", clipped(&url))))?;
        let name = self.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(name.as_bytes()).ok().filter(|method| *method != Method::CONNECT);
        let method = method.ok_or_else(|| wrong(format!("method: `{}` is not a method that a listener takes.", clipped(name))))?;
        let mut request = Request::builder().method(method).uri(target).version(Version::HTTP_11).body(());
        let request = request.as_mut().map_err(|error| wrong(format!("url: {error}.")))?;
        let fields = request.headers_mut();
        fields.insert(header::HOST, authority);
        for (name, values) in self.headers {
            let field =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(format!("headers: `{}` is no field name.", clipped(&name))))?;
            if field == header::HOST {
                return Err(wrong("headers: the host stands in the URL.".to_owned()));
            }
            let lines = match values {
                Values::One(line) => vec![line],
                Values::Several(lines) => lines,
            };
            for line in lines {
                let value = HeaderValue::from_str(&line).map_err(|_| wrong(format!("headers: the value of `{field}` cannot be sent.")))?;
                fields.append(&field, value);
            }
        }
        if self.fetch && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(wrong(
                "fetch: only a GET or a HEAD is tried out; any other request may change something at the origin.".to_owned(),
            ));
        }
        // A listener has done so before anything is decided.
        drop_nominated(request.headers_mut());
        let peer = self.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Ok(ExplainRequest {
            request: std::mem::take(request),
            connection: ClientConnection { peer, secure, version: Version::HTTP_11 },
            data: Bytes::from(self.data),
            fetch: self.fetch,
        })
    }
}

/// Whether it is `https`, the authority, and the target as it stands in a request. What is not ASCII is meant as browsers send it (RFC 3987 §3.1).
fn parts_of(url: &str) -> Option<(bool, HeaderValue, Uri)> {
    let encoded = utf8_percent_encode(url, CONTROLS).to_string();
    let uri: Uri = encoded.parse().ok().filter(|_| !url.contains(['#', ' ']))?;
    let secure = match uri.scheme_str()? {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let authority = uri.authority()?.as_str();
    if authority.contains('@') {
        return None;
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('?') { format!("/{target}") } else { target.to_owned() };
    Some((secure, HeaderValue::from_str(authority).ok()?, target.parse().ok()?))
}

/// The beginning of a text that may have any length.
fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> ExplainRequest {
        match ExplainRequest::parse(body.as_bytes()) {
            Ok(Subject::Request(request)) => *request,
            Ok(Subject::Happened(id)) => panic!("{body}: {id:?}"),
            Err(refused) => panic!("{body}: {}", refused.detail),
        }
    }

    fn refusal(body: &str) -> (u16, String) {
        let refused = ExplainRequest::parse(body.as_bytes()).err().unwrap_or_else(|| panic!("{body} was taken"));
        (refused.status.as_u16(), refused.detail)
    }

    #[test]
    fn a_question_becomes_the_request_that_a_listener_reads() {
        let body =
            r#"{"url":"https://a.example/x?b=1","method":"HEAD","headers":{"Accept":["a","b"],"Cookie":"c=1"},"client":"203.0.113.7"}"#;
        let parsed = request(body);
        assert_eq!((parsed.request.method(), parsed.request.uri().to_string()), (&Method::HEAD, "/x?b=1".to_owned()));
        assert_eq!(parsed.request.headers()[header::HOST], "a.example");
        assert_eq!(parsed.request.headers().get_all("accept").iter().count(), 2);
        assert!(parsed.connection.secure && parsed.connection.peer.to_string() == "203.0.113.7");
    }

    #[test]
    fn the_target_is_what_a_client_would_send() {
        for (url, target) in [
            ("http://a.example", "/"),
            ("http://a.example?x=1", "/?x=1"),
            ("http://a.example/a/../b//c", "/a/../b//c"),
            ("http://a.example/ä?b=ö", "/%C3%A4?b=%C3%B6"),
        ] {
            let parsed = request(&format!("{{\"url\":\"{url}\"}}"));
            assert_eq!(parsed.request.uri(), target, "{url}");
        }
    }

    #[test]
    fn a_mistake_is_said_with_its_place() {
        for (body, status, said) in [
            ("", 400, "The body is not JSON"),
            ("[]", 400, "This is not a question"),
            ("{}", 400, "it is about a `url`"),
            (r#"{"url":"http://a/","last":true}"#, 400, "it is about a `url`"),
            (r#"{"url":"http://a/","uri":"x"}"#, 400, "unknown field `uri`"),
            (r#"{"url":"/a"}"#, 422, "url: `/a` is not an absolute URL"),
            (r#"{"url":"ftp://a/"}"#, 422, "url: "),
            (r#"{"url":"http://u:p@a/"}"#, 422, "url: "),
            (r#"{"url":"http://a/#b"}"#, 422, "url: "),
            (r#"{"url":"http://a/b c"}"#, 422, "url: "),
            (r#"{"url":"http://a/","method":"CONNECT"}"#, 422, "method: "),
            (r#"{"url":"http://a/","method":"G T"}"#, 422, "method: "),
            (r#"{"url":"http://a/","headers":{"a b":"c"}}"#, 422, "headers: `a b` is no field name"),
            (r#"{"url":"http://a/","headers":{"a":"b\r\nc: d"}}"#, 422, "headers: the value of `a`"),
            (r#"{"url":"http://a/","headers":{"Host":"b"}}"#, 422, "headers: the host"),
            (r#"{"url":"http://a/","client":"me"}"#, 400, "This is not a question"),
            (r#"{"url":"http://a/","method":"POST","fetch":true}"#, 422, "fetch: only a GET or a HEAD"),
        ] {
            let (found, detail) = refusal(body);
            assert!(found == status && detail.contains(said), "{body}: {found} {detail}");
        }
    }
}
