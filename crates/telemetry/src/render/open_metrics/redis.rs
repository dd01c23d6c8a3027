//! The tier in Redis.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::snapshot::{Breaker, RedisServer, RedisSnapshot};

pub(super) fn encode(redis: &RedisSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    encode_operations(redis, families)?;
    let RedisSnapshot { writes, log, .. } = redis;
    for (name, help, count) in [
        ("redis_written", "Responses written to Redis.", writes.written),
        ("redis_interrupted", "Bodies from Redis that broke off after their beginning.", redis.interrupted),
        ("redis_relays", "Answers that other replicas could read while they arrived here.", redis.relays),
        ("redis_saved_bytes", "Bytes that compression has spared Redis.", writes.saved_bytes),
        ("redis_dropped", "Writes to Redis given up because the queue was full.", writes.dropped),
        ("invalidation_log_refused", "Invalidations that could not be put into the log when they were made.", log.refused),
        ("invalidation_log_damaged", "Times that the log's own keys were damaged and it began anew.", log.damaged),
    ] {
        families.counter(name, help, count)?;
    }
    encode_state(redis, families)?;
    encode_servers(&redis.servers, families)?;
    // Absent before the log was first read to its end: there is nothing to say yet.
    let Some(lag) = log.lag_seconds else { return Ok(()) };
    let help = "How long ago the log of invalidations was last seen to have nothing new.";
    families.gauge("invalidation_log_lag", help, Some(&Unit::Seconds), &lag)
}

fn encode_operations(redis: &RedisSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let help = "Time of an operation on Redis, waiting for a connection included.";
    let latencies = redis.operations.iter().map(|operation| ([("operation", operation.operation)], &operation.latency));
    families.histograms("redis_operation_duration", help, latencies)?;
    let errors = redis.operations.iter().flat_map(|operation| {
        let name = operation.operation;
        operation.errors.iter().map(move |error| ([("operation", name), ("error", error.label)], error.count))
    });
    families.counters("redis_errors", "Operations on Redis that failed, by kind.", errors)?;
    let lookups = &redis.lookups;
    let by_result = [
        ("hit", lookups.hit),
        ("miss", lookups.miss),
        ("awaited", lookups.awaited),
        ("relayed", lookups.relayed),
        ("damaged", lookups.damaged),
        ("locked", lookups.locked),
    ];
    let by_result = by_result.map(|(result, count)| ([("result", result)], count));
    families.counters("redis_lookups", "Look-ups in Redis, by what they came to.", by_result)
}

fn encode_state(redis: &RedisSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let RedisSnapshot { writes, log, .. } = redis;
    let breaker: u64 = match redis.breaker {
        Breaker::Closed => 0,
        Breaker::HalfOpen => 1,
        Breaker::Open => 2,
    };
    for (name, help, unit, value) in [
        ("redis_breaker", "Whether Redis is asked: 0 yes, 1 one request at a time, 2 no.", None, breaker),
        ("redis_queued", "Writes to Redis that wait.", None, writes.queued),
        ("redis_queued", "Bytes of bodies that wait to be written to Redis.", Some(&Unit::Bytes), writes.queued_bytes),
        ("invalidation_log_number", "The entry of the log of invalidations that was applied last.", None, log.number),
        ("invalidation_log_writable", "Whether the log took what was last put into it.", None, u64::from(log.writable)),
        ("invalidations_untold", "Invalidations that the log does not have yet.", None, log.journaled),
    ] {
        families.gauge(name, help, unit, &value)?;
    }
    Ok(())
}

type Figure = fn(&RedisServer) -> u64;

fn encode_servers(servers: &[RedisServer], families: &mut Families<'_, '_>) -> fmt::Result {
    if servers.is_empty() {
        return Ok(());
    }
    let facts = servers
        .iter()
        .map(|server| [("address", server.address.as_str()), ("version", server.version.as_str()), ("policy", server.policy.as_str())]);
    families.infos("redis_server", "The servers, as they say themselves.", facts)?;
    let samples = |figure: Figure| servers.iter().map(move |server| ([("address", server.address.as_str())], figure(server)));
    let bytes = Some(&Unit::Bytes);
    families.gauges("redis_server_used_memory", "Memory that a server uses.", bytes, samples(|server| server.used_memory))?;
    let help = "Memory that a server may use; 0 is all.";
    families.gauges("redis_server_max_memory", help, bytes, samples(|server| server.max_memory))?;
    families.counters("redis_server_evicted", "Keys that a server has evicted.", samples(|server| server.evicted))
}
