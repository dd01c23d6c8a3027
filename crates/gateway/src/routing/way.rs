//! The way from the cache to an origin as one route has it: with other paths, other fields in the answer, and another time-out.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::Body as _;
use larder_coding::{Coded, Packing, PackingRequest};
use larder_message::PathRewrite;
use larder_message::edit::{FieldEdits, FieldValues, FilledEdits};
use larder_message::forward::OwnFields;
use larder_tower::{CACHE_NAMESPACE, CACHE_TTL, ClientBody, Pooled, RequestBody};
use tower_service::Service;

use super::WayBody;
use super::metered::{Metering, RouteUsage};
use crate::config::{ClientControls, Compress, Route, UpstreamServer};
use crate::limits::MissTicket;
use crate::telemetry::metrics::{Metrics, Recoded};
use crate::upstream::{ClientContext, TunnelClient, UpstreamBody, UpstreamError, UpstreamService};

const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// An upstream as one route asks it. Where the route says nothing of the way, it is the upstream and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct RouteUpstream {
    upstream: UpstreamService,
    way: Option<Arc<Way>>,
    /// The client of the one request that this clone is for. In that request's extensions it would take several allocations.
    client: Option<ClientContext>,
    /// Whether requests may have a [`MissTicket`].
    is_limited: bool,
}

/// The way for the one request of this client, which asks to leave HTTP: as [`RouteUpstream::upgrade`].
#[derive(Clone)]
pub(crate) struct Tunnelled {
    pub(crate) way: RouteUpstream,
    pub(crate) client: TunnelClient,
}

/// What a route says of the way.
#[derive(Debug)]
struct Way {
    rewrite: Option<PathRewrite>,
    /// The same with the upstream's own path, which the origin has before all of its paths.
    back: Option<PathRewrite>,
    timeout: Option<Duration>,
    /// Changes to answers, unless a request brings its own ([`ResponseEdits`]).
    response: FilledEdits,
    /// Answers that are packed.
    packing: Option<Packing>,
    metrics: Arc<Metrics>,
    /// Where its answers are those of models.
    usage: Option<RouteUsage>,
    /// Fields that only the operator can have written, or removes.
    own: Option<OwnFields>,
    /// Whether the operator writes `X-Forwarded-Prefix` in place of what is stripped.
    writes_prefix: bool,
    /// Names under which the origin may know itself, besides the client's.
    origins: Box<[Box<str>]>,
    /// Whether requests may have fields that are meant for Larder.
    has_controls: bool,
    /// Whether QUERY, and whether POST, only reads, so that its answers may be stored.
    reads_content: (bool, bool),
}

/// Changes to the answer of one request, which its own fields are part of; in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct ResponseEdits(pub(crate) Arc<FilledEdits>);

/// What happens to an answer, known before its request goes out.
struct Incoming {
    way: Arc<Way>,
    edits: Option<ResponseEdits>,
    host: Option<String>,
    packing_request: Option<PackingRequest>,
    is_head: bool,
    /// The path, where it tells how the cost of the answer is read.
    path: Option<Box<str>>,
    /// Of the client who pays for it, where its cost is read.
    ticket: Option<MissTicket>,
}

impl RouteUpstream {
    /// The way of a route to its upstream, which consists of these servers.
    pub(crate) fn new(
        upstream: UpstreamService,
        route: &Route,
        servers: &[UpstreamServer],
        metrics: &Arc<Metrics>,
        usage: Option<RouteUsage>,
    ) -> Self {
        let settings = &route.settings;
        let is_plain = settings.rewrite.is_none()
            && settings.timeout.is_none()
            && settings.request.is_empty()
            && settings.response.is_empty()
            && settings.encodings.is_empty()
            && settings.client_controls == ClientControls::Nobodys
            && usage.is_none();
        Self {
            upstream,
            way: (!is_plain).then(|| Arc::new(Way { usage, ..Way::of(route, servers, metrics) })),
            client: None,
            is_limited: false,
        }
    }

