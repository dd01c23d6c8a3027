//! Hits over HTTP/2 that are answered before the library sees their requests: nobody may see which of the two has answered, and neither may disturb
//! the other.

mod client;
mod flow;
mod hunt;
mod streams;

use http::{HeaderMap, Uri};
use http_body_util::Full;

use super::*;
use crate::{Handler, PlainAnswer};
use client::{Strict, get};

const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// Answers `/hit/LENGTH` before the library where it may, and everything through it in the same way.
#[derive(Clone, Default)]
struct Hits<const PLAIN: bool> {
    /// Requests that were answered before the library, and through it.
    before: Arc<AtomicUsize>,
    through: Arc<AtomicUsize>,
}

impl<const PLAIN: bool> Hits<PLAIN> {
    fn counts(&self) -> (usize, usize) {
        (self.before.load(Ordering::SeqCst), self.through.load(Ordering::SeqCst))
    }
}

/// The body for a request: as long as its target says, or the fields of the request.
fn content(uri: &Uri, fields: &HeaderMap) -> Vec<u8> {
    match uri.path().rsplit('/').next().and_then(|length| length.parse().ok()) {
        Some(length) => vec![uri.path().as_bytes()[uri.path().len() / 2]; length],
        None => {
            let mut lines: Vec<_> =
                fields.iter().map(|(name, value)| [name.as_str().as_bytes(), b"=", value.as_bytes()].concat()).collect();
            lines.sort();
            lines.join(&b'\n')
        }
    }
}

impl<const PLAIN: bool> Handler for Hits<PLAIN> {
    type Body = Full<Bytes>;
    type Future = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;
    type Waiting = std::future::Pending<Response<Full<Bytes>>>;

    const ANSWERS_PLAIN: bool = PLAIN;

    fn answer_plain(&self, _: &mut Request<()>, _: &Peer, _: &mut Vec<u8>) -> Option<PlainAnswer<Self::Body, Self::Waiting>> {
        None
    }

    fn answer_stored(&self, request: &mut Request<()>, _: &Peer, head: &mut Vec<u8>, max: u64) -> Option<Self::Body> {
        assert_eq!(request.version(), Version::HTTP_2);
        let body = content(request.uri(), request.headers());
        if !request.uri().path().starts_with("/hit") || body.len() as u64 > max {
            return None;
        }
        self.before.fetch_add(1, Ordering::SeqCst);
        let length = body.len();
        head.extend_from_slice(format!("HTTP/1.1 200 OK\r\ndate: {DATE}\r\nx-way: hit\r\ncontent-length: {length}\r\n\r\n").as_bytes());
        Some(Full::new(if request.method() == http::Method::HEAD { Bytes::new() } else { body.into() }))
    }

    fn handle(&self, request: Request<Incoming>, _: Peer) -> Self::Future {
        self.through.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let _whole_or_not = body.collect().await;
            let body = content(&head.uri, &head.headers);
            let response = Response::builder().header("date", DATE).header("x-way", "hit").header("content-length", body.len());
            let body = if head.method == http::Method::HEAD { Bytes::new() } else { body.into() };
            response.body(Full::new(body)).expect("response")
        })
    }
}

/// A server with this handler, and what stops it.
fn start<const PLAIN: bool>(options: ServerOptions) -> (SocketAddr, Hits<PLAIN>, oneshot::Sender<()>) {
    let (server, address) = bound();
    let (hits, (stop, stopped)) = (Hits::default(), oneshot::channel::<()>());
    tokio::spawn(server.serve(options, hits.clone(), async move {
        let _ = stopped.await;
    }));
    (address, hits, stop)
}

fn bound() -> (Server, SocketAddr) {
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let address = server.addresses().expect("addresses")[0];
    (server, address)
}

/// One whose hits are answered before the library.
pub(super) fn address_before_the_library() -> SocketAddr {
    let (server, address) = bound();
    tokio::spawn(server.serve(ServerOptions::default(), Hits::<true>::default(), std::future::pending()));
    address
}

#[tokio::test]
async fn a_hit_is_answered_before_the_library_and_what_is_unusual_through_it() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = Strict::open(address, 1 << 20).await;
    for (stream, field, counts) in [(1, None, (1, 0)), (3, Some(("te", "trailers")), (1, 1)), (5, None, (2, 1))] {
        client.ask(stream, "GET", "/hit/1000", field.as_slice()).await;
        client.until_ended(stream).await;
        assert_eq!(hits.counts(), counts);
        let answer = client.answer(stream);
        assert_eq!((answer.field(":status"), answer.field("content-length"), answer.body.len()), ("200", "1000", 1000));
    }
    let (first, second) = (client.answer(1).clone(), client.answer(3).clone());
    assert_eq!((sorted(&first.fields), first.body), (sorted(&second.fields), second.body));
}

fn sorted(fields: &[(String, String)]) -> Vec<(String, String)> {
    let mut fields = fields.to_vec();
    fields.sort();
    fields
}

/// The client's encoder uses its dynamic table, and the Huffman code, as it likes: whichever way a request goes, its fields arrive.
#[tokio::test]
async fn fields_are_read_as_another_implementation_writes_them() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let stream = TokioIo::new(connect(address).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("handshake");
    tokio::spawn(connection);
    let mut random = hunt::Random(7);
    for round in 0..400 {
        let mut request = Request::get("http://a.example/hit/fields").body(Empty::<Bytes>::new()).expect("request");
        for _ in 0..random.below(12) {
            let name = format!("x-{}", random.below(30));
            // Anything that a value may have: no control characters but the tab.
            let value: Vec<u8> = (0..random.below(60)).map(|_| 32 + random.below(224) as u8).filter(|byte| *byte != 127).collect();
            let value = http::HeaderValue::from_bytes(&value).expect("value");
            request.headers_mut().append(name.parse::<http::HeaderName>().expect("name"), value);
        }
        if random.below(2) == 0 {
            request.headers_mut().insert("user-agent", http::HeaderValue::from_static("the same again and again"));
        }
        if random.below(3) == 0 {
            request.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
        }
        let expected = content(&"/hit/fields".parse().expect("uri"), request.headers());
        let response = sender.send_request(request).await.expect("response");
        let body = response.into_body().collect().await.expect("body").to_bytes();
        assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&expected), "round {round}");
    }
    let (before, through) = hits.counts();
    assert!(before > 200 && through > 80 && before + through == 400, "{before}, {through}");
}

#[tokio::test]
async fn what_is_not_plain_goes_through_the_library() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = Strict::open(address, 1 << 20).await;
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("GET", &[("te", "trailers")]),
        ("GET", &[("content-length", "0")]),
        ("GET", &[("host", "a.example")]),
        ("OPTIONS", &[]),
        ("DELETE", &[]),
        ("GET", &[("cdn-loop", "larder, larder")]),
    ];
    let mut stream = 1;
    for (method, fields) in cases {
        client.ask(stream, method, "/hit/10", fields).await;
        client.until_ended(stream).await;
        assert_eq!(hits.before.load(Ordering::SeqCst), 0, "{method} {fields:?}");
        stream += 2;
    }
    assert_eq!(client.answer(11).field(":status"), "508", "it is refused as it always is");
    client.send(&get(stream, "/hit/10")).await;
    client.until_ended(stream).await;
    assert_eq!(hits.before.load(Ordering::SeqCst), 1);
}
