//! The servers as they describe themselves, and concerns about them.

use larder_redis_options::RedisOptions;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, cmd};

use crate::link::Connection;

/// The oldest Redis that works. Valkey began later, and counts from there.
const MIN_REDIS_VERSION: (u32, u32) = (6, 2);

/// One server, as its `INFO` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// Where it is, in a Cluster; empty where there is one only.
    pub address: String,
    /// `redis 7.0.15`, `valkey 8.0.1`.
    pub version: String,
    /// Bytes of memory that it uses.
    pub used_memory: u64,
    /// Bytes that it may use; 0: as many as there are.
    pub max_memory: u64,
    /// Its policy when that is full: `noeviction`, `allkeys-lru`, ….
    pub policy: String,
    /// `master` or `slave`.
    pub role: String,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// Bytes of memory that the operating system has given it.
    pub resident_memory: u64,
    /// Connected clients.
    pub clients: u64,
    /// Keys in all of its databases.
    pub keys: u64,
    /// Keys evicted since its start.
    pub evicted: u64,
    /// Keys that expired since its start.
    pub expired: u64,
    /// Commands carried out since its start.
    pub commands: u64,
    /// Look-ups of keys that it had, since its start.
    pub keyspace_hits: u64,
    /// Look-ups of keys that it did not have, since its start.
    pub keyspace_misses: u64,
    /// Connections refused since its start, for there were as many as there may be.
    pub rejected_connections: u64,
}

/// The servers, and concerns about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inspection {
    pub(crate) servers: Vec<ServerInfo>,
    /// In words for people.
    pub(crate) concerns: Vec<String>,
}

impl Inspection {
    /// Asks the servers. What cannot be found out is a concern itself.
    pub(crate) async fn of(connection: &mut Connection, options: &RedisOptions) -> RedisResult<Self> {
        let mut concerns = Vec::new();
        let servers: Vec<ServerInfo> = match cmd("INFO").query_async::<Value>(connection).await {
            Ok(answer) => texts(answer).into_iter().map(|(address, text)| ServerInfo::read(address, &text)).collect(),
            Err(error) if is_forbidden(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        servers.iter().for_each(|server| concerns.extend(server.concerns()));
        let forbidden = forbidden(connection, options).await?;
        if !forbidden.is_empty() {
            let commands = forbidden.join(", ");
            concerns.push(format!("the user may not use {commands} on {}:*: grant them with ACL SETUSER", options.prefix));
        }
        if forbidden.contains(&"INFO") {
            concerns.push("without INFO a failover that loses the end of the log of invalidations is not noticed".to_owned());
        }
        Ok(Self { servers, concerns })
    }
}

impl ServerInfo {
    pub(super) fn read(address: String, text: &str) -> Self {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let number = |name| value(name).and_then(|value| value.parse().ok()).unwrap_or_default();
        let version = match (value("valkey_version"), value("redis_version")) {
            (Some(version), _) => format!("valkey {version}"),
            (None, version) => format!("redis {}", version.unwrap_or("of an unknown version")),
        };
        Self {
            address,
            version,
            used_memory: number("used_memory"),
            max_memory: number("maxmemory"),
            policy: value("maxmemory_policy").unwrap_or_default().to_owned(),
            role: value("role").unwrap_or_default().to_owned(),
            uptime_seconds: number("uptime_in_seconds"),
            resident_memory: number("used_memory_rss"),
            clients: number("connected_clients"),
            keys: text.lines().filter_map(keys_of_database).sum(),
            evicted: number("evicted_keys"),
            expired: number("expired_keys"),
            commands: number("total_commands_processed"),
            keyspace_hits: number("keyspace_hits"),
            keyspace_misses: number("keyspace_misses"),
            rejected_connections: number("rejected_connections"),
        }
    }

    fn concerns(&self) -> Vec<String> {
        let at = if self.address.is_empty() { String::new() } else { format!("{}: ", self.address) };
        let mut concerns = Vec::new();
        let number = self.version.strip_prefix("redis ").and_then(|version| {
            let mut parts = version.split('.').map(str::parse);
            Some((parts.next()?.ok()?, parts.next()?.ok()?))
        });
        if number.is_some_and(|number| number < MIN_REDIS_VERSION) {
            concerns.push(format!("{at}{} is older than 6.2, the oldest that works", self.version));
        }
        if self.max_memory > 0 && self.policy == "noeviction" {
            concerns.push(format!(
                "{at}memory is limited (maxmemory) and nothing is evicted (maxmemory-policy noeviction): once it is full nothing more is \
                 stored, purges included; set maxmemory-policy to volatile-lru"
            ));
        }
        concerns
    }
}

/// `db0:keys=12,expires=3,avg_ttl=0`.
fn keys_of_database(line: &str) -> Option<u64> {
    let (number, figures) = line.strip_prefix("db")?.split_once(":keys=")?;
    number.parse::<u32>().ok()?;
    figures.split(',').next()?.trim().parse().ok()
}

/// Those of the commands in use that the user may not use.
async fn forbidden(connection: &mut Connection, options: &RedisOptions) -> RedisResult<Vec<&'static str>> {
    let mut forbidden = Vec::new();
    for (name, command) in probes(&options.prefix) {
        match command.query_async::<Value>(connection).await {
            Err(error) if is_forbidden(&error) && !forbidden.contains(&name) => forbidden.push(name),
            // A full or read-only server is reported by the operations on it.
            Err(error) if error.is_io_error() || error.is_timeout() => return Err(error),
            _ => {}
        }
    }
    Ok(forbidden)
}

/// Each command in use, in a way that does no harm.
fn probes(prefix: &str) -> Vec<(&'static str, Cmd)> {
    let key = format!("{prefix}:{{log}}:p");
    let on = |name: &'static str, rest: &[&str]| {
        let mut command = cmd(name);
        command.arg(&key).arg(rest);
        (name, command)
    };
    let mut script = cmd("EVAL");
    script.arg("return 1").arg(1).arg(&key);
    let mut script_by_name = cmd("EVALSHA");
    script_by_name.arg("0".repeat(40)).arg(1).arg(&key);
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(1).arg("STREAMS").arg(&key).arg("0-0");
    let mut scan = cmd("SCAN");
    scan.arg(0).arg("COUNT").arg(1);
    let mut info = cmd("INFO");
    info.arg("replication");
    vec![
        on("SET", &["1", "PX", "1000"]),
        on("GET", &[]),
        on("APPEND", &["1"]),
        on("EXISTS", &[]),
        on("MGET", &[]),
        on("STRLEN", &[]),
        on("DEL", &[]),
        on("HSET", &["f", "1"]),
        on("PEXPIRE", &["1000"]),
        on("PTTL", &[]),
        on("HGET", &["f"]),
        on("HEXISTS", &["f"]),
        on("HMGET", &["f"]),
        on("HGETALL", &[]),
        on("HSETNX", &["f", "1"]),
        on("HDEL", &["f"]),
        on("TYPE", &[]),
        on("SADD", &["1"]),
        on("SPOP", &["1"]),
        on("XADD", &["MAXLEN", "0", "*", "f", "1"]),
        on("XRANGE", &["-", "+", "COUNT", "1"]),
        on("XREVRANGE", &["+", "-", "COUNT", "1"]),
        on("XTRIM", &["MAXLEN", "0"]),
        ("XREAD", read),
        // Leaves nothing behind, whatever of the above was done.
        on("UNLINK", &[]),
        on("DEL", &[]),
        ("EVAL", script),
        ("EVALSHA", script_by_name),
        ("SCAN", scan),
        ("PING", cmd("PING")),
        ("TIME", cmd("TIME")),
        ("INFO", info),
    ]
}