    /// The same, with limits on what its origin is asked.
    pub(crate) fn limited(self, is_limited: bool) -> Self {
        Self { is_limited, ..self }
    }

    /// From now on for the one request of this client.
    pub(crate) fn is_for(&mut self, client: ClientContext) {
        self.client = Some(client);
    }

    /// Whether a path may lead out of what is put before it. Such a request must not be sent.
    pub(crate) fn leaves_base(&self, path: &str) -> bool {
        let rewrite = self.way.as_ref().and_then(|way| way.rewrite.as_ref());
        self.upstream.leaves_base(path) || rewrite.is_some_and(|rewrite| rewrite.leaves_base(path))
    }

    /// As [`UpstreamService::upgrade`], on this way.
    pub(crate) async fn upgrade(
        &self,
        request: Request<impl ClientBody>,
        client: TunnelClient,
    ) -> Result<Response<WayBody>, UpstreamError> {
        if let Some(ticket) = MissTicket::of(request.extensions()) {
            tokio::time::sleep(ticket.ask().await?).await;
        }
        let Some(way) = &self.way else { return Ok(self.upstream.upgrade(request, client).await?.map(WayBody::from)) };
        let (mut parts, body) = request.into_parts();
        let incoming = way.outgoing(&mut parts);
        let client = TunnelClient { first_byte_timeout: way.timeout, ..client };
        Ok(incoming.received(self.upstream.upgrade(Request::from_parts(parts, body), client).await?))
    }
}

impl Service<Request<RequestBody>> for RouteUpstream {
    type Response = Response<WayBody>;
    type Error = UpstreamError;
    type Future = Pooled<Result<Response<WayBody>, UpstreamError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.upstream.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let client = self.client.take();
        let Some(ticket) = MissTicket::of(request.extensions()).filter(|_| self.is_limited) else { return self.send(request, client) };
        let at_once = ticket.ask_at_once();
        if matches!(at_once, Some(Ok(Duration::ZERO))) {
            return self.send(request, client);
        }
        let (way, ticket) = (self.clone(), ticket.clone());
        Pooled::new(async move {
            let asked = match at_once {
                Some(asked) => asked,
                None => ticket.ask().await,
            };
            tokio::time::sleep(asked?).await;
            way.send(request, client).await
        })
    }
}

impl Service<Request<RequestBody>> for Tunnelled {
    type Response = Response<WayBody>;
    type Error = UpstreamError;
    type Future = Pooled<Result<Response<WayBody>, UpstreamError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.way.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let Self { way, client } = self.clone();
        Pooled::new(async move { way.upgrade(request, client).await })
    }
}

impl RouteUpstream {
    fn send(&self, request: Request<RequestBody>, client: Option<ClientContext>) -> Pooled<Result<Response<WayBody>, UpstreamError>> {
        let Some(way) = &self.way else { return self.upstream.ask(request, client, None, WayBody::from) };
        let (mut parts, body) = request.into_parts();
        let incoming = way.outgoing(&mut parts);
        let answer = self.upstream.ask(Request::from_parts(parts, body), client, way.timeout, |body| body);
        Pooled::new(async move { Ok(incoming.received(answer.await?)) })
    }
}

