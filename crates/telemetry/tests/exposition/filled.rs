//! A snapshot in which no figure is nothing.

use std::time::Duration;

use http::{Method, StatusCode};
use larder_config::Amount;
use larder_disk::{DiskObserver, DiskOperation};
use larder_message::OriginOutcome;
use larder_redis::{Operation, RedisObserver, RedisStats, ServerInfo};
use larder_semantics::Reason;
use larder_store::{BreakerState, RemoteError};
use larder_telemetry::metrics::{DiskMetrics, Metrics, RedisMetrics, RequestRecord};
use larder_telemetry::snapshot::{
    AcmeDomain, AcmeSnapshot, AlertsSnapshot, Breaker, BuildSnapshot, CertificateSnapshot, ClientSpending, CollapsingSnapshot,
    ConfigSnapshot, DirectorySnapshot, DiskLookups, DiskSnapshot, DiskWrites, Evictions, Folds, InvalidationSnapshot, KeyFetches,
    LabelledCount, LimitSnapshot, PackingSnapshot, ProcessSnapshot, RedisSnapshot, RevocationSnapshot, RoutePlace, RouteSnapshot,
    ServerSnapshot, Snapshot, SpendingSnapshot, StoreSnapshot, SystemSnapshot, TierSnapshot, TlsSnapshot, TokensSnapshot, TraceSnapshot,
    UpstreamState, UsageSnapshot, VerifySnapshot, WarmSnapshot,
};
use larder_tower::CacheResult;

/// Metrics after a reload that removed a route and an upstream, and changed the order of the others.
pub(crate) fn metrics() -> Metrics {
    let before = Metrics::new(&["issue.list", "gone \"\\\n"], &["old", "api", "files"]);
    let record = |method, status, result, reason, micros| RequestRecord {
        method,
        status: StatusCode::from_u16(status).expect("a status"),
        result,
        reason,
        elapsed: Duration::from_micros(micros),
        bytes: Some(100),
    };
    let (get, head, brew) = (Method::GET, Method::HEAD, Method::from_bytes(b"BREW").expect("a method"));
    before.request(Some(0), &record(Some(&get), 200, Some(CacheResult::Hit), Some(Reason::Fresh), 40));
    before.request(Some(0), &record(Some(&head), 304, Some(CacheResult::Hit), Some(Reason::Fresh), 60));
    before.request(Some(0), &record(Some(&get), 200, Some(CacheResult::Miss), Some(Reason::Absent), 3_000));
    before.request(Some(1), &record(Some(&brew), 502, Some(CacheResult::Bypass), None, 12_000_000));
    before.origin(0, OriginOutcome::Failed("connection_timeout"), Duration::from_secs(30));
    before.origin(1, OriginOutcome::Answered(StatusCode::OK), Duration::from_micros(2_500));
    let after = before.reconfigure(&["issue.get", "issue.list"], &["files", "api"]);
    after.request(Some(1), &record(Some(&get), 200, Some(CacheResult::Hit), Some(Reason::Fresh), 40));
    after.request(None, &record(None, 400, None, None, 0));
    after.origin(0, OriginOutcome::Answered(StatusCode::NOT_FOUND), Duration::from_millis(7));
    after.origin(1, OriginOutcome::Failed("made up"), Duration::from_millis(8));
    [false, true, true].iter().for_each(|refused| after.guarded(1, Reason::Reflected, *refused));
    after
}

fn tls() -> TlsSnapshot {
    let certificate = |listener: &str, name: &str, not_after_seconds| CertificateSnapshot {
        listener: listener.to_owned(),
        name: name.to_owned(),
        not_after_seconds,
    };
    let outcomes = ["full", "resumed", "late"].into_iter().zip(30..);
    TlsSnapshot {
        handshakes: outcomes.map(|(label, count)| LabelledCount { label, count }).collect(),
        certificates: vec![
            certificate("0.0.0.0:443", "a.example", 1_900_000_000),
            certificate("0.0.0.0:443", "a.example", 1_796_083_200),
            certificate("[::]:443", "*.b.example", 33),
        ],
        acme: Some(AcmeSnapshot {
            orders: ["issued", "failed"].into_iter().zip(35..).map(|(label, count)| LabelledCount { label, count }).collect(),
            domains: vec![AcmeDomain { domain: "a.example".to_owned(), failures: 37, next_order_seconds: 38 }],
        }),
        revocations: vec![RevocationSnapshot { listener: "0.0.0.0:443".to_owned(), next_update_seconds: 34 }],
    }
}

