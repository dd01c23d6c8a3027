//! Answers that Larder gives by itself when it cannot give the origin's: a small problem body (RFC 9457) and, in `Proxy-Status`
//! (RFC 9209), what went wrong. Nothing of the inside shows: no address, no library's error text, no path.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::http1;

/// The id of a request, by which other services log the same one.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const PROXY_STATUS: &str = "proxy-status";
const CONTENT_TYPE: &str = "application/problem+json";

/// The answer to a request with more content than it may have (RFC 9110 §15.5.14). The connection is closed, "to prevent the client from
/// continuing the request".
pub const TOO_LARGE: Problem = Problem::refusal(StatusCode::PAYLOAD_TOO_LARGE, "The request has more content than is allowed here.");

/// The answer to a client that has had as much as it may have for now (RFC 6585 §4).
pub const LIMITED: Problem =
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "http_request_denied", "This client has had as much as it may have for now.");

/// One such answer, before it is bound to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    error: &'static str,
    detail: &'static str,
    closes: bool,
    retry_after: Option<u32>,
}

impl Problem {
    /// An answer with `status`, a Proxy-Status error type (RFC 9209 §2.3) and one sentence for the reader.
    pub const fn new(status: StatusCode, error: &'static str, detail: &'static str) -> Self {
        Self { status, error, detail, closes: false, retry_after: None }
    }

    /// A refusal of a malformed or unwelcome request. The connection is closed, because where the next request on it would begin
    /// can no longer be trusted (RFC 9112 §11.2).
    pub const fn refusal(status: StatusCode, detail: &'static str) -> Self {
        Self::new(status, "http_request_error", detail).closing()
    }

    /// Closes the connection after it.
    pub const fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Says after how many seconds it is worth asking again (RFC 9110 §10.2.3).
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence for the reader, for logs: never of a request's own words.
    pub fn detail(&self) -> &'static str {
        self.detail
    }

    /// The Proxy-Status error type, for logs and metrics: a bounded set.
    pub fn error(&self) -> &'static str {
        self.error
    }

    /// The response to a request with this method. `HEAD` gets the fields without the body.
    pub fn response(&self, method: &Method) -> Response<Bytes> {
        let body = self.body();
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(if *method == Method::HEAD { Bytes::new() } else { body });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(status) = HeaderValue::try_from(format!("larder; error={}", self.error)) {
            headers.insert(PROXY_STATUS, status);
        }
        headers.extend(self.retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        // "The server generating a 401 response MUST send a WWW-Authenticate header field" (RFC 9110 §15.5.2): tokens are all there is.
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// As [`Self::response`], with the upstream that the request was for (RFC 9209 §2.1.2), by the name that the configuration gives it.
    pub fn response_about(&self, method: &Method, upstream: &str) -> Response<Bytes> {
        let mut response = self.response(method);
        if let Ok(status) = HeaderValue::try_from(format!("larder; error={}; next-hop=\"{upstream}\"", self.error)) {
            response.headers_mut().insert(PROXY_STATUS, status);
        }
        response
    }

    /// The same as HTTP/1.1 bytes, for a connection that hyper has given up; with the request's id, where it has one.
    pub fn to_http1(&self, request_id: Option<&HeaderValue>) -> Vec<u8> {
        let (mut parts, body) = self.response(&Method::GET).into_parts();
        parts.headers.extend(request_id.map(|id| (X_REQUEST_ID, id.clone())));
        let mut message = Vec::new();
        http1::put_status_line(&mut message, parts.status);
        http1::put_fields(&mut message, &parts.headers);
        http1::end_head(&mut message);
        message.extend_from_slice(&body);
        message
    }

    /// `about:blank` says that the title is the status' own phrase (RFC 9457 §4.2.1).
    pub fn body(&self) -> Bytes {
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        Bytes::from(problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Problem =
        Problem::new(StatusCode::BAD_GATEWAY, "connection_refused", "The origin server did not accept the connection.");

    #[test]
    fn rfc9457_a_problem_names_type_title_status_and_detail() {
        let response = REFUSED.response(&Method::GET);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = response.into_body();
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            problem,
            serde_json::json!({
                "type": "about:blank",
                "title": "Bad Gateway",
                "status": 502,
                "detail": "The origin server did not accept the connection.",
            })
        );
    }

    #[test]
    fn rfc9110_15_5_2_a_401_says_what_would_do() {
        let denied = Problem::new(StatusCode::UNAUTHORIZED, "http_request_denied", "A token is needed.");
        assert_eq!(denied.response(&Method::GET).headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert!(!REFUSED.response(&Method::GET).headers().contains_key(header::WWW_AUTHENTICATE));
    }

    #[test]
    fn rfc9209_proxy_status_names_this_proxy_and_the_error_type() {
        assert_eq!(REFUSED.response(&Method::GET).headers()[PROXY_STATUS], "larder; error=connection_refused");
    }

    #[test]
    fn rfc9209_2_1_2_proxy_status_names_the_upstream_where_there_is_one() {
        let response = REFUSED.response_about(&Method::GET, "api");
        assert_eq!(response.headers()[PROXY_STATUS], "larder; error=connection_refused; next-hop=\"api\"");
    }

    #[test]
    fn rfc9110_10_2_3_a_problem_may_say_when_to_come_again() {
        assert_eq!(REFUSED.retry_after(5).response(&Method::GET).headers()[header::RETRY_AFTER], "5");
        assert!(!REFUSED.response(&Method::GET).headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn rfc9110_9_3_2_head_gets_the_length_and_no_body() {
        let get = REFUSED.response(&Method::GET);
        let head = REFUSED.response(&Method::HEAD);
        assert_eq!(head.headers(), get.headers());
        assert!(head.into_body().is_empty());
    }

    #[test]
    fn as_bytes_it_is_a_whole_http_message() {
        let text = String::from_utf8(REFUSED.to_http1(Some(&HeaderValue::from_static("7f3a")))).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())) && head.contains("x-request-id: 7f3a"), "{head}");
    }

    #[test]
    fn a_refusal_closes_the_connection_and_a_failed_origin_does_not() {
        let refusal = Problem::refusal(StatusCode::BAD_REQUEST, "The request is malformed.");
        assert_eq!(refusal.response(&Method::GET).headers()[header::CONNECTION], "close");
        assert!(!REFUSED.response(&Method::GET).headers().contains_key(header::CONNECTION));
    }
}