impl Way {
    fn of(route: &Route, servers: &[UpstreamServer], metrics: &Arc<Metrics>) -> Self {
        // Servers of one upstream have the same resources, so the path before them is the same too.
        let base_path = servers.first().map_or("", |server| server.url.base_path());
        let settings = &route.settings;
        let prefix = strips_prefix(route);
        let own = settings.request.replaced().chain(settings.request.removed()).cloned();
        let own: Vec<HeaderName> = own.chain(prefix.then_some(X_FORWARDED_PREFIX)).collect();
        let unknown = FieldValues { client: std::net::Ipv4Addr::UNSPECIFIED.into(), route: &route.name, request: &HeaderMap::new() };
        Self {
            back: settings
                .rewrite
                .as_ref()
                .map(|rewrite| PathRewrite { add_prefix: [base_path, &rewrite.add_prefix].concat(), ..rewrite.clone() }),
            rewrite: settings.rewrite.clone(),
            timeout: settings.timeout,
            response: if settings.response.depends_on_request() { FilledEdits::default() } else { settings.response.filled(unknown) },
            metrics: Arc::clone(metrics),
            usage: None,
            packing: (!settings.encodings.is_empty()).then(|| packing(route)),
            own: (!own.is_empty()).then(|| OwnFields(own.into())),
            writes_prefix: settings.request.replaced().chain(settings.request.added()).any(|name| *name == X_FORWARDED_PREFIX),
            reads_content: settings.content.as_ref().map_or((false, false), |content| (true, content.post)),
            has_controls: settings.client_controls != ClientControls::Nobodys,
            origins: servers.iter().map(|server| server.url.authority().as_str().into()).collect(),
        }
    }

    /// Makes a request into the one for the origin.
    fn outgoing(self: &Arc<Self>, parts: &mut Parts) -> Incoming {
        let edits = parts.extensions.remove::<ResponseEdits>();
        if self.has_controls {
            CONTROLS.iter().for_each(|name| _ = parts.headers.remove(*name));
        }
        if let Some(own) = &self.own {
            parts.extensions.insert(own.clone());
        }
        let path = self.usage.as_ref().map(|_| parts.uri.path().into());
        let ticket = self.usage.as_ref().and_then(|_| MissTicket::of(&parts.extensions).cloned());
        let mut host = None;
        if let Some(rewrite) = &self.rewrite {
            host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
            host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str().to_owned()));
            if let Ok(prefix) = rewrite.strip_prefix.parse::<http::HeaderValue>()
                && !prefix.is_empty()
            {
                // By it an origin that makes links knows where clients find it. It is in no key, so it is never the client's.
                if self.writes_prefix {
                    parts.headers.entry(X_FORWARDED_PREFIX).or_insert(prefix);
                } else {
                    parts.headers.insert(X_FORWARDED_PREFIX, prefix);
                }
            }
            parts.uri = rewrite.outgoing(&parts.uri);
        }
        let packing_request = self.packing.as_ref().map(|packing| packing.request(parts, self.reads(&parts.method)));
        Incoming { way: Arc::clone(self), edits, host, packing_request, is_head: parts.method == Method::HEAD, path, ticket }
    }
}

impl Way {
    /// Whether the answer to such a request may be stored.
    fn reads(&self, method: &Method) -> bool {
        let (query, post) = self.reads_content;
        [Method::GET, Method::HEAD].contains(method) || (post && *method == Method::POST) || (query && method.as_str() == "QUERY")
    }
}

/// What is packed: nothing where tags have to be read in bodies.
fn packing(route: &Route) -> Packing {
    let settings = &route.settings;
    let reads_bodies = route.tags.iter().any(|tag| tag.members().1.next().is_some());
    let compress = settings.compress.clone().filter(|_| !reads_bodies).unwrap_or(Compress { min: 0, types: Vec::new() });
    Packing { kept: settings.encodings.clone(), min: compress.min, types: compress.types }
}