fn disk() -> DiskSnapshot {
    let metrics = DiskMetrics::default();
    metrics.operation(DiskOperation::Load, Ok(()), Duration::from_micros(300));
    metrics.operation(DiskOperation::Commit, Err(RemoteError::Refused), Duration::from_millis(3));
    DiskSnapshot {
        operations: metrics.operations(),
        lookups: DiskLookups { hit: 301, miss: 302, failure: 303 },
        writes: DiskWrites {
            written: 304,
            written_bytes: 305,
            moved_bytes: 306,
            dropped: 307,
            held_back: 308,
            queued: 309,
            queued_bytes: 310,
        },
        damaged: 311,
        locked: 330,
        interrupted: 312,
        evicted: 313,
        entries: 314,
        index_bytes: 315,
        capacity_bytes: 316,
        ready: true,
        reading: Breaker::HalfOpen,
        writing: Breaker::Open,
        directories: vec![
            DirectorySnapshot {
                path: "/mnt/a".to_owned(),
                ready: true,
                lookups: DiskLookups { hit: 331, miss: 332, failure: 333 },
                entries: 334,
                capacity_bytes: 335,
                written_bytes: 336,
                given_up: 337,
                damaged: 338,
                ..DirectorySnapshot::default()
            },
            DirectorySnapshot {
                path: "/mnt/b".to_owned(),
                problem: Some("it is no directory".to_owned()),
                reading: Breaker::HalfOpen,
                writing: Breaker::Open,
                ..DirectorySnapshot::default()
            },
        ],
    }
}

fn redis() -> RedisSnapshot {
    let metrics = RedisMetrics::default();
    metrics.operation(Operation::Load, Ok(()), Duration::from_micros(80));
    metrics.operation(Operation::Load, Err(RemoteError::Timeout), Duration::from_millis(50));
    metrics.operation(Operation::Commit, Err(RemoteError::Refused), Duration::from_millis(2));
    metrics.operation(Operation::Commit, Err(RemoteError::Timeout), Duration::from_millis(50));
    let stats = RedisStats {
        hits: 101,
        misses: 102,
        awaited: 103,
        relayed: 116,
        relays: 117,
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
        role: "master".to_owned(),
        evicted: first + 2,
        uptime_seconds: first + 3,
        resident_memory: first + 4,
        clients: first + 5,
        keys: first + 6,
        expired: first + 7,
        commands: first + 8,
        keyspace_hits: first + 9,
        keyspace_misses: first + 10,
        rejected_connections: first + 11,
    };
    let servers = vec![server("10.0.0.1:6379", "redis 7.0.15", 201), server("10.0.0.2:6379", "valkey 8.0.1", 221)];
    metrics.snapshot(&stats, servers)
}

fn upstream(position: usize, first: u64, breaker: Breaker) -> UpstreamState {
    UpstreamState {
        position,
        requests_in_flight: first,
        connections: first + 1,
        connects: first + 2,
        retries: first + 3,
        waiting: first + 4,
        refused: first + 5,
        retries_refused: first + 6,
        held: first + 7,
        breaker,
        servers: vec![server(position, first + 100), server(position + 1, first + 200)],
    }
}

fn server(position: usize, first: u64) -> ServerSnapshot {
    ServerSnapshot {
        server: format!("http://10.0.0.{position}:3000"),
        weight: 1,
        backup: false,
        ejected: position == 1,
        healthy: position == 0,
        ejections: first,
        answers: first + 1,
        failures: first + 2,
        requests_in_flight: first + 3,
        connections: first + 4,
        latency_seconds: (position != 2).then_some(0.25),
    }
}

/// With what is known besides the counts.
fn routes(metrics: &Metrics) -> Vec<RouteSnapshot> {
    let mut routes = metrics.routes();
    for (route, saved_seconds) in routes.iter_mut().zip([0.5, 1.5, 2.5, 3.5]) {
        route.saved_seconds = saved_seconds;
        let class = if route.name == "issue.get" { "project" } else { "" };
        let place = RoutePlace { class: class.to_owned(), upstream: "api".to_owned(), scope: "public" };
        route.place = route.name.starts_with("issue").then_some(place);
    }
    routes
}

