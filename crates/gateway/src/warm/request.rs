//! One request of a job, on the way that a client's takes.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use larder_semantics::Reason;
use larder_tower::clock::monotonic;
use larder_tower::{CacheResult, EffectiveTarget, ForTheStore, Served, Verdict};

use super::item::{Extent, Item};
use crate::active::ActiveConfig;
use crate::client::{ClientConnection, TrustedProxies, effective_target};
use crate::jobs::Fetched;
use crate::proxy::{Gateway, Service, Step, for_the_cache, way};
use crate::routing::{ResponseEdits, WayBody};
use crate::upstream::ClientContext;

/// How an origin sees who asks, where the job does not say.
const AGENT: HeaderValue = HeaderValue::from_static("larder (warming)");

/// What a request came to.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) fetched: Fetched,
    /// How long its answer took; `None` where nothing was asked for.
    pub(super) took: Option<Duration>,
    /// Where the origin wants no requests for now, with how long, if it says so.
    pub(super) refused: Option<Option<Duration>>,
    /// Whether the origin was asked, or is in the background.
    pub(super) is_refresh: bool,
}

impl Asked {
    fn nothing(fetched: Fetched) -> Self {
        Self { fetched, took: None, refused: None, is_refresh: false }
    }

    /// Nothing could be asked for.
    pub(super) fn failed(reason: &'static str) -> Self {
        Self::nothing(Fetched::Failed(reason))
    }
}

/// A request that a service may answer.
struct Prepared {
    service: Service,
    request: Request<Empty<Bytes>>,
    effective: EffectiveTarget,
    connection: ClientConnection,
    edits: Option<ResponseEdits>,
}

/// The way of a request up to the cache: what a client would meet.
fn prepare(gateway: &Gateway, url: &Uri, fields: &HeaderMap) -> Result<Prepared, Fetched> {
    let (mut request, connection) = question(url, fields);
    let active = gateway.active.load();
    let target = effective_target(request.uri(), request.headers(), &connection, &TrustedProxies::default());
    let way = way(&active, &request, &target, |_| false);
    let (service, effective) = match (way.step, way.service) {
        (Step::Cache(None), Some(service)) => (service.clone(), for_the_cache(target.clone())),
        (Step::Cache(Some(reason)), _) => return Err(Fetched::NotStored(reason.as_str())),
        (_, None) => return Err(Fetched::Failed("no-route")),
        _ => return Err(Fetched::Failed("refused")),
    };
    let (client, route) = (target.client, service.route().index());
    let edits = active.edits_of(route).and_then(|edits| edits.apply(request.headers_mut(), client, false));
    if let Some(codings) = active.codings_of(route) {
        let _ = codings.ask_for_all(&mut request);
    }
    Ok(Prepared { service, request: request.map(|()| Empty::new()), effective, connection, edits })
}

/// Asks for a URL as a client would. An answer whose body is to be read.
pub(super) async fn get(gateway: &Gateway, url: &Uri, fields: &HeaderMap) -> Result<Served<WayBody>, Fetched> {
    let Prepared { service, request, effective, connection, edits } = prepare(gateway, url, fields)?;
    let served = service.serve(request, effective, |extensions| {
        extensions.insert(ClientContext { connection, interim: None, min_upload_rate: 0, observer: None });
        extensions.insert(ForTheStore);
        edits.and_then(|edits| extensions.insert(edits));
    });
    served.await.map_err(|_| Fetched::Failed("unreachable"))
}

