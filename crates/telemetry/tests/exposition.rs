//! The exposition as a whole: its names, help, order and numbers are public interface, so its text is kept byte for byte.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use larder_message::OriginOutcome;
use larder_redis::{Operation, RedisObserver, RedisStats, ServerInfo};
use larder_semantics::Reason;
use larder_store::{BreakerState, RemoteError};
use larder_telemetry::metrics::{Gauges, Metrics, RedisGauges, RedisMetrics, RequestRecord, UpstreamGauges};
use larder_tower::CacheResult;

/// Metrics after a reload that removed a route and an upstream, and changed the order of the others.
fn metrics() -> Metrics {
    let before = Metrics::new(&["issue.list", "gone \"\\\n"], &["old", "api", "files"]);
    let record = |method, status, result, reason, micros| RequestRecord {
        method,
        status: StatusCode::from_u16(status).expect("a status"),
        result,
        reason,
        elapsed: Duration::from_micros(micros),
    };
    let (get, head, brew) = (Method::GET, Method::HEAD, Method::from_bytes(b"BREW").expect("a method"));
    before.request(Some(0), &record(Some(&get), 200, Some(CacheResult::Hit), Some(Reason::Fresh), 40));
    before.request(Some(0), &record(Some(&head), 304, Some(CacheResult::Hit), Some(Reason::Fresh), 60));
    before.request(Some(0), &record(Some(&get), 200, Some(CacheResult::Miss), Some(Reason::NotStored), 3_000));
    before.request(Some(1), &record(Some(&brew), 502, Some(CacheResult::Bypass), None, 12_000_000));
    before.origin(0, OriginOutcome::Failed("connection_timeout"), Duration::from_secs(30));
    before.origin(1, OriginOutcome::Answered(StatusCode::OK), Duration::from_micros(2_500));
    let after = before.reconfigure(&["issue.get", "issue.list"], &["files", "api"]);
    after.request(Some(1), &record(Some(&get), 200, Some(CacheResult::Hit), Some(Reason::Fresh), 40));
    after.request(None, &record(None, 400, None, None, 0));
    after.origin(0, OriginOutcome::Answered(StatusCode::NOT_FOUND), Duration::from_millis(7));
    after.origin(1, OriginOutcome::Failed("made up"), Duration::from_millis(8));
    after
}

fn redis() -> RedisGauges {
    let metrics = RedisMetrics::default();
    metrics.operation(Operation::Load, Ok(()), Duration::from_micros(80));
    metrics.operation(Operation::Load, Err(RemoteError::Timeout), Duration::from_millis(50));
    metrics.operation(Operation::Commit, Err(RemoteError::Refused), Duration::from_millis(2));
    metrics.operation(Operation::Commit, Err(RemoteError::Timeout), Duration::from_millis(50));
    let stats = RedisStats {
        hits: 101,
        misses: 102,
        awaited: 103,
        damaged: 104,
        locked: 105,
        interrupted: 106,
        saved_bytes: 107,
        written: 108,
        dropped: 109,
        queued: 110,
        queued_bytes: 111,
        log_number: 112,
        log_lag: Some(Duration::from_millis(1_250)),
        log_vouched: true,
        log_takes_purges: true,
        log_refused: 113,
        log_damaged: 114,
        journaled: 115,
        breaker: BreakerState::HalfOpen,
    };
    let server = |address: &str, version: &str, first| ServerInfo {
        address: address.to_owned(),
        version: version.to_owned(),
        used_memory: first,
        max_memory: first + 1,
        policy: "allkeys-lru".to_owned(),
        evicted: first + 2,
    };
    let servers = vec![server("10.0.0.1:6379", "redis 7.0.15", 201), server("10.0.0.2:6379", "valkey 8.0.1", 211)];
    RedisGauges { stats, servers, metrics: Arc::new(metrics) }
}

fn upstream(name: &str, first: u64, breaker: BreakerState) -> UpstreamGauges {
    UpstreamGauges {
        name: name.to_owned(),
        requests_in_flight: first,
        connections: first + 1,
        connects: first + 2,
        retries: first + 3,
        waiting: first + 4,
        refused: first + 5,
        breaker_open: u64::from(breaker != BreakerState::Closed),
    }
}

fn gauges() -> Gauges {
    Gauges {
        entries: 1,
        stored_bytes: 2,
        capacity_bytes: 3,
        evictions: vec![("size", 4), ("removed", 5), ("replaced", 6)],
        invalidations: vec![("tag", 7), ("url", 8)],
        invalidation_messages: vec![("applied", 9), ("unreadable", 10)],
        invalidation_records: 11,
        invalidation_folds: vec![("coarser", 12), ("everything", 13)],
        invalidation_position: 14,
        collapsed_followers: 15,
        collapsed_waiting: 16,
        fills_in_flight: 17,
        fill_bytes: 18,
        client_connections: 19,
        client_unsent_bytes: 20,
        access_log_dropped: 21,
        upstreams: vec![upstream("files", 30, BreakerState::Closed), upstream("api", 40, BreakerState::HalfOpen)],
        redis: Some(redis()),
    }
}

/// Compares with the kept text, and names the first line that differs.
#[track_caller]
fn assert_text(text: &str, kept: &str) {
    for (number, (line, wanted)) in text.lines().zip(kept.lines()).enumerate() {
        assert_eq!(line, wanted, "line {}", number + 1);
    }
    assert_eq!(text, kept);
}

#[test]
fn the_exposition_of_a_filled_snapshot_is_what_it_always_was() {
    let text = metrics().render(&gauges());
    assert_text(&text, include_str!("golden/exposition.txt"));
}

#[test]
fn the_exposition_of_a_process_that_starts_is_what_it_always_was() {
    let gauges = Gauges {
        evictions: vec![("size", 0), ("removed", 0), ("replaced", 0)],
        invalidation_folds: vec![("coarser", 0), ("everything", 0)],
        upstreams: vec![UpstreamGauges { name: "api".to_owned(), ..UpstreamGauges::default() }],
        ..Gauges::default()
    };
    let text = Metrics::new(&["a"], &["api"]).render(&gauges);
    assert_text(&text, include_str!("golden/exposition_at_start.txt"));
}