fn is_forbidden(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) || error.code() == Some("NOPERM")
}

/// The text of one server, or in a Cluster those of all its masters by their addresses.
pub(super) fn texts(answer: Value) -> Vec<(String, String)> {
    let text = |value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
        _ => String::new(),
    };
    match answer {
        Value::Map(nodes) => nodes.into_iter().map(|(address, answer)| (text(address), text(answer))).collect(),
        answer => vec![(String::new(), text(answer))],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Publishing needs a channel that the user may use, and only some configurations have one.
    const NOT_PROBED: [&str; 1] = ["PUBLISH"];

    /// The commands that the sources in a folder name.
    fn commands(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                commands(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (opening, closing) in [("call('", '\''), ("cmd(\"", '"')] {
                let words = text.split(opening).skip(1).filter_map(|rest| rest.split(closing).next());
                found.extend(words.filter(|word| word.bytes().all(|byte| byte.is_ascii_uppercase())).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_command_in_use_is_probed() {
        let (mut used, probed) = (BTreeSet::new(), probes("larder"));
        commands(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        assert!(used.len() > 20, "{used:?}");
        let missing: Vec<_> = used.iter().filter(|name| probed.iter().all(|(probed, _)| probed != name)).collect();
        assert_eq!(missing, NOT_PROBED);
        assert!(probed.iter().all(|(name, _)| used.contains(*name)), "what is granted is needed");
    }

    fn info(lines: &[&str]) -> ServerInfo {
        ServerInfo::read(String::new(), &lines.join("\r\n"))
    }

    #[test]
    fn a_server_s_information_is_read() {
        let lines = [
            "# Server",
            "redis_version:7.2.4",
            "valkey_version:8.0.1",
            "used_memory:12",
            "maxmemory:99",
            "maxmemory_policy:allkeys-lru",
            "role:master",
            "connected_clients:3",
            "keyspace_hits:7",
            "db0:keys=12,expires=3,avg_ttl=0",
            "db15:keys=2",
        ];
        let expected = ServerInfo {
            version: "valkey 8.0.1".to_owned(),
            used_memory: 12,
            max_memory: 99,
            policy: "allkeys-lru".to_owned(),
            role: "master".to_owned(),
            clients: 3,
            keyspace_hits: 7,
            keys: 14,
            ..ServerInfo::default()
        };
        assert_eq!(info(&lines), expected);
        assert_eq!(expected.concerns(), [""; 0]);
    }

    #[test]
    fn obstacles_are_reported() {
        assert_eq!(info(&["redis_version:6.0.16"]).concerns(), ["redis 6.0.16 is older than 6.2, the oldest that works"]);
        for version in ["6.2.0", "7.0.15", "10.1", "unstable"] {
            assert_eq!(info(&[&format!("redis_version:{version}")]).concerns(), [""; 0], "{version}");
        }
        assert!(info(&["redis_version:7.0", "maxmemory:0", "maxmemory_policy:noeviction"]).concerns().is_empty());
        let [concern] = &info(&["redis_version:7.0", "maxmemory:1", "maxmemory_policy:noeviction"]).concerns()[..] else { panic!() };
        assert!(concern.contains("set maxmemory-policy to volatile-lru"), "{concern}");
    }
}
