//! The tier in Redis.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use super::operations::{self, Names};
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
    let names = Names {
        duration: ("redis_operation_duration", "Time of an operation on Redis, waiting for a connection included."),
        errors: ("redis_errors", "Operations on Redis that failed, by kind."),
    };
    operations::encode(&redis.operations, &names, families)?;
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
    let facts = servers.iter().map(|server| {
        [
            ("address", server.address.as_str()),
            ("version", server.version.as_str()),
            ("role", server.role.as_str()),
            ("policy", server.policy.as_str()),
        ]
    });
    families.infos("redis_server", "The servers, as they say themselves.", facts)?;
    let samples = |figure: Figure| servers.iter().map(move |server| ([("address", server.address.as_str())], figure(server)));
    for (name, help, unit, figure) in GAUGES {
        families.gauges(name, help, unit, samples(figure))?;
    }
    for (name, help, figure) in COUNTERS {
        families.counters(name, help, samples(figure))?;
    }
    Ok(())
}

const GAUGES: [(&str, &str, Option<&Unit>, Figure); 6] = [
    ("redis_server_used_memory", "Memory that a server uses.", Some(&Unit::Bytes), |server| server.used_memory),
    ("redis_server_max_memory", "Memory that a server may use; 0 is all.", Some(&Unit::Bytes), |server| server.max_memory),
    ("redis_server_resident_memory", "Memory that the operating system has given a server.", Some(&Unit::Bytes), |server| {
        server.resident_memory
    }),
    ("redis_server_uptime", "Time since the start of a server.", Some(&Unit::Seconds), |server| server.uptime_seconds),
    ("redis_server_clients", "Clients that are connected to a server.", None, |server| server.clients),
    ("redis_server_keys", "Keys that a server has.", None, |server| server.keys),
];

const COUNTERS: [(&str, &str, Figure); 6] = [
    ("redis_server_evicted", "Keys that a server has evicted.", |server| server.evicted),
    ("redis_server_expired", "Keys of a server that have expired.", |server| server.expired),
    ("redis_server_commands", "Commands that a server has carried out.", |server| server.commands),
    ("redis_server_keyspace_hits", "Look-ups of keys that a server had.", |server| server.keyspace_hits),
    ("redis_server_keyspace_misses", "Look-ups of keys that a server did not have.", |server| server.keyspace_misses),
    ("redis_server_rejected_connections", "Connections that a server refused, because it had as many as it may have.", |server| {
        server.rejected_connections
    }),
];
