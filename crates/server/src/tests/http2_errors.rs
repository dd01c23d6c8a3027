//! What RFC 9113 calls an error, frame by frame: the connection or the stream ends with its code, and no handler is asked.

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const WHOLE: u8 = END_STREAM | END_HEADERS;

/// It stands for every other code as well (RFC 9113 §5.4), and the library uses it for most.
const PROTOCOL_ERROR: u32 = 0x1;
const FLOW_CONTROL_ERROR: u32 = 0x3;
const STREAM_CLOSED: u32 = 0x5;
const FRAME_SIZE_ERROR: u32 = 0x6;
const COMPRESSION_ERROR: u32 = 0x9;

/// How the server takes some frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// GOAWAY with this code, and the end.
    ConnectionError(u32),
    /// RST_STREAM with this code.
    StreamError(u32),
    /// A PING behind them is answered, and nothing of the above came before.
    Nothing,
}

use Outcome::{ConnectionError, Nothing, StreamError};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as HPACK has them without its tables (RFC 7541 §6.2.2).
fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    list.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// The beginning of every request.
const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

/// A whole request with these fields behind the usual ones.
fn request(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &fields(&[&GET, more].concat()))
}

/// One whose content is to follow.
fn begun(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &fields(&[&GET, more].concat()))
}

fn setting(number: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&number.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// Sends `frames` behind the preface and SETTINGS, a PING behind them, and another behind its answer: the library resets streams after it
/// has answered a PING.
async fn outcome(address: SocketAddr, frames: &[u8]) -> Outcome {
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, b"")].concat();
    let mut stream = connect(address).await;
    let [first, last] = [b"at first", b"at last!"].map(|payload| frame(PING, 0, 0, payload));
    stream.write_all(&[&opening, frames, &first].concat()).await.expect("write");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.expect("its payload");
        let number = |place: usize| u32::from_be_bytes(payload[place..place + 4].try_into().expect("four bytes"));
        match (head[3], head[4]) {
            (RST_STREAM, _) => return StreamError(number(0)),
            (GOAWAY, _) => return ConnectionError(number(4)),
            (PING, ACK) if payload == b"at first" => stream.write_all(&last).await.expect("write"),
            (PING, ACK) if payload == b"at last!" => return Nothing,
            _ => {}
        }
    }
}

async fn read_and_answer(request: Request<Incoming>, _: Peer) -> Response<Full<Bytes>> {
    let _whole_or_not = request.into_body().collect().await;
    Response::new(Full::default())
}

