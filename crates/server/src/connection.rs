//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use larder_semantics::fields::drop_nominated;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::cookies::join_cookies;
use super::guard::{HeadLimits, Verdict, judge};
use super::handler::{Handler, OwnAnswer};
use super::io::{ClientStream, answer_late};
use super::linger::lingering;
use super::options::ServerOptions;
use super::peer::Peer;
use super::sniff::FirstBytes;
use super::streams::Streams;
use super::turn::{Answering, Deadlines};
use super::unsent::{Counted, MAX_UNSENT};
use larder_message::problem::Problem;

/// HTTP/2 connections are asked for a sign of life this often, and closed when none comes as soon again.
const PING: Duration = Duration::from_secs(20);

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
        Self { http1, options }
    }

    pub(super) fn tunnel_idle(&self) -> Duration {
        self.options.tunnel_idle
    }

    fn http2(&self, streams: Streams) -> http2::Builder<Streams> {
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(self.options.max_streams)
            .max_send_buf_size(MAX_UNSENT)
            // See `guard::check_size`.
            .max_header_list_size(u32::try_from(self.options.max_head.saturating_mul(2)).unwrap_or(u32::MAX));
        http2
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
        let (deadlines, limits) = (self.options.deadlines(), self.options.head_limits());
        if is_http2 {
            let streams = Streams::new(self.options.write_timeout, Arc::clone(peer.unsent()));
            let course = Course { peer: &peer, deadlines, streams: Some(streams.clone()), quiet: 0 };
            let service = service_fn({
                let (peer, streams) = (peer.clone(), streams.clone());
                move |request| {
                    let stream = streams.begin();
                    let response = respond(request, &peer, &handler, limits);
                    async move { response.await.map(|response| response.map(|body| Counted::new(body, stream))) }
                }
            });
            let connection = self.http2(streams).serve_connection(io, service);
            course.drive(connection, |connection| connection.graceful_shutdown(), pulse).await;
        } else {
            let course = Course { peer: &peer, deadlines, streams: None, quiet: 0 };
            let service = service_fn({
                let peer = peer.clone();
                move |request| respond(request, &peer, &handler, limits)
            });
            let connection = self.http1.serve_connection(io, service).with_upgrades();
            course.drive(connection, |connection| connection.graceful_shutdown(), pulse).await;
        }
    }
}

/// How a connection goes, beside what its protocol library does.
struct Course<'a> {
    peer: &'a Peer,
    deadlines: Deadlines,
    /// Those of HTTP/2.
    streams: Option<Streams>,
    /// Beats since any of them was under way.
    quiet: u32,
}

/// What a beat means to a connection.
enum Due {
    Nothing,
    /// It has been idle for long enough.
    Finish,
    /// The client had its time.
    End,
}

impl Course<'_> {
    /// Polls a connection to its end, tells it when the server drains, and ends it when its client is late. `finish` lets requests under
    /// way finish and takes no others.
    async fn drive<C>(mut self, connection: C, finish: impl Fn(Pin<&mut C>), mut pulse: watch::Receiver<Pulse>)
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
                    (Ok(()), Phase::Serving) => match self.beat() {
                        Due::Nothing => {}
                        Due::Finish => finish(connection.as_mut()),
                        Due::End => return self.peer.mark_late(),
                    },
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

    /// Streams of HTTP/2 take no turns. An idle connection of theirs is told to go (RFC 9113 §6.8), and has the time of a head to do so.
    fn beat(&mut self) -> Due {
        let Some(streams) = &self.streams else {
            return if self.peer.turn().beat(self.deadlines) { Due::End } else { Due::Nothing };
        };
        let Deadlines { head, idle } = self.deadlines;
        self.quiet = if streams.were_busy() { 0 } else { self.quiet.saturating_add(1) };
        match self.quiet {
            quiet if quiet > idle.saturating_add(head) => Due::End,
            quiet if quiet > idle => Due::Finish,
            _ => Due::Nothing,
        }
    }

    /// RFC 9113 §6.8 has a way to say goodbye that crosses no request; HTTP/1.1 has none but an answer.
    fn part(&self, finish: impl FnOnce()) {
        if self.streams.is_some() { finish() } else { self.peer.mark_parting() }
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
            drop(lingering(request));
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
        peer.mark_switched();
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