fn usage() -> Vec<UsageSnapshot> {
    let of = |model: &str, outcome, input, price| UsageSnapshot {
        route: "/v1/{*rest}".to_owned(),
        model: model.to_owned(),
        outcome,
        input,
        output: input + 1,
        price,
    };
    vec![of("gpt-4o", "spent", 21, Some(0.25)), of("other", "saved", 23, None)]
}

fn spending() -> Vec<SpendingSnapshot> {
    let client = |client: &str, outcome, tokens, price| ClientSpending { client: client.to_owned(), outcome, tokens, price };
    let of = |window| SpendingSnapshot {
        window,
        models: usage(),
        clients: vec![client("team-blue", "spent", 25, Some(0.5)), client("!others", "saved", 27, None)],
    };
    vec![of("day"), of("month")]
}

/// With another number for each figure.
pub(crate) fn filled() -> Snapshot {
    let metrics = metrics();
    let labelled = |counts: [(&'static str, u64); 2]| counts.map(|(label, count)| LabelledCount { label, count }).to_vec();
    Snapshot {
        routes: routes(&metrics),
        upstreams: metrics.upstreams([upstream(0, 30, Breaker::Closed), upstream(1, 40, Breaker::HalfOpen)]),
        store: StoreSnapshot {
            entries: 1,
            stored_bytes: 2,
            capacity_bytes: 3,
            evictions: Evictions { size: 4, removed: 5, replaced: 6 },
            bypasses_refused: 7,
            packing: Some(PackingSnapshot { bodies: 74, saved_bytes: 75, whole_bytes: 76 }),
        },
        tiers: ["disk", "redis"].map(|name| TierSnapshot { name, hits: 1, misses: 2, failures: 3, promotions: 4 }).to_vec(),
        collapsing: CollapsingSnapshot {
            followers: 15,
            waiting: 16,
            fills_in_flight: 17,
            fill_bytes: 18,
            continued: 3,
            differing: 2,
            failed: 1,
        },
        recodings: labelled([("packed", 19), ("unpacked", 20)]),
        usage: usage(),
        spending: spending(),
        invalidation: InvalidationSnapshot {
            by_target: labelled([("tag", 7), ("url", 8)]),
            messages: labelled([("applied", 9), ("unreadable", 10)]),
            records: 11,
            folds: Folds { coarser: 12, everything: 13 },
            position: 14,
        },
        disk: Some(disk()),
        redis: Some(redis()),
        tls: Some(tls()),
        alerts: AlertsSnapshot { raised: labelled([("breaker", 31), ("replica", 32)]), delivered: 33, undelivered: 34 },
        warm: vec![WarmSnapshot {
            job: "listings".to_owned(),
            requests: ["hit", "stored"].into_iter().zip(40..).map(|(label, count)| LabelledCount { label, count }).collect(),
            is_running: true,
        }],
        verify: vec![VerifySnapshot {
            route: "board".to_owned(),
            hits: labelled([("agreed", 71), ("leak", 72)]),
            safe_lifetime: Some(73),
            stopped: true,
        }],
        limits: vec![LimitSnapshot {
            limit: "per-client".to_owned(),
            requests: labelled([("admitted", 42), ("refused", 43)]),
            keys: 44,
            alone: Some(45),
            charged: Some(Amount::Sum(46.5)),
            silent: Some(47),
            warnings: Some(48),
        }],
        tokens: Some(TokensSnapshot {
            checked: labelled([("verified", 46), ("expired", 47)]),
            remembered: 48,
            keys: 49,
            fetches: Some(KeyFetches { ok: 50, failed: 51, failed_in_a_row: 53, last_success_seconds: 52 }),
        }),
        build: BuildSnapshot { version: "0.1.0", arch: "x86_64", os: "linux" },
        config: ConfigSnapshot {
            hash: Some("0123456789abcdef".to_owned()),
            reloaded: 22,
            refused: 23,
            last_successful: true,
            last_success_seconds: 24,
        },
        process: ProcessSnapshot {
            client_connections: 19,
            client_unsent_bytes: 20,
            runtime_tasks: 73,
            http2_limits: vec![LabelledCount { label: "ping", count: 61 }, LabelledCount { label: "streams", count: 62 }],
            access_log_dropped: 21,
            traces: Some(TraceSnapshot { exported: 31, dropped: 32 }),
            system: Some(SystemSnapshot {
                cpu_seconds: 25.5,
                resident_bytes: 26,
                virtual_bytes: 27,
                open_files: 28,
                max_files: 29,
                start_seconds: 30,
            }),
        },
    }
}
