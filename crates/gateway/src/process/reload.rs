//! Signals, and a new configuration without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::report;
use crate::active::ActiveConfig;
use crate::cli;
use crate::config::Config;
use crate::proxy::Gateway;

/// A file is read when it has been left alone for this long: editors and Kubernetes change it in several steps.
const QUIET: Duration = Duration::from_millis(300);

/// In a folder where something always changes, it is read after this long all the same.
const MAX_SETTLING: Duration = Duration::from_secs(2);

/// Where the configuration comes from, so that it can be read again.
pub(crate) struct Source {
    /// `None`: it is built in.
    command: Option<cli::Serve>,
    /// The file as it was before it was first read, so that no later change is missed.
    content: Option<Vec<u8>>,
}

impl Source {
    /// What a command line names. To be made before its configuration is loaded.
    pub(crate) fn of(command: &cli::Serve) -> Self {
        let content = command.file().and_then(|file| std::fs::read(file).ok());
        Self { command: Some(command.clone()), content }
    }

    /// A configuration that cannot change.
    pub(crate) fn fixed() -> Self {
        Self { command: None, content: None }
    }

    fn file(&self) -> Option<&Path> {
        self.command.as_ref().and_then(cli::Serve::file)
    }

    /// Whether the file is another than when this was last asked. The folder is watched, so most changes are somebody else's.
    fn has_changed(&mut self) -> bool {
        let now = self.file().and_then(|file| std::fs::read(file).ok());
        let changed = now != self.content;
        self.content = now;
        changed
    }
}

/// The signals a server listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for SIGTERM or SIGINT. Until then the configuration is read again on SIGHUP, and when its file has changed.
    pub(crate) async fn until_stop(&mut self, gateway: &Gateway, mut source: Source) {
        let (_watcher, mut changes) = watch(source.file());
        // It may have changed before it was watched.
        let mut changed = source.has_changed();
        let started = gateway.live.load().config.clone();
        loop {
            if changed {
                reload(gateway, &source, &started);
            }
            // A stop is heard first, and at any time: a folder in which something always changes is no reason to go on.
            changed = tokio::select! {
                biased;
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => true,
                () = settled(&mut changes) => source.has_changed(),
            };
        }
    }
}

/// Waits until something has changed, and has been quiet since, or has not been quiet for long. Never, where nothing is watched.
async fn settled(changes: &mut mpsc::Receiver<()>) {
    if changes.recv().await.is_none() {
        return std::future::pending().await;
    }
    let quiet = async { while tokio::time::timeout(QUIET, changes.recv()).await.is_ok_and(|change| change.is_some()) {} };
    // However it ends, it is time to look.
    let _ = tokio::time::timeout(MAX_SETTLING, quiet).await;
}

/// Watches the file's folder: a file that is replaced, as editors and Kubernetes do, is another file.
fn watch(file: Option<&Path>) -> (Option<notify::RecommendedWatcher>, mpsc::Receiver<()>) {
    let (changed, changes) = mpsc::channel(1);
    let Some(file) = file else { return (None, changes) };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let watcher = notify::recommended_watcher(move |_| {
        // One change that waits stands for all of them.
        let _ = changed.try_send(());
    });
    let watcher = watcher.and_then(|mut watcher| {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => (Some(watcher), changes),
        Err(error) => {
            warn!("the configuration file is not watched ({error}); SIGHUP reloads it");
            (None, changes)
        }
    }
}

/// Reads the configuration again. A broken one is refused, and the running one goes on; what is stored stays either way. Where it differs
/// from the one that the process `started` with in what only a start can change, that is told.
fn reload(gateway: &Gateway, source: &Source, started: &Config) {
    let Some(command) = &source.command else { return };
    let (config, warnings) = match command.load() {
        Ok(loaded) => loaded,
        Err(report) => {
            report::tell(&report);
            error!("the new configuration was refused; the running one goes on");
            return;
        }
    };
    report::tell(&warnings);
    let before = gateway.live.load_full();
    needs_restart(started, &config).for_each(|what| warn!("a change of {what} takes effect at the next start"));
    match ActiveConfig::new(config, &gateway.cache, &gateway.clock, Some(&before)) {
        Ok(live) => {
            gateway.live.store(Arc::new(live));
            info!("the configuration was reloaded");
        }
        Err(error) => error!("the new configuration was refused ({error}); the running one goes on"),
    }
}

/// What cannot change while connections are open and memory is in use.
fn needs_restart(before: &Config, after: &Config) -> impl Iterator<Item = &'static str> {
    let (trusted_proxies, trust) = (after.server.trusted_proxies.clone(), after.server.trust);
    let same_server = crate::config::Server { trusted_proxies, trust, ..before.server.clone() } == after.server;
    let changes = [
        (!same_server, "[server] other than trusted_proxies and trust"),
        (before.admin.listen != after.admin.listen, "[admin] listen"),
        (before.memory != after.memory, "[store.memory]"),
        (before.redis != after.redis, "[store.redis]"),
        (before.redis.is_some() && before.namespace != after.namespace, "[cache] namespace in Redis"),
        (before.purge.channel != after.purge.channel, "[purge] channel"),
        (before.log != after.log, "[log]"),
    ];
    changes.into_iter().filter_map(|(changed, what)| changed.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn parsed(more: &str) -> Config {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n{more}");
        let parsed = config::parse("test.toml", text.as_bytes(), &Default::default());
        parsed.unwrap_or_else(|report| panic!("{}", report.render(false))).0
    }

    #[test]
    fn only_what_does_not_change_at_once_needs_a_restart() {
        let path = std::env::temp_dir().join(format!("larder-reload-{}", std::process::id()));
        std::fs::write(&path, "0123456789abcdef").expect("a file for the token");
        let token = format!("[[admin.tokens]]\nfile = {path:?}\nscopes = [\"read\"]");
        for (more, told) in [
            ("", None),
            (token.as_str(), None),
            ("[purge]\nmax_targets = 1", None),
            ("[cache]\nttl = \"1m\"", None),
            ("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\ntrust = [\"for\", \"host\"]", None),
            ("[admin]\nlisten = \"127.0.0.1:8091\"", Some("[admin] listen")),
            ("[purge]\nchannel = \"x\"", Some("[purge] channel")),
            ("[log]\naccess = \"off\"", Some("[log]")),
            ("[purge]\nwrite_wait = \"50ms\"", None),
            ("[cache]\nnamespace = \"x\"", None),
        ] {
            let found: Vec<_> = needs_restart(&parsed(""), &parsed(more)).collect();
            assert_eq!(found, Vec::from_iter(told), "{more}");
        }
        std::fs::remove_file(&path).expect("the file is there");
    }
}
