//! Streams that were answered before the library, and the ends of connections.

use super::client::{Strict, block, frame, get, request, setting, window_update};
use super::*;
use crate::http2::frames::{flag, kind};

const PROTOCOL_ERROR: u32 = 0x1;
const ENHANCE_YOUR_CALM: u32 = 0xb;
const WHOLE: u8 = flag::END_STREAM | flag::END_HEADERS;
/// The last stream of a GOAWAY that announces another one.
const ANY: u32 = 0x7fff_ffff;

/// A client that has had a hit on each of these streams.
async fn answered(address: SocketAddr, streams: &[u32]) -> Strict {
    let mut client = Strict::open(address, 1 << 20).await;
    for stream in streams {
        client.send(&get(*stream, "/hit/10")).await;
        client.until_ended(*stream).await;
    }
    client
}

async fn until_goaway(client: &mut Strict) -> (u32, u32) {
    while client.goaways.is_empty() {
        client.read_frame().await;
    }
    client.goaways[0]
}

#[tokio::test]
async fn rfc9113_5_1_1_a_stream_that_was_answered_or_skipped_is_not_begun_again() {
    for stream in [5, 3, 1] {
        let (address, hits, _stop) = start::<true>(ServerOptions::default());
        let mut client = answered(address, &[1, 5]).await;
        client.send(&get(stream, "/hit/10")).await;
        assert_eq!(until_goaway(&mut client).await, (5, PROTOCOL_ERROR), "{stream}");
        assert_eq!(hits.counts(), (2, 0), "{stream}");
    }
}

#[tokio::test]
async fn rfc9113_5_1_frames_that_cross_an_answer_are_ignored() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1, 5]).await;
    for stream in [1, 3, 5] {
        let priority = frame(kind::PRIORITY, 0, stream, &[0, 0, 0, 0, 16]);
        client.send(&[window_update(stream, 9), priority, frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()).await;
    }
    client.until_pong().await;
    client.ask(7, "GET", "/hit/10", &[("te", "trailers")]).await;
    client.until_ended(7).await;
    client.send(&get(9, "/hit/10")).await;
    client.until_ended(9).await;
    assert_eq!((hits.counts(), &*client.goaways), ((3, 1), &[][..]));
}

#[tokio::test]
async fn rfc9113_5_1_content_behind_the_end_of_an_answered_stream_is_an_error() {
    let (address, _, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1, 5]).await;
    client.send(&frame(kind::DATA, 0, 5, b"x")).await;
    assert_eq!(until_goaway(&mut client).await, (5, PROTOCOL_ERROR));
}

#[tokio::test]
async fn rfc9113_6_8_goaway_names_the_last_stream_that_was_answered() {
    let (address, _, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1, 3, 9]).await;
    client.send(&frame(kind::HEADERS, WHOLE, 2, &request("GET", "/", &[]))).await;
    assert_eq!(until_goaway(&mut client).await, (9, PROTOCOL_ERROR));
}

#[tokio::test]
async fn rfc9113_6_8_a_stop_loses_no_request_and_answers_none_that_it_said_it_would_not() {
    let (address, hits, stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1, 3]).await;
    stop.send(()).expect("running");
    assert_eq!(until_goaway(&mut client).await, (ANY, 0));
    // The client has heard of it, and asks once more nevertheless: it was not told of a last stream yet.
    client.send(&get(5, "/hit/10")).await;
    client.until_ended(5).await;
    assert_eq!(hits.counts(), (2, 1), "the library has the last word");
    while client.goaways.len() < 2 {
        client.read_frame().await;
    }
    assert!(client.goaways[1].0 >= 3, "{:?}", client.goaways);
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).await.expect("a clean end");
}

#[tokio::test]
async fn rfc7541_4_2_a_client_that_shrinks_its_table_is_told_so_by_the_next_block() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1]).await;
    client.said(None);
    client.send(&setting(1, 0)).await;
    let mut stream = 3;
    while hits.counts().0 == 1 {
        client.send(&get(stream, "/hit/10")).await;
        client.until_ended(stream).await;
        stream += 2;
        assert!(stream < 9, "one block of the library's is enough");
    }
    assert_eq!(client.blocks[1][0] & 0xe0, 0x20, "a table's size: {:?}", client.blocks[1]);
}

#[tokio::test]
async fn rfc9113_10_5_1_a_list_of_fields_that_is_much_too_large_ends_its_connection() {
    let options = ServerOptions { max_header_bytes: 8 * 1024, ..ServerOptions::default() };
    let (address, hits, _stop) = start::<true>(options);
    let mut client = answered(address, &[1]).await;
    // An entry of 4,000 bytes, and a byte for each time that it is meant.
    let mut bomb = [request("GET", "/hit/10", &[]), vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1e], vec![b'x'; 4000]].concat();
    bomb.resize(bomb.len() + 4000, 0xbe);
    client.send(&frame(kind::HEADERS, WHOLE, 3, &bomb)).await;
    assert_eq!(until_goaway(&mut client).await, (ANY, ENHANCE_YOUR_CALM));
    assert_eq!(hits.counts(), (1, 0));
    // A list that is just too large is refused by itself, and the next request is answered.
    let mut client = answered(address, &[1]).await;
    bomb.truncate(bomb.len() - 3997);
    client.send(&frame(kind::HEADERS, WHOLE, 3, &bomb)).await;
    client.until_ended(3).await;
    assert_eq!(client.answer(3).field(":status"), "431");
    client.send(&get(5, "/hit/10")).await;
    client.until_ended(5).await;
}

