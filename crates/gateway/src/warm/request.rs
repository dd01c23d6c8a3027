//! One request of a job, on the way that a client's takes.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Empty};
use larder_tower::{CacheResult, Served};

use crate::client::{ClientConnection, TrustedProxies, effective_target};
use crate::jobs::Fetched;
use crate::proxy::{Gateway, Step, for_the_cache, way};
use crate::routing::WayBody;
use crate::upstream::ClientContext;

/// How an origin sees who asks, where the job does not say.
const AGENT: HeaderValue = HeaderValue::from_static("larder (warming)");
/// The pause after 429 and 503 without `Retry-After`, and the longest with it.
const PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Asks for a URL as a client would, and reads the answer to its end. Returns what became of it, and the pause that the origin asks for.
pub(super) async fn fetch(gateway: &Gateway, url: &Uri, fields: &HeaderMap) -> (Fetched, Option<Duration>) {
    let (mut request, connection) = question(url, fields);
    let active = gateway.active.load_full();
    let target = effective_target(request.uri(), request.headers(), &connection, &TrustedProxies::default());
    let way = way(&active, &request, &target, |_| false);
    let (service, effective) = match (way.step, way.service) {
        (Step::Cache(None), Some(service)) => (service, for_the_cache(target.clone())),
        (Step::Cache(Some(reason)), _) => return (Fetched::NotStored(reason.as_str()), None),
        (_, None) => return (Fetched::Failed("no-route"), None),
        _ => return (Fetched::Failed("refused"), None),
    };
    let (client, route) = (target.client, service.route().index());
    let edits = active.edits_of(route).and_then(|edits| edits.apply(request.headers_mut(), client));
    if let Some(codings) = active.codings_of(route) {
        let _ = codings.negotiate(&mut request);
    }
    let served = service.serve(request.map(|()| Empty::<Bytes>::new()), effective, |extensions| {
        extensions.insert(ClientContext { connection, interim: None, min_upload_rate: 0, observer: None });
        edits.and_then(|edits| extensions.insert(edits));
    });
    match served.await {
        Ok(served) => read(served).await,
        Err(_) => (Fetched::Failed("unreachable"), None),
    }
}

/// Whether requests of clients wait for a place at the upstream that a URL leads to.
pub(super) fn is_busy(gateway: &Gateway, url: &Uri) -> bool {
    let (request, connection) = question(url, &HeaderMap::new());
    let active = gateway.active.load();
    let target = effective_target(request.uri(), request.headers(), &connection, &TrustedProxies::default());
    let route = active.route(&request, &target.authority).and_then(|service| active.settings_of(service.route().index()));
    route.and_then(|route| active.upstreams.get(route.upstream)).is_some_and(|upstream| upstream.pressure().waiting() > 0)
}

/// The request, and the connection that it would have come over.
fn question(url: &Uri, fields: &HeaderMap) -> (Request<()>, ClientConnection) {
    let mut request = Request::new(());
    *request.uri_mut() = url.path_and_query().cloned().map_or(Uri::from_static("/"), Uri::from);
    *request.headers_mut() = fields.clone();
    if let Some(host) = url.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
    let secure = url.scheme() == Some(&http::uri::Scheme::HTTPS);
    (request, ClientConnection { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), secure, version: Version::HTTP_11 })
}

/// Reads an answer to its end: what is stored is whole then.
async fn read(served: Served<WayBody>) -> (Fetched, Option<Duration>) {
    let Served { response, outcome, .. } = served;
    let status = response.status();
    let is_too_much = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let pause = is_too_much.then(|| asked_for(response.headers()));
    let mut body = response.into_body();
    let mut body = Pin::new(&mut body);
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return (Fetched::Failed("broken-off"), pause);
        }
    }
    let fetched = match outcome.result {
        _ if status.is_server_error() => Fetched::Failed("server-error"),
        CacheResult::Hit => Fetched::Hit,
        _ if outcome.stored || outcome.result == CacheResult::Revalidated => Fetched::Stored,
        _ => Fetched::NotStored(outcome.reason.as_str()),
    };
    (fetched, pause)
}

/// The pause that an origin asks for in seconds; a date says less than the next attempt.
fn asked_for(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_asks_as_a_client_would() {
        let mut fields = HeaderMap::new();
        fields.insert("accept-language", HeaderValue::from_static("de"));
        let (request, connection) = question(&Uri::from_static("https://a.example:8443/b?c=d"), &fields);
        assert_eq!((request.uri(), connection.secure), (&Uri::from_static("/b?c=d"), true));
        let field = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
        assert_eq!([field("host"), field("accept-language"), field("user-agent")], ["a.example:8443", "de", "larder (warming)"]);
    }

    #[test]
    fn a_pause_is_as_long_as_the_origin_says_but_not_for_ever() {
        let of = |text: &'static str| asked_for(&[(RETRY_AFTER, HeaderValue::from_static(text))].into_iter().collect());
        assert_eq!([of("7"), of("86400"), of("Sun, 06 Nov 1994 08:49:37 GMT")].map(|pause| pause.as_secs()), [7, 60, 5]);
        assert_eq!(asked_for(&HeaderMap::new()), PAUSE);
    }
}
