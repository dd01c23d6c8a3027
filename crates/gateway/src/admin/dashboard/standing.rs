//! Upstreams, tiers and replicas: how what Larder depends on stands.

use super::super::endpoints::Shared;
use super::blocks::{Block, Cell, bytes, number, percent, state, text, time};
use crate::scrape::snapshot;
use crate::telemetry::snapshot::{Breaker, DiskSnapshot, RedisSnapshot, ServerSnapshot, TierSnapshot, UpstreamSnapshot};
use crate::upstreams::snapshots;

/// Each upstream with its servers.
pub(super) fn upstreams(shared: &Shared) -> Vec<Block> {
    let upstreams = snapshots(&shared.gateway.active.load());
    let heads =
        ["Upstream", "State", "Answers", "Failures", "Half", "99 %", "Under way", "Waiting", "Refused", "Sent again", "Connections"];
    let all = Block::new("upstreams", "Upstreams", &heads).rows(upstreams.iter().map(upstream));
    let heads = ["Upstream", "Server", "State", "Weight", "Answers", "Failures", "Left out", "Under way", "Connections", "Latency"];
    let servers = upstreams.iter().flat_map(|upstream| {
        let servers = upstream.state.iter().flat_map(|state| &state.servers);
        servers.map(|server| self::server(&upstream.name, server))
    });
    vec![all, Block::new("servers", "Servers", &heads).rows(servers)]
}

fn breaker(breaker: Breaker) -> Cell {
    match breaker {
        Breaker::Closed => state("asked", "good"),
        Breaker::HalfOpen => state("tried", "warn"),
        Breaker::Open => state("left alone", "bad"),
    }
}

fn upstream(upstream: &UpstreamSnapshot) -> Vec<Cell> {
    let is_answer = |label: &str| label.len() == 3 && label.ends_with("xx");
    let count = |answers: bool| {
        let outcomes = upstream.outcomes.iter().filter(|outcome| is_answer(outcome.label) == answers);
        number(outcomes.map(|outcome| outcome.count).sum::<u64>())
    };
    let standing = upstream.state.clone().unwrap_or_default();
    vec![
        text(upstream.name.clone()),
        upstream.state.as_ref().map_or_else(|| state("not configured any more", "warn"), |state| breaker(state.breaker)),
        count(true),
        count(false),
        number(time(upstream.latency.quantile(0.5))),
        number(time(upstream.latency.quantile(0.99))),
        number(standing.requests_in_flight),
        number(standing.waiting),
        number(standing.refused),
        number(standing.retries),
        number(standing.connections),
    ]
}

fn server(upstream: &str, server: &ServerSnapshot) -> Vec<Cell> {
    let standing = match server {
        ServerSnapshot { ejected: true, .. } => state("left out", "bad"),
        ServerSnapshot { healthy: false, .. } => state("unhealthy", "bad"),
        ServerSnapshot { backup: true, .. } => state("backup", ""),
        _ => state("asked", "good"),
    };
    vec![
        text(upstream),
        text(server.server.clone()),
        standing,
        number(server.weight),
        number(server.answers),
        number(server.failures),
        number(server.ejections),
        number(server.requests_in_flight),
        number(server.connections),
        number(time(server.latency_seconds)),
    ]
}

/// The tiers behind memory, and the replicas.
pub(super) fn tiers(shared: &Shared) -> Vec<Block> {
    let gateway = &shared.gateway;
    let snapshot = snapshot(gateway);
    let memory = vec![
        text("memory"),
        state("used", "good"),
        number(snapshot.store.entries),
        number(bytes(snapshot.store.stored_bytes)),
        number("–"),
        number("–"),
        number("–"),
    ];
    let heads = ["Tier", "State", "Entries", "Takes", "Found", "Not found", "Failed"];
    let stands = |tier: &TierSnapshot| tier_row(tier, snapshot.disk.as_ref(), snapshot.redis.as_ref());
    let rows = std::iter::once(memory).chain(snapshot.tiers.iter().map(stands));
    let mut blocks = vec![Block::new("tiers", "Tiers", &heads).rows(rows), replicas(shared)];
    if let Some(redis) = &snapshot.redis {
        blocks.extend(redis_blocks(redis));
    }
    blocks
}

fn tier_row(tier: &TierSnapshot, disk: Option<&DiskSnapshot>, redis: Option<&RedisSnapshot>) -> Vec<Cell> {
    let (standing, entries, takes) = match (tier.name, disk, redis) {
        ("disk", Some(disk), _) => (breaker(disk.reading), disk.entries.to_string(), bytes(disk.writes.written_bytes)),
        ("redis", _, Some(redis)) => {
            (breaker(redis.breaker), "–".to_owned(), bytes(redis.servers.iter().map(|server| server.used_memory).sum()))
        }
        _ => (text(""), "–".to_owned(), "–".to_owned()),
    };
    vec![text(tier.name), standing, number(entries), number(takes), number(tier.hits), number(tier.misses), number(tier.failures)]
}

fn replicas(shared: &Shared) -> Block {
    let report = shared.gateway.replicas();
    let note = match (&report.problem, report.shared) {
        (_, false) => "Without Redis this replica is alone.".to_owned(),
        (Some(problem), true) => format!("{problem}. {} invalidations wait.", report.journaled),
        (None, true) => format!("The log of invalidations ends at {}, read {} ago.", report.position, time(report.lag_seconds)),
    };
    let heads = ["Replica", "State", "Applied up to", "Behind", "Last heard of"];
    let rows = report.replicas.iter().map(|replica| {
        let name = if replica.name.is_empty() { &replica.id } else { &replica.name };
        let own = if replica.own { " (this one)" } else { "" };
        vec![
            text(format!("{name}{own}")),
            state(replica.state.clone(), if replica.state == "live" { "good" } else { "bad" }),
            number(replica.applied),
            Cell { class: if replica.behind > 0 { "warn num" } else { "num" }, ..number(replica.behind) },
            number(time(Some(replica.silent_seconds))),
        ]
    });
    Block::new("replicas", "Replicas", &heads).note(note).rows(rows)
}

fn redis_blocks(redis: &RedisSnapshot) -> [Block; 2] {
    let servers = redis.servers.iter().map(|server| {
        let used = (server.max_memory > 0).then(|| server.used_memory as f64 / server.max_memory as f64);
        vec![
            text(if server.address.is_empty() { "the server" } else { &server.address }),
            text(server.version.clone()),
            text(server.policy.clone()),
            number(bytes(server.used_memory)),
            number(percent(used)),
            number(server.evicted),
        ]
    });
    let operations = redis.operations.iter().filter(|operation| operation.latency.count > 0).map(|operation| {
        vec![
            text(operation.operation),
            number(operation.latency.count),
            number(operation.errors.iter().map(|error| error.count).sum::<u64>()),
            number(time(operation.latency.quantile(0.5))),
            number(time(operation.latency.quantile(0.99))),
        ]
    });
    [
        Block::new("redis-servers", "Redis", &["Server", "Version", "When it is full", "Memory", "Of what it may use", "Evicted"])
            .rows(servers),
        Block::new("redis-operations", "Operations on Redis", &["Operation", "Done", "Failed", "Half", "99 %"]).rows(operations),
    ]
}
