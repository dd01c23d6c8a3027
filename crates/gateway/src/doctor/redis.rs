//! Redis, as one who runs it would look at it: version, memory, evictions, latency, replication, clients, what is written to disk.

use std::time::Duration;

use larder_redis::{Clocks, Examination, ExaminedServer, RedisOptions, examine};
use larder_tower::clock;

use super::Finding;
use crate::config::{display_bytes, display_duration};

/// Of `timeout`, the share that the usual answer may take: look-ups under load take several times as long.
const USUAL_SHARE: u32 = 5;

/// Keys evicted each second, on average since the start, from which on the memory is too small for what is asked of it.
const MANY_EVICTIONS: u64 = 10;

const AWAY: &str = "Larder goes on without it, and replicas do not share anything meanwhile";

pub(super) async fn findings(options: &RedisOptions, namespace: &str) -> Vec<Finding> {
    let options = RedisOptions { prefix: crate::redis::prefix(namespace), ..options.clone() };
    let clocks = Clocks { monotonic: clock::monotonic, wall: Some(clock::wall) };
    match examine(&options, clocks).await {
        Ok(examination) => judged(&examination, options.timeout),
        Err(why) => vec![Finding::warning("Redis", why, AWAY)],
    }
}

fn judged(examination: &Examination, timeout: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(latency(&examination.latencies, timeout));
    for server in &examination.servers {
        let at = if server.info.address.is_empty() { "Redis".to_owned() } else { format!("Redis at {}", server.info.address) };
        findings.push(memory(&at, server));
        findings.extend(evictions(&at, server));
        findings.extend(replication(&at, server));
        findings.extend(clients(&at, server));
        findings.extend(persistence(&at, server, timeout));
    }
    let concern =
        |concern: &String| Finding::warning("Redis", concern.clone(), "the log of a running gateway says the same until it is mended");
    findings.extend(examination.concerns.iter().map(concern));
    findings
}

fn latency(sorted: &[Duration], timeout: Duration) -> Option<Finding> {
    let (usual, longest) = (*sorted.get(sorted.len() / 2)?, *sorted.last()?);
    let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let why = format!("half of {} look-ups took {}, the longest {}", sorted.len(), milliseconds(usual), milliseconds(longest));
    let what = "Redis latency";
    if usual * USUAL_SHARE < timeout && longest < timeout {
        return Some(Finding::good(what, why));
    }
    let remedy = format!("a look-up may take `timeout` ({}) in all: put Redis nearer, or raise it", display_duration(timeout));
    Some(Finding::warning(what, why, remedy))
}

fn memory(at: &str, server: &ExaminedServer) -> Finding {
    let (info, what) = (&server.info, format!("{at} memory"));
    let used = format!("{}, {} used", info.version, display_bytes(info.used_memory));
    if info.max_memory == 0 {
        let remedy = "set maxmemory, and maxmemory-policy to volatile-lru: otherwise it grows until the machine has no more";
        return Finding::warning(what, format!("{used}, and no limit (maxmemory 0)"), remedy);
    }
    let why = format!("{used} of {} (maxmemory-policy {})", display_bytes(info.max_memory), info.policy);
    match info.policy.as_str() {
        "noeviction" => {
            let remedy = "set maxmemory-policy to volatile-lru: once it is full nothing more is stored, purges included";
            Finding::error(what, why, remedy)
        }
        policy if policy.starts_with("allkeys") => {
            let remedy =
                "set maxmemory-policy to volatile-lru: this one may drop the log of purges, and then every replica drops what it has";
            Finding::warning(what, why, remedy)
        }
        _ => Finding::good(what, why),
    }
}

fn evictions(at: &str, server: &ExaminedServer) -> Option<Finding> {
    let (evicted, uptime) = (server.info.evicted, server.number("uptime_in_seconds")?.max(1));
    let what = format!("{at} evictions");
    let why = format!("{evicted} keys since its start {} ago", display_duration(Duration::from_secs(uptime)));
    if evicted / uptime < MANY_EVICTIONS {
        return Some(Finding::good(what, why));
    }
    Some(Finding::warning(what, why, "what is stored is pushed out soon after: raise maxmemory, or lower `max_object` and lifetimes"))
}

fn replication(at: &str, server: &ExaminedServer) -> Option<Finding> {
    let what = format!("{at} replication");
    match server.text("role") {
        "slave" => Some(Finding::error(
            what,
            "it is a replica of another server, and takes no writes",
            "name its master in `url`, or the sentinels that know it",
        )),
        "master" => {
            let replicas = server.number("connected_slaves").unwrap_or_default();
            let lagging = (0..replicas).filter(|number| lags(server.text(&format!("slave{number}")))).count();
            if lagging == 0 {
                return Some(Finding::good(what, format!("a master with {replicas} replicas")));
            }
            let remedy = "after a failover to one of them the caches start over; is it up, and is the way to it free?";
            Some(Finding::warning(what, format!("a master with {replicas} replicas, of which {lagging} lag behind"), remedy))
        }
        _ => None,
    }
}

/// `ip=10.0.0.2,port=6379,state=online,offset=1,lag=0`: whether it is not online, or was not heard of for ten seconds.
fn lags(replica: &str) -> bool {
    let field = |name: &str| replica.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    field("state").is_some_and(|state| state != "online")
        || field("lag").and_then(|lag| lag.parse::<u64>().ok()).is_some_and(|lag| lag > 10)
}