/// Asks for a URL, and reads what is stored to its end: it is whole then.
pub(super) async fn ask(gateway: &Gateway, item: &Item) -> Asked {
    let began = monotonic();
    let served = match get(gateway, &item.url, &item.fields).await {
        Ok(served) => served,
        Err(fetched) => return Asked::nothing(fetched),
    };
    let Served { response, outcome, .. } = served;
    let status = response.status();
    let is_too_much = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let refused = is_too_much.then(|| retry_after(response.headers()));
    let was_asked = outcome.result != CacheResult::Hit;
    let took = was_asked.then(|| monotonic().saturating_duration_since(began));
    let mut body = response.into_body();
    let mut body = Pin::new(&mut body);
    let mut is_whole = true;
    if is_read(outcome.result, outcome.stored, body.size_hint().exact()) {
        while let Some(frame) = body.frame().await {
            is_whole &= frame.is_ok();
        }
    }
    let fetched = match outcome.result {
        _ if !is_whole => Fetched::Failed("broken-off"),
        _ if status == StatusCode::TOO_MANY_REQUESTS => Fetched::Failed("too-many-requests"),
        _ if status.is_server_error() => Fetched::Failed("server-error"),
        CacheResult::Hit => Fetched::Hit,
        _ if outcome.stored || outcome.result == CacheResult::Revalidated => Fetched::Stored,
        _ => Fetched::NotStored(outcome.reason.as_str()),
    };
    Asked { fetched, took, refused, is_refresh: was_asked || outcome.stale }
}

/// Whether a body is read. One that is not stored is of no use here, and without a length it may have no end, as a stream of events or a log that is
/// followed; the others leave their connection to the next request.
fn is_read(result: CacheResult, is_stored: bool, length: Option<u64>) -> bool {
    is_stored || length.is_some() || matches!(result, CacheResult::Hit | CacheResult::Revalidated)
}

/// What asking for a URL would come to.
pub(super) fn look(gateway: &Gateway, item: &Item) -> Asked {
    Asked::nothing(match dry(gateway, item) {
        Err(fetched) => fetched,
        Ok(Verdict::Hit { refreshes: false, .. }) => Fetched::Hit,
        Ok(verdict) => Fetched::Left(verdict.reason().as_str()),
    })
}

/// Whether a request is for this run: in one after a purge, what it has reached and nobody has fetched again.
pub(super) fn is_due(gateway: &Gateway, item: &Item, extent: Extent) -> bool {
    extent != Extent::Purged || dry(gateway, item).is_ok_and(|verdict| matches!(verdict.reason(), Reason::Purged | Reason::SoftPurged))
}

fn dry(gateway: &Gateway, item: &Item) -> Result<Verdict, Fetched> {
    let Prepared { service, request, effective, .. } = prepare(gateway, &item.url, &item.fields)?;
    Ok(service.dry_run(request.map(|_| ()), &effective, &Bytes::new()).verdict)
}

/// Whether the upstream that a URL leads to has no place that no client waits for.
pub(super) fn is_busy(gateway: &Gateway, url: &Uri) -> bool {
    let (request, connection) = question(url, &HeaderMap::new());
    let active: &ActiveConfig = &gateway.active.load();
    let target = effective_target(request.uri(), request.headers(), &connection, &TrustedProxies::default());
    let route = active.route(&request, &target.authority).and_then(|service| active.settings_of(service.route().index()));
    route.and_then(|route| active.upstreams.get(route.upstream)).is_some_and(|upstream| upstream.pressure().is_full())
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

/// The time that an origin asks for in seconds; a date says less than the next attempt.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs)
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
    fn a_stream_that_is_not_stored_is_not_read() {
        assert!(!is_read(CacheResult::Miss, false, None) && !is_read(CacheResult::Bypass, false, None));
        assert!(is_read(CacheResult::Miss, true, None) && is_read(CacheResult::Miss, false, Some(7)));
        assert!(is_read(CacheResult::Hit, false, None) && is_read(CacheResult::Revalidated, false, None));
    }

    #[test]
    fn a_pause_is_told_in_seconds() {
        let of = |text: &'static str| retry_after(&[(RETRY_AFTER, HeaderValue::from_static(text))].into_iter().collect());
        assert_eq!(
            [of("7"), of("Sun, 06 Nov 1994 08:49:37 GMT"), retry_after(&HeaderMap::new())].map(|pause| pause.map(|pause| pause.as_secs())),
            [Some(7), None, None]
        );
    }
}
