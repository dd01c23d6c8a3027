//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use larder_semantics::fields::drop_nominated;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::cookies::join_cookies;
use super::guard::{HeadLimits, Verdict, judge};
use super::handler::{Handler, OwnAnswer};
use super::io::{ClientStream, answer_late};
use super::linger::linger;
use super::options::ServerOptions;
use super::peer::Peer;
use super::sniff::FirstBytes;
use super::turn::Answering;
use crate::problem::Problem;

/// HTTP/2 connections are asked for a sign of life this often, and closed when none comes as soon again.
const PING: std::time::Duration = std::time::Duration::from_secs(20);

/// What the server tells all its connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pulse {
    pub(super) phase: Phase,
    /// Grows with every beat, by which connections tell how long they wait.
    pub(super) beats: u32,
}

/// Where the whole server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Serving,
    /// No new connections. HTTP/2 clients are told to go; on HTTP/1.1, where closing may cross a request, the next answer says so.
    Parting,
    /// Requests under way finish; idle connections close.
    Draining,
    /// Everything ends now.
    Aborting,
}

/// How connections are served. One for the whole server.
#[derive(Clone)]
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    options: ServerOptions,
}

impl Protocols {
    pub(super) fn new(options: ServerOptions) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // See the module `turn`.
            .header_read_timeout(None)
            .max_header_size(options.max_head)
            .max_buf_size(options.max_head.max(8 * 1024) * 2);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(options.max_streams)
            // See `guard::check_size`.
            .max_header_list_size(u32::try_from(options.max_head.saturating_mul(2)).unwrap_or(u32::MAX));
        Self { http1, http2, options }
    }

    /// Serves one connection until it ends or the server does.
    pub(super) async fn serve<H: Handler>(&self, mut stream: TcpStream, peer: Peer, handler: H, mut pulse: watch::Receiver<Pulse>) {
        let mut first = FirstBytes::default();
        let read = tokio::select! {
            read = tokio::time::timeout(self.options.header_read_timeout, first.read(&mut stream)) => read,
            _ = pulse.wait_for(|pulse| pulse.phase > Phase::Parting) => return,
        };
        match read {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => return,
            Err(_elapsed) => return answer_late(&stream, &first, &peer, &handler),
        }
        let is_http2 = first.is_http2();
        let io = TokioIo::new(ClientStream::new(stream, &first, peer.clone(), handler.clone(), &self.options));
        let service = service_fn({
            let peer = peer.clone();
            let limits = self.options.head_limits();
            move |request| respond(request, &peer, &handler, limits)
        });
        let course = Course { is_http2, peer: &peer };
        if is_http2 {
            let connection = self.http2.serve_connection(io, service);
            course.drive(connection, |connection| connection.graceful_shutdown(), pulse).await;
        } else {
            let connection = self.http1.serve_connection(io, service).with_upgrades();
            course.drive(connection, |connection| connection.graceful_shutdown(), pulse).await;
        }
    }
}

/// How a connection goes, beside what its protocol library does.
struct Course<'a> {
    is_http2: bool,
    peer: &'a Peer,
}

impl Course<'_> {
    /// Polls a connection to its end, tells it when the server drains, and ends it when its client is late. `finish` lets requests under
    /// way finish and takes no others.
    async fn drive<C>(self, connection: C, finish: impl Fn(Pin<&mut C>), mut pulse: watch::Receiver<Pulse>)
    where
        C: Future<Output = Result<(), hyper::Error>>,
    {
        let mut connection = pin!(connection);
        // It may have begun when the server was about to stop.
        if pulse.borrow_and_update().phase == Phase::Parting {
            self.part(|| finish(connection.as_mut()));
        }
        let result = loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => break result,
                changed = pulse.changed() => match (changed, pulse.borrow_and_update().phase) {
                    (Ok(()), Phase::Serving) => {
                        if self.is_late() {
                            return self.peer.mark_late();
                        }
                    }
                    (Ok(()), Phase::Parting) => self.part(|| finish(connection.as_mut())),
                    (Ok(()), Phase::Draining) => finish(connection.as_mut()),
                    (Ok(()), Phase::Aborting) | (Err(_), _) => return,
                },
            }
        };
        // Before the connection is dropped: the socket's last words depend on why it ended.
        if result.is_err_and(|error| error.is_parse()) {
            self.peer.mark_lingering();
        }
    }

    /// Streams of HTTP/2 take no turns; a client that is gone is noticed by its missing pings.
    fn is_late(&self) -> bool {
        !self.is_http2 && self.peer.turn().beat()
    }

    /// RFC 9113 §6.8 has a way to say goodbye that crosses no request; HTTP/1.1 has none but an answer.
    fn part(&self, finish: impl FnOnce()) {
        if self.is_http2 { finish() } else { self.peer.mark_parting() }
    }
}

