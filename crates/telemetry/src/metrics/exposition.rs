//! The scrape: sums over threads, names, help, text.

use std::fmt;
use std::sync::Arc;

use larder_redis::{RedisStats, ServerInfo};
use larder_store::BreakerState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::histogram::HistogramSum;
use super::redis::RedisMetrics;
use super::upstream_gauges::{UpstreamGauges, encode_upstreams};
use super::{Families, Named};

/// The media type of the exposition.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is not counted here but read off its owner at each scrape.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Stored responses in memory.
    pub entries: u64,
    /// Bytes they take: keys, heads, bodies, bookkeeping.
    pub stored_bytes: u64,
    /// Bytes they may take.
    pub capacity_bytes: u64,
    /// Stored responses that were dropped, by cause, since the start.
    pub evictions: Vec<(&'static str, u64)>,
    /// What was invalidated, by kind of target, since the start.
    pub invalidations: Vec<(&'static str, u64)>,
    /// Messages on the Redis channel of invalidations, by what became of them, since the start; empty where nobody listens.
    pub invalidation_messages: Vec<(&'static str, u64)>,
    /// Records of invalidations kept.
    pub invalidation_records: u64,
    /// How often they had to make room, by what became of them, since the start.
    pub invalidation_folds: Vec<(&'static str, u64)>,
    /// The last position in the sequence of invalidations.
    pub invalidation_position: u64,
    /// Requests that shared another's fill, since the start.
    pub collapsed_followers: u64,
    /// Requests that wait for another's fill to get its response's head.
    pub collapsed_waiting: u64,
    /// Fills under way.
    pub fills_in_flight: u64,
    /// Bytes of bodies held for fills under way.
    pub fill_bytes: u64,
    /// Open connections from clients.
    pub client_connections: u64,
    /// Bytes of answers over HTTP/2 that clients have not taken yet.
    pub client_unsent_bytes: u64,
    /// Access log lines dropped because the log's reader was too slow, since the start.
    pub access_log_dropped: u64,
    /// The upstreams of the running configuration.
    pub upstreams: Vec<UpstreamGauges>,
    /// The tier in Redis, where there is one.
    pub redis: Option<RedisGauges>,
}

/// The tier in Redis in [`Gauges`].
#[derive(Clone, Debug)]
pub struct RedisGauges {
    /// Its own figures.
    pub stats: RedisStats,
    /// The servers.
    pub servers: Vec<ServerInfo>,
    /// What it was asked.
    pub metrics: Arc<RedisMetrics>,
}

/// The exposition of everything in `families` and `gauges`.
pub(super) fn render(families: &Arc<Families>, gauges: &Gauges) -> String {
    let mut registry = Registry::with_prefix("larder");
    registry.register_collector(Box::new(Scrape { families: Arc::clone(families), gauges: gauges.clone() }));
    let mut text = String::with_capacity(16 * 1024);
    // The one error there is comes from the writer, and a `String` takes everything.
    let _infallible = encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Scrape {
    families: Arc<Families>,
    gauges: Gauges,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.routes(&mut encoder)?;
        self.upstreams(&mut encoder)?;
        self.store(&mut encoder)?;
        self.gauges.redis.as_ref().map_or(Ok(()), |redis| redis.encode(&mut encoder))
    }
}

impl Scrape {
    fn routes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.families.routes.all();
        let help = "Requests answered, by route, method, class of status, what the cache did and why.";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for route in &routes {
            for (labels, count) in route.requests() {
                let labels = [
                    ("route", route.name()),
                    ("method", labels.method()),
                    ("status", labels.status()),
                    ("result", labels.result()),
                    ("reason", labels.reason()),
                ];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
            }
        }
        let help = "Time from a request's head to its response's head, by what the cache did.";
        for_each_histogram(encoder, "request_duration", help, |sample| {
            for route in &routes {
                for (result, sum) in route.latencies() {
                    sample(&[("route", route.name()), ("result", result)], &sum)?;
                }
            }
            Ok(())
        })
    }

    fn upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.families.upstreams.all();
        let help = "Exchanges with upstreams, by how they ended.";
        let mut family = encoder.encode_descriptor("origin_requests", help, None, MetricType::Counter)?;
        for upstream in &upstreams {
            for (outcome, count) in upstream.outcomes() {
                let labels = [("upstream", upstream.name()), ("outcome", outcome)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
            }
        }
        let help = "Time from a request going to an upstream to its response's head, or its failure.";
        for_each_histogram(encoder, "origin_duration", help, |sample| {
            for upstream in &upstreams {
                sample(&[("upstream", upstream.name())], &upstream.latency())?;
            }
            Ok(())
        })?;
        encode_upstreams(&self.gauges.upstreams, encoder)
    }

    fn store(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let gauges = &self.gauges;
        let bytes = Some(&Unit::Bytes);
        for (name, help, unit, value) in [
            ("cache_entries", "Stored responses in memory.", None, gauges.entries),
            ("cache_stored", "Bytes of stored responses: keys, heads, bodies, bookkeeping.", bytes, gauges.stored_bytes),
            ("cache_capacity", "Bytes that stored responses may take.", bytes, gauges.capacity_bytes),
            ("invalidation_records", "Records of invalidations kept.", None, gauges.invalidation_records),
            ("invalidation_position", "The last position in the sequence of invalidations.", None, gauges.invalidation_position),
            ("fills_in_flight", "Fills under way.", None, gauges.fills_in_flight),
            ("collapsed_waiting", "Requests that wait for another's fill to get its head.", None, gauges.collapsed_waiting),
            ("fill", "Bytes of bodies held for fills under way.", bytes, gauges.fill_bytes),
            ("client_connections", "Open connections from clients.", None, gauges.client_connections),
            (
                "client_unsent",
                "Bytes of answers over HTTP/2 that were handed to their connections and not taken by clients yet.",
                bytes,
                gauges.client_unsent_bytes,
            ),
        ] {
            encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        for (name, help, value) in [
            ("collapsed_followers", "Requests that shared another's fill.", gauges.collapsed_followers),
            ("access_log_dropped", "Access log lines dropped because the log's reader was too slow.", gauges.access_log_dropped),
        ] {
            let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            counter.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        let help = "Stored responses dropped from memory, by cause.";
        let mut family = encoder.encode_descriptor("cache_evictions", help, None, MetricType::Counter)?;
        for (cause, count) in &gauges.evictions {
            family.encode_family(&[("cause", *cause)])?.encode_counter::<NoLabelSet, _, f64>(count, None)?;
        }
        let help = "What purges and writes made invalid, by kind of target.";
        let mut family = encoder.encode_descriptor("invalidations", help, None, MetricType::Counter)?;
        for (kind, count) in &gauges.invalidations {
            family.encode_family(&[("kind", *kind)])?.encode_counter::<NoLabelSet, _, f64>(count, None)?;
        }
        let help = "How often records of invalidations had to make room: coarser ones cover them, or everything from before is old.";
        let mut family = encoder.encode_descriptor("invalidation_folds", help, None, MetricType::Counter)?;
        for (into, count) in &gauges.invalidation_folds {
            family.encode_family(&[("into", *into)])?.encode_counter::<NoLabelSet, _, f64>(count, None)?;
        }
        let help = "Messages on the Redis channel of invalidations.";
        let mut family = encoder.encode_descriptor("invalidation_messages", help, None, MetricType::Counter)?;
        for (outcome, count) in &gauges.invalidation_messages {
            family.encode_family(&[("outcome", *outcome)])?.encode_counter::<NoLabelSet, _, f64>(count, None)?;
        }
        Ok(())
    }
}

impl RedisGauges {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Time of an operation on Redis, waiting for a connection included.";
        for_each_histogram(encoder, "redis_operation_duration", help, |sample| {
            self.metrics.latencies().try_for_each(|(operation, sum)| sample(&[("operation", operation)], &sum))
        })?;
        let help = "Operations on Redis that failed, by kind.";
        let mut family = encoder.encode_descriptor("redis_errors", help, None, MetricType::Counter)?;
        for (operation, error, count) in self.metrics.errors() {
            let labels = [("operation", operation), ("error", error)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        let stats = &self.stats;
        let help = "Look-ups in Redis, by what they came to.";
        let mut family = encoder.encode_descriptor("redis_lookups", help, None, MetricType::Counter)?;
        for (result, count) in
            [("hit", stats.hits), ("miss", stats.misses), ("awaited", stats.awaited), ("damaged", stats.damaged), ("locked", stats.locked)]
        {
            family.encode_family(&[("result", result)])?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        for (name, help, count) in [
            ("redis_written", "Responses written to Redis.", stats.written),
            ("redis_interrupted", "Long bodies from Redis that broke off after their beginning.", stats.interrupted),
            ("redis_saved_bytes", "Bytes that compression has spared Redis.", stats.saved_bytes),
            ("redis_dropped", "Writes to Redis given up because the queue was full.", stats.dropped),
            ("invalidation_log_refused", "Invalidations that could not be put into the log when they were made.", stats.log_refused),
            ("invalidation_log_damaged", "Times that the log's own keys were damaged and it began anew.", stats.log_damaged),
        ] {
            let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            counter.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        self.encode_state(encoder)
    }

    fn encode_servers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if self.servers.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor("redis_server", "The servers, as they say themselves.", None, MetricType::Info)?;
        for server in &self.servers {
            let labels = [("address", &*server.address), ("version", &*server.version), ("policy", &*server.policy)];
            family.encode_info(&labels)?;
        }
        type Reading = fn(&ServerInfo) -> u64;
        let gauges: [(&str, &str, Reading); 2] = [
            ("redis_server_used_memory", "Memory that a server uses.", |server| server.used_memory),
            ("redis_server_max_memory", "Memory that a server may use; 0 is all.", |server| server.max_memory),
        ];
        for (name, help, read) in gauges {
            let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
            for server in &self.servers {
                family.encode_family(&[("address", &*server.address)])?.encode_gauge(&read(server))?;
            }
        }
        let mut family = encoder.encode_descriptor("redis_server_evicted", "Keys that a server has evicted.", None, MetricType::Counter)?;
        for server in &self.servers {
            family.encode_family(&[("address", &*server.address)])?.encode_counter::<NoLabelSet, _, f64>(&server.evicted, None)?;
        }
        Ok(())
    }

    fn encode_state(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stats = &self.stats;
        let breaker: u64 = match stats.breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        for (name, help, unit, value) in [
            ("redis_breaker", "Whether Redis is asked: 0 yes, 1 one request at a time, 2 no.", None, breaker),
            ("redis_queued", "Writes to Redis that wait.", None, stats.queued),
            ("redis_queued", "Bytes of bodies that wait to be written to Redis.", Some(&Unit::Bytes), stats.queued_bytes),
            ("invalidation_log_number", "The entry of the log of invalidations that was applied last.", None, stats.log_number),
            ("invalidation_log_writable", "Whether the log took what was last put into it.", None, u64::from(stats.log_takes_purges)),
            ("invalidations_untold", "Invalidations that the log does not have yet.", None, stats.journaled),
        ] {
            encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        self.encode_servers(encoder)?;
        // Absent before the log was first read to its end: there is nothing to say yet.
        let Some(lag) = stats.log_lag else { return Ok(()) };
        let help = "How long ago the log of invalidations was last seen to have nothing new.";
        let mut gauge = encoder.encode_descriptor("invalidation_log_lag", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        gauge.encode_gauge(&lag.as_secs_f64())
    }
}

/// Writes a histogram family in seconds; `samples` hands each of its members to the function it is given.
fn for_each_histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl FnOnce(&mut dyn FnMut(&[(&str, &str)], &HistogramSum) -> fmt::Result) -> fmt::Result,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    samples(&mut |labels, sum| {
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum.seconds(), sum.count(), &sum.buckets(), None)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};

    use super::super::{CacheResult, Metrics, RequestRecord};
    use super::*;
    use larder_message::OriginOutcome;

    fn exposition() -> String {
        let metrics = Metrics::new(&["quo\"te\\\n"], &["api"]);
        let record = RequestRecord {
            method: Some(&Method::GET),
            status: StatusCode::OK,
            result: Some(CacheResult::Miss),
            reason: None,
            elapsed: Duration::from_millis(3),
        };
        metrics.request(Some(0), &record);
        metrics.origin(0, OriginOutcome::Failed("connection_timeout"), Duration::from_secs(30));
        let api = UpstreamGauges { name: "api".to_owned(), connections: 3, ..UpstreamGauges::default() };
        let evictions = vec![("size", 2), ("replaced", 0)];
        metrics.render(&Gauges { entries: 4, stored_bytes: 1024, evictions, upstreams: vec![api], ..Gauges::default() })
    }

    #[test]
    fn gauges_come_with_their_unit() {
        let text = exposition();
        for line in [
            "larder_cache_entries 4",
            "# TYPE larder_cache_stored_bytes gauge",
            "# UNIT larder_cache_stored_bytes bytes",
            "larder_cache_stored_bytes 1024",
            r#"larder_cache_evictions_total{cause="size"} 2"#,
            r#"larder_cache_evictions_total{cause="replaced"} 0"#,
            r#"larder_origin_requests_total{upstream="api",outcome="connection_timeout"} 1"#,
            r#"larder_origin_connections{upstream="api"} 3"#,
            "larder_collapsed_followers_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in:\n{text}");
        }
    }

    #[test]
    fn label_values_are_escaped() {
        assert!(exposition().contains(r#"{route="quo\"te\\\n",method="GET""#));
    }

    #[test]
    fn histogram_buckets_accumulate_up_to_the_count() {
        let text = exposition();
        let buckets: Vec<_> = text.lines().filter(|line| line.starts_with("larder_request_duration_seconds_bucket")).collect();
        assert_eq!(buckets.len(), 18);
        assert!(buckets[4].starts_with(r#"larder_request_duration_seconds_bucket{le="0.001","#) && buckets[4].ends_with(" 0"));
        assert!(buckets[6].contains(r#"le="0.005""#) && buckets[6].ends_with(" 1"));
        assert!(buckets[17].contains(r#"le="+Inf""#) && buckets[17].ends_with(" 1"));
    }

    #[test]
    fn the_exposition_ends_with_eof_and_names_each_family_once() {
        let text = exposition();
        assert!(text.ends_with("# EOF\n"));
        let mut types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let families = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), families);
    }
}
