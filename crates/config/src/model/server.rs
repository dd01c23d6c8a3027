//! `[server]` and `[admin]`.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use larder_message::client::Trust;

use super::{Listen, Listener, ReadFile, ServerOptions, Token};

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Clear-text listeners with these settings. Empty only where there are `listeners`.
    pub listen: Vec<Listen>,
    /// `[[listeners]]`: those with settings of their own.
    pub listeners: Vec<Listener>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The facts about clients that they are believed about.
    pub trust: Trust,
    /// How long new connections are accepted after SIGTERM, while `/readyz` says that they should go elsewhere.
    pub drain_delay: Duration,
    /// Deadlines and limits of connections.
    pub options: ServerOptions,
    /// Whether every response carries `X-Request-Id`, and the log and the origin see it.
    pub request_id: bool,
    /// The folder for what outlives the process; `None`: the one of systemd's `STATE_DIRECTORY`, or else `larder` in `XDG_STATE_HOME`.
    pub state_dir: Option<PathBuf>,
}

impl Server {
    /// Every address that is listened on.
    pub fn addresses(&self) -> impl Iterator<Item = &Listen> {
        self.listen.iter().chain(self.listeners.iter().map(|listener| &listener.listen))
    }

    /// Files that the listeners read, besides the configuration's own.
    pub fn files(&self) -> impl Iterator<Item = &ReadFile> {
        self.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.files)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![Listen::local(8080)],
            listeners: Vec::new(),
            trusted_proxies: Vec::new(),
            trust: Trust::default(),
            drain_delay: Duration::ZERO,
            options: ServerOptions::default(),
            request_id: false,
            state_dir: None,
        }
    }
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where others than this machine reach it and there are no tokens, only probes are answered.
    pub listen: Listen,
    /// The tokens that requests need where the address is not loopback.
    pub tokens: Vec<Token>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Listen::local(8090), tokens: Vec::new() }
    }
}
