//! Windows (RFC 9113 §5.2): hits take their part, and never more than the client gives.

use super::client::{Strict, frame, get, setting, window_update};
use super::*;
use crate::http2::frames::kind;

#[tokio::test]
async fn rfc9113_5_2_hits_stay_within_the_connections_window() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = Strict::open(address, 100_000).await;
    let streams: Vec<u32> = (1..200).step_by(2).collect();
    for stream in &streams {
        client.send(&get(*stream, "/hit/10000")).await;
    }
    // It reads until nothing more may come, and gives back by and by.
    let mut given = 0;
    while !streams.iter().all(|stream| client.has_ended(*stream)) {
        if client.window == 0 {
            client.window += 30_000;
            client.send(&window_update(0, 30_000)).await;
            given += 1;
        }
        client.read_frame().await;
    }
    assert!(streams.iter().all(|stream| client.answer(*stream).body.len() == 10_000));
    let (before, through) = hits.counts();
    assert!(before > 5 && through > 5 && before + through == 100 && given > 20, "{before}, {through}, {given}");
}

/// A client may wait until its window is used up to the last byte.
#[tokio::test]
async fn rfc9113_6_9_no_part_of_the_window_lies_idle_while_the_library_waits() {
    for more in [0, 1, 20_000, 65_535, 500_000] {
        let (address, _, _stop) = start::<true>(ServerOptions::default());
        let mut client = Strict::open(address, more).await;
        client.said(Some(1 << 20));
        client.send(&setting(4, 1 << 20)).await;
        let all = 65_535 + more;
        client.ask(1, "GET", &format!("/through/{all}"), &[]).await;
        client.until_ended(1).await;
        assert_eq!((client.answer(1).body.len() as u32, client.window), (all, 0));
    }
}

#[tokio::test]
async fn rfc9113_6_9_2_a_hit_that_is_longer_than_its_streams_window_waits_for_it() {
    let (address, hits, _stop) = start::<true>(ServerOptions::default());
    let mut client = Strict::open(address, 1 << 20).await;
    client.said(Some(100));
    client.send(&setting(4, 100)).await;
    for (stream, target) in [(1, "/hit/101"), (3, "/hit/100"), (5, "/hit/0")] {
        client.send(&get(stream, target)).await;
    }
    client.until_ended(3).await;
    client.until_ended(5).await;
    client.until_pong().await;
    assert_eq!((hits.counts(), client.has_ended(1), client.answer(1).body.len()), ((2, 1), false, 100));
    *client.windows.get_mut(&1).expect("begun") += 1;
    client.send(&window_update(1, 1)).await;
    client.until_ended(1).await;
}

#[tokio::test]
async fn rfc9113_6_9_1_a_window_over_2_to_the_31_minus_1_is_an_error() {
    let (address, _, _stop) = start::<true>(ServerOptions::default());
    let mut client = Strict::open(address, (1 << 31) - 1 - 65_535).await;
    client.until_pong().await;
    client.send(&window_update(0, 1)).await;
    while client.goaways.is_empty() {
        client.read_frame().await;
    }
    assert_eq!(client.goaways[0].1, 3, "FLOW_CONTROL_ERROR");
}

#[tokio::test]
async fn rfc9113_6_9_an_update_of_nothing_is_an_error() {
    let (address, _, _stop) = start::<true>(ServerOptions::default());
    let mut client = Strict::open(address, 1 << 20).await;
    client.send(&frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4])).await;
    while client.goaways.is_empty() {
        client.read_frame().await;
    }
    assert_eq!(client.goaways[0].1, 1, "PROTOCOL_ERROR");
}