fn clients(at: &str, server: &ExaminedServer) -> Option<Finding> {
    let (connected, most) = (server.number("connected_clients")?, server.number("maxclients"));
    let what = format!("{at} clients");
    match most {
        Some(most) if connected * 5 > most * 4 => Some(Finding::warning(
            what,
            format!("{connected} of {most} connections are open"),
            "raise maxclients, or find out who holds them: CLIENT LIST. Each replica of Larder holds about six",
        )),
        Some(most) => Some(Finding::good(what, format!("{connected} of {most} connections are open"))),
        None => Some(Finding::good(what, format!("{connected} connections are open"))),
    }
}

fn persistence(at: &str, server: &ExaminedServer, timeout: Duration) -> Option<Finding> {
    let what = format!("{at} persistence");
    if server.text("loading") == "1" {
        return Some(Finding::warning(what, "it is still loading what it had", "it answers once it has"));
    }
    if server.text("rdb_last_bgsave_status") == "err" || server.text("aof_last_write_status") == "err" {
        let remedy = "its disk is full or cannot be written: until then it refuses writes (stop-writes-on-bgsave-error), purges included";
        return Some(Finding::error(what, "the last save failed", remedy));
    }
    let fork = Duration::from_micros(server.number("latest_fork_usec").unwrap_or_default());
    if fork > timeout {
        let why = format!("the last save made everyone wait for {} ms", fork.as_millis());
        return Some(Finding::warning(what, why, "a cache needs no snapshots: save \"\"; or raise `timeout`"));
    }
    let kind = if server.text("aof_enabled") == "1" { "an append-only file" } else { "snapshots at most" };
    Some(Finding::good(what, format!("{kind}; purges outlive a restart of Redis as far as that does")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use larder_redis::ServerInfo;

    use super::super::Verdict;
    use super::*;

    fn server(max_memory: u64, policy: &str, fields: &[(&str, &str)]) -> ExaminedServer {
        let info = ServerInfo { version: "redis 7.0.15".to_owned(), max_memory, policy: policy.to_owned(), ..ServerInfo::default() };
        let fields: BTreeMap<String, String> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ExaminedServer { info, fields }
    }

    fn verdict(finding: Option<Finding>) -> Option<Verdict> {
        finding
            .inspect(|finding| assert!(finding.verdict == Verdict::Good || finding.remedy.is_some(), "{finding:?}"))
            .map(|finding| finding.verdict)
    }

    #[test]
    fn memory_has_a_limit_and_a_policy_that_keeps_the_log() {
        for (max, policy, expected) in [
            (0, "noeviction", Verdict::Warning),
            (1, "noeviction", Verdict::Error),
            (1, "allkeys-lru", Verdict::Warning),
            (1, "volatile-lru", Verdict::Good),
            (1, "volatile-ttl", Verdict::Good),
        ] {
            assert_eq!(verdict(Some(memory("Redis", &server(max, policy, &[])))), Some(expected), "{max} {policy}");
        }
    }

    #[test]
    fn latency_is_compared_with_the_timeout() {
        let timeout = Duration::from_millis(50);
        let of = |usual, longest| latency(&[1, usual, longest].map(Duration::from_millis), timeout);
        assert_eq!([of(1, 2), of(10, 12), of(1, 60)].map(verdict), [Some(Verdict::Good), Some(Verdict::Warning), Some(Verdict::Warning)]);
        assert_eq!(latency(&[], timeout), None);
    }

    #[test]
    fn a_replica_is_no_place_to_write_to_and_a_lagging_one_is_told_of() {
        let of = |fields: &[(&str, &str)]| verdict(replication("Redis", &server(0, "", fields)));
        assert_eq!(of(&[("role", "slave")]), Some(Verdict::Error));
        assert_eq!(of(&[("role", "master"), ("connected_slaves", "0")]), Some(Verdict::Good));
        let with = |state: &str| of(&[("role", "master"), ("connected_slaves", "1"), ("slave0", state)]);
        assert_eq!(with("ip=10.0.0.2,port=6379,state=online,offset=1,lag=0"), Some(Verdict::Good));
        assert_eq!(with("ip=10.0.0.2,port=6379,state=online,offset=1,lag=30"), Some(Verdict::Warning));
        assert_eq!(with("ip=10.0.0.2,port=6379,state=wait_bgsave,offset=1,lag=0"), Some(Verdict::Warning));
    }

    #[test]
    fn evictions_clients_and_saves_are_judged() {
        let evicted = |evicted| {
            let mut server = server(1, "volatile-lru", &[("uptime_in_seconds", "100")]);
            server.info.evicted = evicted;
            verdict(evictions("Redis", &server))
        };
        assert_eq!((evicted(999), evicted(1000)), (Some(Verdict::Good), Some(Verdict::Warning)));
        let connected = |count| verdict(clients("Redis", &server(0, "", &[("connected_clients", count), ("maxclients", "100")])));
        assert_eq!((connected("80"), connected("81")), (Some(Verdict::Good), Some(Verdict::Warning)));
        let saved = |name, value| verdict(persistence("Redis", &server(0, "", &[(name, value)]), Duration::from_millis(50)));
        assert_eq!(saved("rdb_last_bgsave_status", "err"), Some(Verdict::Error));
        assert_eq!((saved("latest_fork_usec", "60000"), saved("latest_fork_usec", "900")), (Some(Verdict::Warning), Some(Verdict::Good)));
        assert_eq!(saved("loading", "1"), Some(Verdict::Warning));
    }
}