type Answer<B> = Answering<Either<B, Full<Bytes>>>;

/// One request: judged, then handled. Informational responses may be written until the response is there.
fn respond<H: Handler>(
    mut request: Request<Incoming>,
    peer: &Peer,
    handler: &H,
    limits: HeadLimits,
) -> impl Future<Output = Result<Response<Answer<H::Body>>, Infallible>> + use<H> {
    peer.turn().take();
    if !request.body().is_end_stream() {
        peer.mark_lingering();
    }
    let handling = match judge(&request, peer.suspicion(), limits) {
        Verdict::Pass => {
            drop_nominated(request.headers_mut());
            if request.version() == Version::HTTP_2 {
                join_cookies(request.headers_mut());
            }
            Ok(handler.handle(request, peer.clone()))
        }
        Verdict::Refuse(problem) => {
            peer.mark_lingering();
            let answer = problem.response(request.method());
            tell(handler, peer, &request, &answer, Some(problem));
            linger(request);
            Err(answer.map(Full::new))
        }
        Verdict::Answer(answer) => {
            let answer = answer.map(Bytes::from);
            tell(handler, peer, &request, &answer, None);
            Err(answer.map(Full::new))
        }
    };
    let peer = peer.clone();
    async move {
        let response = match handling {
            Ok(handling) => {
                let mut handling = pin!(handling);
                let response = poll_fn(|cx| match handling.as_mut().poll(cx) {
                    Poll::Ready(response) => Poll::Ready(response),
                    Poll::Pending => {
                        peer.outbox().wait(cx.waker());
                        Poll::Pending
                    }
                });
                let mut response = response.await;
                if peer.outbox().is_waiting() {
                    // They came together with the final response. Boxed, because that is rare.
                    response = Box::pin(after_early_responses(response, &peer)).await;
                }
                peer.outbox().end();
                response.map(Either::Left)
            }
            Err(response) => response.map(Either::Right),
        };
        Ok(finished(response, peer))
    }
}

/// The final response, once the informational ones before it are being written.
async fn after_early_responses<R>(response: R, peer: &Peer) -> R {
    poll_fn(|cx| peer.outbox().poll_taken(cx)).await;
    response
}

/// Tells the handler of an answer that it was not asked for.
fn tell<H: Handler>(handler: &H, peer: &Peer, request: &Request<Incoming>, answer: &Response<Bytes>, problem: Option<Problem>) {
    let (status, bytes) = (answer.status(), answer.body().len());
    handler.answered_before(&OwnAnswer { peer: peer.address().ip(), request: Some(request), status, bytes, problem });
}

/// RFC 9112 §9.6: "a server that sends a close connection option MUST initiate closure of the connection after it sends the final response".
/// hyper does the latter.
fn finished<B>(mut response: Response<B>, peer: Peer) -> Response<Answering<B>> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response.map(Answering::last);
    }
    if response.status().canonical_reason().is_none() {
        // hyper would make one up. An empty phrase is one (RFC 9112 §4).
        response.extensions_mut().insert(ReasonPhrase::from_static(b""));
    }
    if peer.is_parting() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Answering::new(body, peer))
}