/// Each case with what it is; all that differ are told. With hits that are answered before the library it is the same.
async fn assert_outcomes(cases: &[(&str, Vec<u8>, &[Outcome])]) {
    let mut wrong = Vec::new();
    for (name, frames, allowed) in cases {
        let server = serve(ServerOptions::default(), read_and_answer);
        for address in [server.address, super::http2_hits::address_before_the_library()] {
            let outcome = outcome(address, frames).await;
            if !allowed.contains(&outcome) {
                wrong.push(format!("{name}: {outcome:?}, not {allowed:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn rfc9113_5_4_1_broken_frames_end_the_connection_with_their_code() {
    let protocol: &[Outcome] = &[ConnectionError(PROTOCOL_ERROR)];
    let size: &[Outcome] = &[ConnectionError(FRAME_SIZE_ERROR), ConnectionError(PROTOCOL_ERROR)];
    let flow: &[Outcome] = &[ConnectionError(FLOW_CONTROL_ERROR), ConnectionError(PROTOCOL_ERROR)];
    let request_of = |stream| frame(HEADERS, WHOLE, stream, &fields(&GET));
    assert_outcomes(&[
        ("§6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), protocol),
        ("§5.1 DATA on an idle stream", frame(DATA, 0, 1, b"x"), protocol),
        ("§6.1 padding longer than the frame", [begun(&[]), frame(DATA, 0x8, 1, b"\x09x")].concat(), protocol),
        ("§6.2 HEADERS on stream 0", request_of(0), protocol),
        ("§5.1.1 an even stream", request_of(2), protocol),
        (
            "§5.1.1 a lower stream",
            [request_of(5), request_of(3)].concat(),
            &[ConnectionError(PROTOCOL_ERROR), ConnectionError(STREAM_CLOSED)],
        ),
        ("§6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0; 5]), protocol),
        ("§6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, &[0; 4]), protocol),
        ("§6.4 RST_STREAM of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), protocol),
        ("§6.4 RST_STREAM of three bytes", [begun(&[]), frame(RST_STREAM, 0, 1, &[0; 3])].concat(), size),
        ("§6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, b""), protocol),
        ("§6.5 SETTINGS of five bytes", frame(SETTINGS, 0, 0, &[0; 5]), size),
        ("§6.5 an acknowledgement with content", frame(SETTINGS, ACK, 0, &[0; 6]), size),
        ("§6.5.2 ENABLE_PUSH of 2", setting(2, 2), protocol),
        ("§6.5.2 INITIAL_WINDOW_SIZE of 2^31", setting(4, 1 << 31), flow),
        ("§6.5.2 MAX_FRAME_SIZE of 100", setting(5, 100), protocol),
        ("§8.4 PUSH_PROMISE of a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), protocol),
        ("§6.7 PING on a stream", frame(PING, 0, 1, &[0; 8]), protocol),
        ("§6.7 PING of seven bytes", frame(PING, 0, 0, &[0; 7]), size),
        ("§6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), protocol),
        ("§6.9 WINDOW_UPDATE of 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), protocol),
        ("§6.9 WINDOW_UPDATE of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), size),
        ("§6.9 WINDOW_UPDATE of an idle stream", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), protocol),
        ("§6.9.1 a window over 2^31 - 1", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), flow),
        ("§6.10 CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, b""), protocol),
        (
            "§6.10 a frame within a block of fields",
            [frame(HEADERS, END_STREAM, 1, &fields(&GET)), frame(PING, 0, 0, &[0; 8])].concat(),
            protocol,
        ),
        (
            "§6.10 CONTINUATION of another stream",
            [frame(HEADERS, END_STREAM, 1, &fields(&GET)), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
            protocol,
        ),
        ("§4.2 a frame over MAX_FRAME_SIZE", [begun(&[]), frame(DATA, 0, 1, &[0; (1 << 14) + 1])].concat(), size),
        (
            "§4.3 an index that HPACK has not",
            frame(HEADERS, WHOLE, 1, b"\xff\xff\x0f"),
            &[ConnectionError(COMPRESSION_ERROR), ConnectionError(PROTOCOL_ERROR)],
        ),
    ])
    .await;
}

#[tokio::test]
async fn rfc9113_8_1_1_malformed_requests_are_stream_errors() {
    // RFC 9113 §5.4.2 and §8.1.1 allow either; §5.4.1: a stream error may be treated as one of the connection.
    let protocol: &[Outcome] = &[StreamError(PROTOCOL_ERROR), ConnectionError(PROTOCOL_ERROR)];
    let with = |list: &[(&str, &str)]| frame(HEADERS, WHOLE, 1, &fields(list));
    let without = |name: &str| with(&GET.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>());
    assert_outcomes(&[
        ("§8.2.1 a name in upper case", request(&[("X-A", "b")]), protocol),
        ("§8.2.1 a name with a space", request(&[("x a", "b")]), protocol),
        ("§8.2.1 a line feed in a value", request(&[("x-a", "b\nc")]), protocol),
        ("§8.2.2 connection", request(&[("connection", "close")]), protocol),
        ("§8.2.2 keep-alive", request(&[("keep-alive", "timeout=5")]), protocol),
        ("§8.2.2 transfer-encoding", request(&[("transfer-encoding", "chunked")]), protocol),
        ("§8.2.2 upgrade", request(&[("upgrade", "h2c")]), protocol),
        ("§8.2.2 te without trailers", request(&[("te", "gzip")]), protocol),
        ("§8.3 a pseudo-field behind others", with(&[GET[0], GET[1], ("x-a", "b"), GET[2]]), protocol),
        ("§8.3 an unknown pseudo-field", request(&[(":x", "y")]), protocol),
        ("§8.3 a pseudo-field of responses", request(&[(":status", "200")]), protocol),
        ("§8.3 a pseudo-field twice", request(&[(":path", "/b")]), protocol),
        ("§8.3.1 no method", without(":method"), protocol),
        ("§8.3.1 no scheme", without(":scheme"), protocol),
        ("§8.3.1 no path", without(":path"), protocol),
        ("§8.3.1 an empty path", with(&[GET[0], GET[1], (":path", ""), GET[3]]), protocol),
        ("§8.1.1 less content than announced", [begun(&[("content-length", "5")]), frame(DATA, END_STREAM, 1, b"abc")].concat(), protocol),
        ("§8.1.1 more content than announced", [begun(&[("content-length", "1")]), frame(DATA, END_STREAM, 1, b"abc")].concat(), protocol),
        ("§8.1 trailers that end nothing", [begun(&[]), frame(HEADERS, END_HEADERS, 1, &fields(&[("x-a", "b")]))].concat(), protocol),
        ("§6.9 WINDOW_UPDATE of 0 on a stream", [begun(&[]), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(), protocol),
        (
            "§6.9.1 a stream's window over 2^31 - 1",
            [begun(&[]), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])].concat(),
            &[StreamError(FLOW_CONTROL_ERROR), ConnectionError(FLOW_CONTROL_ERROR), ConnectionError(PROTOCOL_ERROR)],
        ),
        (
            "§5.1 DATA behind END_STREAM",
            [request(&[]), frame(DATA, 0, 1, b"x")].concat(),
            &[StreamError(STREAM_CLOSED), ConnectionError(STREAM_CLOSED), ConnectionError(PROTOCOL_ERROR)],
        ),
    ])
    .await;
}

#[tokio::test]
async fn rfc9113_5_5_what_is_unknown_is_ignored() {
    let nothing: &[Outcome] = &[Nothing];
    assert_outcomes(&[
        ("§4.1 an unknown kind of frame", frame(0x77, 0xff, 0, b"anything"), nothing),
        ("§4.1 an unknown kind of frame on an idle stream", frame(0x77, 0, 9, b"anything"), nothing),
        ("§4.1 unknown flags", frame(PING, 0xf0, 0, &[0; 8]), nothing),
        ("§4.1 the reserved bit", frame(WINDOW_UPDATE, 0, 1 << 31, &[0x80, 0, 0, 1]), nothing),
        ("§6.5.2 an unknown setting", setting(0x7777, 1), nothing),
        ("§6.3 PRIORITY of an idle stream", frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 16]), nothing),
        ("§8.2.2 te: trailers", request(&[("te", "trailers")]), nothing),
    ])
    .await;
}
