//! A close look at the servers, once: for people who ask whether they are as they should be.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_redis_options::RedisOptions;
use redis::{Value, cmd};
use tokio::time::timeout;

use super::server_info::{Inspection, ServerInfo, texts};
use crate::link::{Clocks, Servers, in_words};

/// How often it is asked for a sign of life.
const PINGS: usize = 20;

/// The longest that one answer may take.
const ANSWERING: Duration = Duration::from_secs(3);

/// What has been found.
#[derive(Clone, Debug, Default)]
pub struct Examination {
    /// Each server; in a Cluster each of its masters.
    pub servers: Vec<ExaminedServer>,
    /// Concerns that the tier has by itself, such as commands that its user may not use, in words for people.
    pub concerns: Vec<String>,
    /// How long each of some small questions took, the shortest first.
    pub latencies: Vec<Duration>,
}

/// One server.
#[derive(Clone, Debug, Default)]
pub struct ExaminedServer {
    /// As the tier knows it.
    pub info: ServerInfo,
    /// All lines of its `INFO`, by their names.
    pub fields: BTreeMap<String, String>,
}

impl ExaminedServer {
    /// A line of `INFO` as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.fields.get(name)?.parse().ok()
    }

    /// A line of `INFO` as text; empty where it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn read(address: String, text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { info: ServerInfo::read(address, text), fields }
    }
}

/// Connects and asks.
///
/// # Errors
/// Where it does not answer, in words for people.
pub async fn examine(options: &RedisOptions, clocks: Clocks) -> Result<Examination, String> {
    let servers = Servers::new(options).map_err(|error| in_words(&error))?;
    let found = servers.find(options.connect_timeout).await?;
    let connecting = timeout(options.connect_timeout + ANSWERING, found.connect(options, ANSWERING)).await;
    let mut connection = connecting.map_err(|_| "it does not answer".to_owned())?.map_err(|error| in_words(&error))?;
    let looked = async {
        let concerns = Inspection::of(&mut connection, options).await?.concerns;
        let mut latencies = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            let before = (clocks.monotonic)();
            // A key's look-up, which goes where look-ups go in a Cluster.
            cmd("EXISTS").arg(format!("{}:{{log}}:n", options.prefix)).query_async::<Value>(&mut connection).await?;
            latencies.push((clocks.monotonic)().saturating_duration_since(before));
        }
        latencies.sort_unstable();
        let info = cmd("INFO").query_async::<Value>(&mut connection).await.map(texts).unwrap_or_default();
        let servers = info.into_iter().map(|(address, text)| ExaminedServer::read(address, &text)).collect();
        Ok::<_, redis::RedisError>(Examination { servers, concerns, latencies })
    };
    let looked = timeout(ANSWERING * 10, looked).await;
    looked.map_err(|_| "it answers too slowly to be looked at".to_owned())?.map_err(|error| in_words(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_info_are_found_by_their_names() {
        let server = ExaminedServer::read("h:1".to_owned(), "# Clients\r\nconnected_clients:7\r\nrole:master\r\nexecutable:/a:b\r\n");
        assert_eq!((server.number("connected_clients"), server.text("role"), server.text("executable")), (Some(7), "master", "/a:b"));
        assert_eq!((server.number("role"), server.text("none"), server.info.address.as_str()), (None, "", "h:1"));
    }
}
