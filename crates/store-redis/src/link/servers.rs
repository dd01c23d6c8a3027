//! The servers, and connections to the right one of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_redis_options::{RedisOptions, RedisServers, RedisUrl};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

/// Commands that may wait in one connection's buffer. The client's own default of 50 makes a busy proxy wait for room.
const PIPELINE: usize = 1024;

/// How often a Cluster's client follows a redirection, or asks another node, within the deadline.
const REDIRECTIONS: u32 = 3;

/// Milliseconds between two of these: what is on its way is there in a moment, or too late.
const REDIRECTION_PAUSE: u64 = 5;

/// Whom to ask for a connection.
pub(crate) enum Servers {
    /// One server, wherever its name leads.
    Single(Arc<Client>),
    /// Any of a Cluster's nodes knows all of them.
    Cluster(Arc<Cluster>),
    /// The sentinels know which server is the master now.
    Sentinel(Box<Mutex<SentinelClient>>),
}

/// A Cluster, and those of its nodes that are known beforehand.
pub(crate) struct Cluster {
    client: ClusterClient,
    seeds: Vec<Client>,
}

/// The server to speak to.
#[derive(Clone)]
pub(crate) enum Found {
    Server(Arc<Client>),
    Cluster(Arc<Cluster>),
}

/// A connection that any number of tasks use at the same time.
#[derive(Clone)]
pub(crate) enum Connection {
    /// Reconnects by itself.
    Managed(ConnectionManager),
    /// Ends with its socket.
    Plain(MultiplexedConnection),
    /// Follows its Cluster.
    Cluster(ClusterConnection),
}

impl Servers {
    /// Connects to nothing.
    pub(crate) fn new(options: &RedisOptions) -> RedisResult<Self> {
        let certificates = options.ca.as_ref().map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca.to_vec()) });
        match &options.servers {
            RedisServers::Single(url) => single(url, certificates).map(|client| Self::Single(Arc::new(client))),
            RedisServers::Cluster(seeds) => cluster(seeds, certificates, options).map(|cluster| Self::Cluster(Arc::new(cluster))),
            RedisServers::Sentinel { sentinels, master } => {
                sentinel(sentinels, master, certificates).map(|client| Self::Sentinel(Box::new(Mutex::new(client))))
            }
        }
    }

    /// The server, where it is known without asking a sentinel.
    pub(crate) fn known(&self) -> Option<Found> {
        match self {
            Self::Single(client) => Some(Found::Server(Arc::clone(client))),
            Self::Cluster(cluster) => Some(Found::Cluster(Arc::clone(cluster))),
            Self::Sentinel(_) => None,
        }
    }

    /// Where the server is now. `time_limit` is for each server that may have to be asked.
    pub(crate) async fn find(&self, time_limit: Duration) -> Result<Found, String> {
        let Self::Sentinel(sentinel) = self else { return self.known().ok_or_else(|| "nowhere to connect to".to_owned()) };
        let connected = async { sentinel.lock().await.async_get_client().await };
        // Sentinels are connected one after the other, and the master whether it is one.
        match tokio::time::timeout(4 * time_limit, connected).await {
            Ok(found) => found
                .map(|client| Found::Server(Arc::new(client)))
                .map_err(|error| format!("the sentinels name no master: {}", in_words(&error))),
            Err(_) => Err("no sentinel answers".to_owned()),
        }
    }
}

fn single(url: &RedisUrl, certificates: Option<TlsCertificates>) -> RedisResult<Client> {
    match certificates.filter(|_| url.is_tls()) {
        Some(certificates) => Client::build_with_tls(info(url), certificates),
        None => Client::open(info(url)),
    }
}

fn cluster(seeds: &[RedisUrl], certificates: Option<TlsCertificates>, options: &RedisOptions) -> RedisResult<Cluster> {
    let nodes = seeds.iter().map(|seed| single(seed, certificates.clone())).collect::<RedisResult<_>>()?;
    let mut builder = ClusterClient::builder(seeds.iter().map(info))
        .retries(REDIRECTIONS)
        .min_retry_wait(REDIRECTION_PAUSE)
        .max_retry_wait(4 * REDIRECTION_PAUSE)
        .connection_timeout(options.connect_timeout)
        .response_timeout(options.timeout)
        .tcp_settings(tcp());
    if let Some(certificates) = certificates.filter(|_| seeds.iter().all(RedisUrl::is_tls)) {
        builder = builder.certs(certificates);
    }
    Ok(Cluster { client: builder.build()?, seeds: nodes })
}

/// The user, the password and the database of the URLs are the master's; sentinels are asked without.
fn sentinel(sentinels: &[RedisUrl], master: &str, certificates: Option<TlsCertificates>) -> RedisResult<SentinelClient> {
    let places: Vec<ConnectionAddr> = sentinels.iter().map(|url| info(url).addr().clone()).collect();
    let mut builder = SentinelClientBuilder::new(places, master, SentinelServerType::Master)?
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if let Some(url) = sentinels.first() {
        let settings = url.info().redis_settings();
        builder = builder.set_client_to_redis_db(settings.db()).set_client_to_redis_protocol(settings.protocol());
        if let Some(username) = settings.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if url.is_tls() {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            if let Some(certificates) = certificates {
                builder = builder.set_client_to_redis_certificates(certificates.clone()).set_client_to_sentinel_certificates(certificates);
            }
        }
    }
    builder.build()
}

