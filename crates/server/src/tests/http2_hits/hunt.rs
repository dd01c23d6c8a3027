//! Connections at random: hits, other requests, content, resets, windows and settings in any order, and cut anywhere.

use super::client::{Answer, Strict, block, frame, request, setting, window_update};
use super::*;
use crate::http2::frames::{flag, kind};

/// Numbers that look random, and are the same ones for the same seed (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % end
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// One step of a client's: the bytes that it sends.
struct Steps {
    random: Random,
    next: u32,
    /// Streams whose content has not ended.
    uploads: Vec<u32>,
    reset: Vec<u32>,
}

const TARGETS: &[&str] = &["/hit/0", "/hit/10", "/hit/fields", "/hit/1000", "/hit/20000", "/hit/70000", "/through/10", "/through/30000"];

impl Steps {
    fn next(&mut self, client: &mut Strict) -> Vec<u8> {
        let random = &mut self.random;
        match random.below(16) {
            0..=8 => {
                let (stream, target) = (self.next, random.pick(TARGETS));
                // Some ids are skipped.
                self.next += if random.below(8) == 0 { 4 } else { 2 };
                client.opened(stream);
                let method = random.pick(&["GET", "GET", "GET", "HEAD", "POST"]);
                let fields = request(method, target, if random.below(4) == 0 { &[("te", "trailers")] } else { &[("cookie", "a=b")] });
                if method == "POST" {
                    self.uploads.push(stream);
                    return frame(kind::HEADERS, flag::END_HEADERS, stream, &fields);
                }
                if random.below(4) > 0 {
                    return frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &fields);
                }
                let (one, two) = fields.split_at(random.below(fields.len() as u64) as usize);
                [frame(kind::HEADERS, flag::END_STREAM, stream, one), frame(kind::CONTINUATION, flag::END_HEADERS, stream, two)].concat()
            }
            9 | 10 => {
                let Some(stream) = self.uploads.pop() else { return Vec::new() };
                match random.below(3) {
                    0 => {
                        self.uploads.push(stream);
                        frame(kind::DATA, 0, stream, &vec![b'x'; random.below(2000) as usize + 1])
                    }
                    1 => frame(kind::DATA, flag::END_STREAM, stream, b"end"),
                    _ => frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &block(&[("x-sum", "1")])),
                }
            }
            11 => {
                let more = 1 + random.below(50_000) as u32;
                client.window += i64::from(more);
                window_update(0, more)
            }
            12 => {
                let stream = 1 + 2 * random.below(u64::from(self.next / 2).max(1)) as u32;
                let Some(window) = client.windows.get_mut(&stream) else { return Vec::new() };
                let more = 1 + random.below(50_000) as u32;
                *window += i64::from(more);
                window_update(stream, more)
            }
            13 => {
                let first = random.below(100_000) as u32;
                client.said(Some(first.into()));
                setting(4, first)
            }
            14 => {
                client.said(None);
                setting(1, [0, 100, 4096, 65_536][random.below(4) as usize])
            }
            _ => {
                let stream = 1 + 2 * random.below(u64::from(self.next / 2).max(1)) as u32;
                if !client.windows.contains_key(&stream) || self.reset.len() > 20 {
                    return Vec::new();
                }
                self.uploads.retain(|upload| *upload != stream);
                self.reset.push(stream);
                frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])
            }
        }
    }
}

/// Plays a connection, and returns its answers.
async fn play(address: SocketAddr, seed: u64) -> Vec<(u32, Answer)> {
    let mut client = Strict::open(address, 0).await;
    let mut steps = Steps { random: Random(seed), next: 1, uploads: Vec::new(), reset: Vec::new() };
    for _ in 0..120 {
        let bytes = steps.next(&mut client);
        let cut = steps.random.below(bytes.len() as u64 + 1) as usize;
        client.send(&bytes[..cut]).await;
        if steps.random.below(2) == 0 {
            tokio::task::yield_now().await;
        }
        client.send(&bytes[cut..]).await;
        if steps.random.below(8) == 0 {
            client.until_pong().await;
        }
    }
    for stream in std::mem::take(&mut steps.uploads) {
        client.send(&frame(kind::DATA, flag::END_STREAM, stream, b"")).await;
    }
    // Windows that let everything come.
    client.window += 1 << 30;
    client.send(&window_update(0, 1 << 30)).await;
    let open: Vec<u32> = client.windows.keys().copied().collect();
    for stream in &open {
        *client.windows.get_mut(stream).expect("open") += 1 << 20;
        client.send(&window_update(*stream, 1 << 20)).await;
    }
    for stream in &open {
        if !steps.reset.contains(stream) {
            client.until_ended(*stream).await;
        }
    }
    client.until_pong().await;
    assert_eq!(client.goaways, []);
    let mut answers: Vec<_> = client.answers.into_iter().filter(|(stream, _)| !steps.reset.contains(stream)).collect();
    answers.sort_by_key(|(stream, _)| *stream);
    for (_, answer) in &mut answers {
        answer.fields = sorted(&answer.fields);
    }
    answers
}

#[tokio::test]
async fn whatever_happens_on_a_connection_hits_are_as_the_library_answers_them() {
    let (with, hits, _stop) = start::<true>(ServerOptions::default());
    let (without, _, _stop) = start::<false>(ServerOptions::default());
    for seed in 0..60 {
        let (one, other) = (play(with, seed).await, play(without, seed).await);
        assert_eq!(one.len(), other.len(), "seed {seed}");
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one, other, "seed {seed}");
        }
    }
    let (before, through) = hits.counts();
    assert!(before > 200 && through > 200, "{before}, {through}");
}

/// The bytes of one connection, which has a bit of everything.
fn connection() -> Vec<u8> {
    let whole = flag::END_STREAM | flag::END_HEADERS;
    // The second and third of them use the table of the first.
    let indexed = [&[0x82, 0x86, 0x44, 7][..], b"/hit/10", &[0x41, 1, b'a', 0x40, 3], b"x-a", &[1, b'b']].concat();
    [
        client::PREFACE.to_vec(),
        setting(4, 100_000),
        window_update(0, 1 << 20),
        frame(kind::HEADERS, whole, 1, &indexed),
        frame(kind::HEADERS, whole, 3, &[0x82, 0x86, 0xc0, 0xbf, 0xbe]),
        frame(kind::HEADERS, flag::END_HEADERS, 5, &request("POST", "/through/10", &[])),
        window_update(3, 10),
        frame(kind::DATA, 0, 5, b"content"),
        frame(kind::HEADERS, flag::END_STREAM, 7, &[0x82, 0x86]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 7, &[0xc0, 0xbf, 0xbe]),
        frame(kind::DATA, flag::END_STREAM, 5, b"end"),
    ]
    .concat()
}

#[tokio::test]
async fn a_connection_may_come_in_any_pieces() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let bytes = connection();
    for cut in 1..bytes.len() {
        let mut client = Strict::raw(address).await;
        client.said(Some(100_000));
        client.window += 1 << 20;
        client.send(&bytes[..cut]).await;
        // The server has its turn, on the same thread.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        client.send(&bytes[cut..]).await;
        for stream in [1, 3, 5, 7] {
            client.until_ended(stream).await;
            assert_eq!((client.answer(stream).field(":status"), client.answer(stream).body.len()), ("200", 10), "cut after {cut}");
        }
        client.until_pong().await;
        assert_eq!(client.goaways, []);
    }
    assert_eq!(hits.counts(), (3 * (bytes.len() - 1), bytes.len() - 1));
}