/// A map of fields has an end, whatever the configuration lets through.
#[tokio::test]
async fn a_request_with_more_fields_than_a_map_can_have_is_refused() {
    let (address, hits, _stop) = start::<true>(ServerOptions { max_header_bytes: 1 << 20, ..ServerOptions::default() });
    let mut client = answered(address, &[1]).await;
    let names: Vec<String> = (0..25_000).map(|number| format!("x{number:05}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
    let fields = request("GET", "/hit/10", &many);
    let mut pieces = fields.chunks(16_384);
    let mut frames = frame(kind::HEADERS, flag::END_STREAM, 3, pieces.next().expect("a piece"));
    pieces.for_each(|piece| frames.extend(frame(kind::CONTINUATION, 0, 3, piece)));
    frames.extend(frame(kind::CONTINUATION, flag::END_HEADERS, 3, b""));
    client.send(&frames).await;
    client.until_ended(3).await;
    assert_eq!((client.answer(3).field(":status"), hits.counts()), ("431", (1, 0)));
    client.send(&get(5, "/hit/10")).await;
    client.until_ended(5).await;
}

/// Nothing is kept of what cannot be a part of the block.
#[tokio::test]
async fn rfc9113_4_2_a_frame_that_is_too_large_within_a_block_is_not_waited_for() {
    let (address, _, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1]).await;
    let begun = frame(kind::HEADERS, flag::END_STREAM, 3, &request("GET", "/hit/10", &[]));
    let mut large = frame(kind::CONTINUATION, flag::END_HEADERS, 3, b"");
    large[..3].copy_from_slice(&[0xff; 3]);
    client.send(&[begun, large].concat()).await;
    assert_eq!(until_goaway(&mut client).await.0, 1);
}

#[tokio::test]
async fn rfc9113_4_3_a_block_in_pieces_is_one_request() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[]).await;
    let fields = request("GET", "/hit/10", &[("x-a", "b")]);
    for (stream, cut) in (1..).step_by(2).zip(0..=fields.len()) {
        let (one, two) = fields.split_at(cut);
        // Padding, and what stands before a block, are no part of it (§6.2).
        let head = [&[3, 0, 0, 0, 0, 16][..], one, &[0; 3]].concat();
        let head = frame(kind::HEADERS, flag::END_STREAM | flag::PADDED | flag::PRIORITY, stream, &head);
        client.send(&[head, frame(kind::CONTINUATION, flag::END_HEADERS, stream, two)].concat()).await;
        client.until_ended(stream).await;
        assert_eq!(client.answer(stream).body.len(), 10);
    }
    assert_eq!(hits.counts(), (fields.len() + 1, 0));
}

#[tokio::test]
async fn requests_with_content_and_trailers_pass_between_hits() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1]).await;
    let head = frame(kind::HEADERS, flag::END_HEADERS, 3, &request("POST", "/post/100", &[]));
    client.send(&[head, frame(kind::DATA, 0, 3, &[b'x'; 9000]), get(5, "/hit/10"), frame(kind::DATA, 0, 3, b"y")].concat()).await;
    client.until_ended(5).await;
    assert!(!client.has_ended(3));
    client.send(&frame(kind::HEADERS, WHOLE, 3, &block(&[("x-sum", "1")]))).await;
    client.until_ended(3).await;
    assert_eq!((client.answer(3).body.len(), hits.counts()), (100, (2, 1)));
}

/// One second of this is what an idle timeout would cut off.
#[tokio::test]
async fn a_connection_with_hits_only_is_not_idle() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = answered(address, &[1]).await;
    for stream in (3..500).step_by(2) {
        client.send(&get(stream, "/hit/10")).await;
    }
    client.until_ended(499).await;
    assert_eq!(hits.counts(), (250, 0));
}

/// What a client asks for and does not take is the library's to answer, which has limits for that.
#[tokio::test]
async fn a_client_that_takes_nothing_has_little_kept_for_it() {
    let (server, address) = bound();
    let (hits, connections) = (Hits::<true>::default(), server.open_connections());
    let options = ServerOptions { write_timeout: Duration::from_millis(500), ..ServerOptions::default() };
    tokio::spawn(server.serve(options, hits.clone(), std::future::pending()));
    let mut stream = connect(address).await;
    let opening = [client::PREFACE, &frame(kind::SETTINGS, 0, 0, b""), &window_update(0, (1 << 31) - 65_536)].concat();
    stream.write_all(&opening).await.expect("write");
    let mut asked = 0;
    for number in (1..20_000).step_by(2) {
        if stream.write_all(&get(number, "/hit/60000")).await.is_err() {
            break;
        }
        asked += 1;
    }
    while connections.count() > 0 {
        tokio::task::yield_now().await;
    }
    // The kernel's buffers hold some megabytes on either side.
    let (before, _) = hits.counts();
    assert!((1..1000).contains(&before) && asked > 2 * before, "{before} of {asked} were answered");
}
