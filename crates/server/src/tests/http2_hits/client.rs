//! A client of HTTP/2 that takes nothing but what RFC 9113 allows.

use std::collections::{HashMap, VecDeque};

use super::super::*;
use crate::http2::frames::{FrameHead, HEAD, flag, kind};
use crate::http2::hpack::decode::Decoder;
use crate::http2::hpack::fields::FieldList;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&FrameHead { length: payload.len(), kind, flags, stream }.bytes()[..], payload].concat()
}

/// A block of fields without tables.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

pub(super) fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", target), (":authority", "a.example")];
    block(&[&pseudo, fields].concat())
}

/// A whole GET.
pub(super) fn get(stream: u32, target: &str) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &request("GET", target, &[]))
}

pub(super) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(super) fn setting(number: u16, value: u32) -> Vec<u8> {
    frame(kind::SETTINGS, 0, 0, &[&number.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// A response, as far as it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) is_ended: bool,
    pub(super) reset: Option<u32>,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// See the module's page. What is not allowed panics.
pub(super) struct Strict {
    pub(super) stream: TcpStream,
    decoder: Decoder,
    pub(super) answers: HashMap<u32, Answer>,
    /// Windows of the connection and of streams, and that of a new stream.
    pub(super) window: i64,
    pub(super) windows: HashMap<u32, i64>,
    first_window: i64,
    /// Initial windows that the server has not acknowledged.
    unacknowledged: VecDeque<Option<i64>>,
    /// Last stream and code of each GOAWAY.
    pub(super) goaways: Vec<(u32, u32)>,
    pub(super) pongs: usize,
    /// The blocks of fields that have come.
    pub(super) blocks: Vec<Vec<u8>>,
}

impl Strict {
    /// Connects, and adds this to the connection's window.
    pub(super) async fn open(address: SocketAddr, more: u32) -> Self {
        let mut client = Self::raw(address).await;
        client.said(None);
        client.send(&[PREFACE, &frame(kind::SETTINGS, 0, 0, b"")].concat()).await;
        if more > 0 {
            client.window += i64::from(more);
            client.send(&window_update(0, more)).await;
        }
        client
    }

    /// Connects, and sends nothing.
    pub(super) async fn raw(address: SocketAddr) -> Self {
        let stream = connect(address).await;
        stream.set_nodelay(true).expect("nodelay");
        Self {
            stream,
            decoder: Decoder::default(),
            answers: HashMap::new(),
            window: 65_535,
            windows: HashMap::new(),
            first_window: 65_535,
            unacknowledged: VecDeque::new(),
            goaways: Vec::new(),
            pongs: 0,
            blocks: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("write");
    }

    /// Sends a whole request.
    pub(super) async fn ask(&mut self, stream: u32, method: &str, target: &str, fields: &[(&str, &str)]) {
        self.send(&frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &request(method, target, fields))).await;
    }

    /// Notes that a stream begins.
    pub(super) fn opened(&mut self, stream: u32) {
        self.windows.insert(stream, self.first_window);
    }

    /// Notes that an initial window, if it is one, is on its way.
    pub(super) fn said(&mut self, first_window: Option<i64>) {
        self.unacknowledged.push_back(first_window);
    }

    pub(super) fn answer(&self, stream: u32) -> &Answer {
        &self.answers[&stream]
    }

    pub(super) fn has_ended(&self, stream: u32) -> bool {
        self.answers.get(&stream).is_some_and(|answer| answer.is_ended || answer.reset.is_some())
    }

    pub(super) async fn until_ended(&mut self, stream: u32) {
        while !self.has_ended(stream) {
            self.read_frame().await;
        }
    }

    /// Everything that was sent before has been dealt with.
    pub(super) async fn until_pong(&mut self) {
        let pongs = self.pongs;
        self.send(&frame(kind::PING, 0, 0, &[7; 8])).await;
        while self.pongs == pongs {
            self.read_frame().await;
        }
    }

    async fn read_raw(&mut self) -> (FrameHead, Vec<u8>) {
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head).await.expect("a frame");
        let head = FrameHead::of(&head).expect("its head");
        assert!(head.length <= 16_384, "§4.2: {head:?}");
        let mut payload = vec![0; head.length];
        self.stream.read_exact(&mut payload).await.expect("its payload");
        (head, payload)
    }

    /// Takes one frame; a block of fields as a whole.
    pub(super) async fn read_frame(&mut self) {
        let (head, mut payload) = self.read_raw().await;
        let number = |place: usize| u32::from_be_bytes(payload[place..place + 4].try_into().expect("four bytes"));
        match head.kind {
            kind::HEADERS => {
                let mut is_whole = head.has(flag::END_HEADERS);
                while !is_whole {
                    let (next, more) = self.read_raw().await;
                    assert_eq!((next.kind, next.stream), (kind::CONTINUATION, head.stream), "§4.3");
                    payload.extend(more);
                    is_whole = next.has(flag::END_HEADERS);
                }
                self.take_fields(head, &payload);
            }
            kind::DATA => self.take_data(head, &payload),
            kind::RST_STREAM => self.answers.entry(head.stream).or_default().reset = Some(number(0)),
            kind::SETTINGS if head.has(flag::ACK) => {
                if let Some(first) = self.unacknowledged.pop_front().expect("§6.5.3: settings to acknowledge") {
                    let change = first - self.first_window;
                    self.first_window = first;
                    self.windows.values_mut().for_each(|window| *window += change);
                }
            }
            kind::SETTINGS => self.send(&frame(kind::SETTINGS, flag::ACK, 0, b"")).await,
            kind::PING if head.has(flag::ACK) => self.pongs += 1,
            kind::PING => self.send(&frame(kind::PING, flag::ACK, 0, &payload)).await,
            kind::GOAWAY => {
                let (last, code) = (number(0), number(4));
                assert!(self.goaways.iter().all(|(before, _)| last <= *before), "§6.8: the last stream does not grow");
                self.goaways.push((last, code));
            }
            kind::WINDOW_UPDATE => {}
            other => panic!("a frame of kind {other}"),
        }
    }

    fn take_fields(&mut self, head: FrameHead, block: &[u8]) {
        let mut fields = FieldList::new(1 << 20);
        self.decoder.decode(block, &mut fields).expect("§4.3: a block that can be decoded");
        self.blocks.push(block.to_vec());
        let first_window = self.first_window;
        self.windows.entry(head.stream).or_insert(first_window);
        let answer = self.answers.entry(head.stream).or_default();
        assert!(!answer.is_ended && answer.fields.is_empty(), "§8.1: {head:?} behind the end, or a second head");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        answer.fields = fields.iter().map(|field| (text(field.name.as_bytes()), text(field.value))).collect();
        answer.is_ended = head.has(flag::END_STREAM);
    }

    fn take_data(&mut self, head: FrameHead, data: &[u8]) {
        self.window -= data.len() as i64;
        assert!(self.window >= 0, "§6.9.1: {} bytes over the connection's window", -self.window);
        let window = self.windows.get_mut(&head.stream).expect("§8.1: a head before its content");
        *window -= data.len() as i64;
        assert!(*window >= 0 || data.is_empty(), "§6.9.1: {} bytes over the window of {head:?}", -*window);
        let answer = self.answers.get_mut(&head.stream).expect("§8.1: a head before its content");
        assert!(!answer.is_ended, "§5.1: {head:?} behind the end");
        answer.body.extend_from_slice(data);
        answer.is_ended = head.has(flag::END_STREAM);
    }
}