fn info(url: &RedisUrl) -> ConnectionInfo {
    url.info().clone().set_tcp_settings(tcp())
}

/// Off by default in this client; without it small commands wait for acknowledgements.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl Found {
    /// A connection for many, whose answers may take as long as `answer`. It is made when it is first used, and again when it breaks.
    pub(crate) fn connect_lazily(&self, options: &RedisOptions, answer: Duration) -> RedisResult<Connection> {
        match self {
            Self::Server(client) => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(options.connect_timeout))
                    .set_response_timeout(Some(answer))
                    // Trying again is the breaker's business.
                    .set_number_of_retries(0)
                    .set_pipeline_buffer_size(PIPELINE);
                ConnectionManager::new_lazy_with_config(Client::clone(client), config).map(Connection::Managed)
            }
            Self::Cluster(cluster) => {
                Ok(Connection::Cluster(cluster.client.get_pending_async_connection_with_config(cluster_config(options, answer))))
            }
        }
    }

    /// A connection whose answers may take as long as `answer`.
    pub(crate) async fn connect(&self, options: &RedisOptions, answer: Duration) -> RedisResult<Connection> {
        match self {
            Self::Server(client) => {
                let config =
                    AsyncConnectionConfig::new().set_connection_timeout(Some(options.connect_timeout)).set_response_timeout(Some(answer));
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Plain)
            }
            Self::Cluster(cluster) => {
                cluster.client.get_async_connection_with_config(cluster_config(options, answer)).await.map(Connection::Cluster)
            }
        }
    }

    /// A connection that hears what is published. All nodes of a Cluster hear everything: any of them will do.
    pub(crate) async fn subscriber(&self) -> RedisResult<PubSub> {
        let cluster = match self {
            Self::Server(client) => return client.get_async_pubsub().await,
            Self::Cluster(cluster) => cluster,
        };
        let mut outcome = Err(RedisError::from((ErrorKind::Io, "no node answers")));
        for seed in &cluster.seeds {
            outcome = seed.get_async_pubsub().await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Whether both lead to the same place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Server(one), Self::Server(other)) => one.get_connection_info().addr() == other.get_connection_info().addr(),
            (Self::Cluster(_), Self::Cluster(_)) => true,
            _ => false,
        }
    }
}

fn cluster_config(options: &RedisOptions, answer: Duration) -> ClusterConfig {
    ClusterConfig::default().set_connection_timeout(options.connect_timeout).set_response_timeout(answer)
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(client) => fmt::Display::fmt(client.get_connection_info().addr(), f),
            Self::Cluster(_) => f.write_str("the Cluster"),
        }
    }
}

impl Connection {
    /// Asks one server of a Cluster, or the one server that has no address.
    pub(crate) async fn ask(mut self, server: &str, command: &Cmd) -> RedisResult<Value> {
        match (&mut self, server.rsplit_once(':')) {
            (Self::Cluster(connection), Some((host, port))) => {
                let port = port.parse().map_err(|_| RedisError::from((ErrorKind::Client, "a server without a port")))?;
                let route = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
                connection.route_command(command.clone(), RoutingInfo::SingleNode(route)).await
            }
            _ => command.query_async(&mut self).await,
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Managed(connection) => connection.req_packed_command(cmd),
            Self::Plain(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Managed(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Plain(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Managed(connection) => connection.get_db(),
            Self::Plain(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// An error in words for people.
pub(crate) fn in_words(error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default();
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => "it does not accept the user or the password".to_owned(),
        (_, Some("NOAUTH")) => "it asks for a password, and the URL has none".to_owned(),
        // Its answer to longer commands.
        _ if error.to_string().contains("unauthenticated") => "it asks for a password, and the URL has none".to_owned(),
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => format!("permission is missing: {detail}"),
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => "it is a read-only replica".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mistake in the options is the same sentence before anything runs and when the client starts.
    #[test]
    fn servers_are_alike_where_the_client_takes_them_together() {
        let urls = [
            "redis://a",
            "redis://b:7000",
            "rediss://a",
            "rediss://a/#insecure",
            "redis://:secret@a",
            "redis://me:secret@a",
            "redis://me:other@a",
            "redis://a/?protocol=resp3",
            "redis://a/1",
            "redis+unix:///run/redis.sock",
        ];
        let urls = urls.map(|url| RedisUrl::parse(url).unwrap());
        let mut alike = 0;
        for (first, second) in urls.iter().flat_map(|first| urls.iter().map(move |second| (first, second))) {
            let servers = RedisServers::Cluster(vec![first.clone(), second.clone()]);
            let taken = Servers::new(&RedisOptions::new(servers.clone())).is_ok();
            assert_eq!(servers.are_alike(), taken, "{first} and {second}");
            alike += usize::from(taken);
        }
        assert!((urls.len()..urls.len().pow(2)).contains(&alike), "{alike}");
    }
}
