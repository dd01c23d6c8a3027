//! `POST /purge`, and `POST /events`: something happened elsewhere that makes stored responses old.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use http_body::Body as _;
use http_body_util::LengthLimitError;
use larder_store::Invalidation;
use larder_tower::Cache;
use larder_tower::clock::monotonic;
use serde_json::{Value, json};

use super::Shared;
use crate::config;
use crate::purge::{self, Ask, Known, Refused, USUAL_WAIT, elsewhere, event, message};
use crate::telemetry::traces::RequestSpan;

/// Bytes of a body.
const MAX_BODY: usize = 1 << 20;

/// Bytes of an event.
const MAX_EVENT: usize = 64 << 10;

/// How long a body may take to come.
const READING: Duration = Duration::from_secs(10);

/// The longest `wait`.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// `?wait=2s`, `?count`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    /// How long every active replica may take to apply it.
    wait: Duration,
    /// Only an estimate of what would be purged.
    count: bool,
}

/// Purges all that the body names, or nothing.
pub(crate) async fn purge(State(shared): State<Shared>, request: Request) -> Response<Body> {
    answer(&shared, request).await.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let active = shared.gateway.active.load_full();
    json_only(&parts.headers)?;
    let options = options(parts.uri.query())?;
    let body = read(body, MAX_BODY).await?;
    let ask = Ask::parse(&body)?;
    let (cache, known) = (&shared.gateway.cache, Known(&active));
    let invalidation = ask.invalidation(&known, active.config.purge.max_targets)?;
    let hints = elsewhere::hints(&ask, &known, &active.config.server, cache);
    if options.count {
        let mut counted = json!({ "count": cache.estimate(&invalidation), "estimate": true });
        if !hints.is_empty() {
            counted["hints"] = hints.into();
        }
        return Ok(Json(counted).into_response());
    }
    let _span = span(shared, &parts.headers);
    Ok(purge::purge(cache, &invalidation, options.wait).await.response(&hints).map(Body::from))
}

/// The span of a purge, where it is traced. Who may purge is believed about traces.
fn span(shared: &Shared, headers: &HeaderMap) -> Option<RequestSpan> {
    let (gateway, started) = (&shared.gateway, monotonic());
    let trace = gateway.active.load().tracer.as_ref()?.begin(headers, true, started, || gateway.clock.now())?;
    Some(RequestSpan::new(trace, started, "purge".to_owned(), Vec::new()))
}

/// Purges, and answers with the outcome.
pub(super) async fn carried_out(cache: &Cache, invalidation: &Invalidation, wait: Duration) -> Response<Body> {
    purge::purge(cache, invalidation, wait).await.response(&[]).map(Body::from)
}

/// The whole body, of at most so many bytes. A client that does not send it holds one of the few connections that probes need too. A body that
/// announces more is not asked for: a client that waits for `100 Continue` does not send it (RFC 9110 §10.1.1).
pub(super) async fn read(body: Body, max: usize) -> Result<Bytes, Refused> {
    let too_large = || {
        let detail = format!("The body is larger than {}.", config::display_bytes(max as u64));
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let Ok(read) = tokio::time::timeout(READING, to_bytes(body, max)).await else {
        return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time."));
    };
    read.map_err(|error| {
        if error.source().is_some_and(|source| source.is::<LengthLimitError>()) {
            return too_large();
        }
        Refused::new(StatusCode::BAD_REQUEST, "The body did not arrive intact.")
    })
}

/// A form of another site's page cannot have this type, and its script cannot set it unasked.
pub(super) fn json_only(headers: &HeaderMap) -> Result<(), Refused> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has to be JSON: Content-Type: application/json."))
    }
}

fn options(query: Option<&str>) -> Result<Options, Refused> {
    let wrong = |detail: String| Refused::new(StatusCode::BAD_REQUEST, detail);
    let mut options = Options { wait: USUAL_WAIT, count: false };
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("count", "" | "true") => options.count = true,
            ("wait", text) => match config::parse_duration(text) {
                Some(wait) if wait <= MAX_WAIT => options.wait = wait,
                _ => return Err(wrong(format!("`{text}` is not a time to wait: 2s, at most 60s."))),
            },
            (name, _) => return Err(wrong(format!("`{name}` is not a parameter of a purge: wait=2s or count."))),
        }
    }
    Ok(options)
}

/// Purges what `[[on_event]]` says for events of this type, or nothing.
pub(crate) async fn events(State(shared): State<Shared>, request: Request) -> Response<Body> {
    happened(&shared, request).await.unwrap_or_else(|refused| refused.into_response())
}

async fn happened(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let active = shared.gateway.active.load_full();
    json_only(&parts.headers)?;
    let body = read(body, MAX_EVENT).await?;
    let happened: Value =
        serde_json::from_slice(&body).map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}.")))?;
    if happened.is_object() {
        message::once_per_name(&body)?;
    }
    let targets = event::targets(&active, &happened)?;
    Ok(carried_out(&shared.gateway.cache, &Invalidation::hard(targets), USUAL_WAIT).await)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::http::HeaderValue;

    use super::*;

    /// A body whose sender left.
    struct Cut;

    impl http_body::Body for Cut {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<http_body::Frame<Bytes>>>> {
            Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())))
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_is_not_called_too_large() {
        let status = |read: Result<Bytes, Refused>| read.err().map(|refused| refused.status.as_u16());
        assert_eq!(status(read(Body::new(Cut), 16).await), Some(400));
        assert_eq!(status(read(Body::from("{\"all\":true}"), 4).await), Some(413));
        assert_eq!(status(read(Body::from("{}"), 4).await), None);
    }

    /// A body that never comes.
    struct Stalled;

    impl http_body::Body for Stalled {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<http_body::Frame<Bytes>>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        assert_eq!(read(Body::new(Stalled), 16).await.expect_err("nothing came").status, StatusCode::REQUEST_TIMEOUT);
    }

    #[test]
    fn parameters_are_known_or_refused() {
        assert_eq!(options(None), Ok(Options { wait: USUAL_WAIT, count: false }));
        assert_eq!(options(Some("wait=5s&count")), Ok(Options { wait: Duration::from_secs(5), count: true }));
        for query in ["wait=soon", "wait=", "wait=61s", "dry_run=1", "count=3"] {
            assert_eq!(options(Some(query)).expect_err(query).status, StatusCode::BAD_REQUEST, "{query}");
        }
    }

    #[test]
    fn only_json_is_read() {
        let with = |value| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
        assert!(json_only(&with("application/json; charset=utf-8")).is_ok());
        for other in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert_eq!(json_only(&with(other)).expect_err(other).status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        assert!(json_only(&HeaderMap::new()).is_err());
    }
}