impl Incoming {
    /// Makes an answer into the one that is stored and that clients get.
    fn received(self, response: Response<UpstreamBody>) -> Response<WayBody> {
        let (mut parts, body) = response.into_parts();
        if let Some(rewrite) = &self.way.back {
            let own = self.way.origins.iter().map(|origin| &**origin);
            let hosts: Vec<&str> = std::iter::once(self.host.as_deref().unwrap_or_default()).chain(own).collect();
            rewrite.incoming(&mut parts.headers, &hosts);
        }
        let edits = self.edits.as_ref().map_or(&self.way.response, |ResponseEdits(edits)| edits);
        edits.apply(&mut parts.headers, parts.status == StatusCode::NOT_MODIFIED);
        let length = if self.is_head { None } else { body.size_hint().exact() };
        // Before it is packed, since its cost is read from what the origin has sent.
        let metered = self.metering(&parts);
        let packed = match (&self.way.packing, &self.packing_request) {
            (Some(packing), Some(request)) => packing.received(request, &mut parts, length).filter(|_| !self.is_head),
            _ => None,
        };
        if packed.is_some() {
            self.way.metrics.recoded(Recoded::Packed);
        }
        let body = match (packed, metered) {
            (None, None) => WayBody::Upstream(body),
            (Some(coding), None) => WayBody::Packed(Box::new(Coded::packed(body, coding))),
            (None, Some(metering)) => WayBody::Metered(Box::new(metering.of(body))),
            (Some(coding), Some(metering)) => WayBody::PackedMetered(Box::new(Coded::packed(metering.of(body), coding))),
        };
        Response::from_parts(parts, body)
    }
}

impl Incoming {
    /// How the cost of an answer is read, where it has one.
    fn metering(&self, parts: &http::response::Parts) -> Option<Metering> {
        let (path, usage) = self.path.as_deref().zip(self.way.usage.as_ref()).filter(|_| !self.is_head)?;
        usage.metering(path, parts.status, &parts.headers, self.ticket.clone())
    }
}

/// Whether the origin is told a prefix that it does not see.
fn strips_prefix(route: &Route) -> bool {
    route.settings.rewrite.as_ref().is_some_and(|rewrite| !rewrite.strip_prefix.is_empty())
}

/// Fields of requests that are meant for Larder.
const CONTROLS: [&str; 2] = [CACHE_TTL, CACHE_NAMESPACE];

/// What a route changes in the fields of its requests and, where that depends on them, of their answers.
#[derive(Debug)]
pub(crate) struct RouteEdits {
    /// Whether what clients that are no trusted proxies say to Larder is removed.
    only_proxies_control: bool,
    route: Arc<str>,
    request: FieldEdits,
    /// The same for every request.
    filled: Option<FilledEdits>,
    response: Option<FieldEdits>,
}

impl RouteEdits {
    /// `None` where nothing is changed by the request.
    pub(crate) fn of(route: &Route) -> Option<Self> {
        let settings = &route.settings;
        let response = settings.response.depends_on_request().then(|| settings.response.clone());
        let only_proxies_control = settings.client_controls == ClientControls::OfProxies;
        if settings.request.is_empty() && response.is_none() && !only_proxies_control {
            return None;
        }
        let unknown = FieldValues { client: std::net::Ipv4Addr::UNSPECIFIED.into(), route: &route.name, request: &HeaderMap::new() };
        let mut request = settings.request.clone();
        if strips_prefix(route) && request.added().any(|name| *name == X_FORWARDED_PREFIX) {
            // The operator's line is added to none of the client's.
            request.remove.push(X_FORWARDED_PREFIX);
        }
        let filled = (!request.depends_on_request()).then(|| request.filled(unknown));
        Some(Self { only_proxies_control, route: Arc::clone(&route.name), request, filled, response })
    }

    /// Changes the fields of a request, before its key is made; what its answer's are to be is left in `extensions`. `is_trusted`: it came from a
    /// trusted proxy.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, client: std::net::IpAddr, is_trusted: bool) -> Option<ResponseEdits> {
        if self.only_proxies_control && !is_trusted {
            CONTROLS.iter().for_each(|name| _ = headers.remove(*name));
        }
        let values = FieldValues { client, route: &self.route, request: headers };
        let response = self.response.as_ref().map(|edits| ResponseEdits(Arc::new(edits.filled(values))));
        let made = if self.filled.is_none() { Some(self.request.filled(values)) } else { None };
        if let Some(edits) = self.filled.as_ref().or(made.as_ref()) {
            edits.apply(headers, false);
        }
        response
    }
}
