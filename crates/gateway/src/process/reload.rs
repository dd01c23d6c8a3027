//! Signals, and a new configuration without a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::expiry::{ExpiryLog, RevocationLog};
use super::kept_files;
use super::report;
use super::source::{Changes, Reading, Source};
use super::succession::Handover;
use crate::active::{ActiveConfig, Process};
use crate::alerts::Alert;
use crate::config::{AccessLog, AlertKind, Config};
use crate::jobs::Event;
use crate::proxy::Gateway;
use crate::telemetry::access_log::timestamp;
use crate::telemetry::diagnostics;
use crate::warm;

/// A file is read when it has been left alone for this long: editors and Kubernetes change it in several steps.
const QUIET: Duration = Duration::from_millis(300);

/// How often files are looked at, watched or not, and certificates for their end: not every file system tells of changes.
const LOOK: Duration = Duration::from_secs(60);

/// In a folder where something always changes, it is read after this long all the same.
const MAX_SETTLING: Duration = Duration::from_secs(2);

/// The signals a server listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    upgrade: Signal,
    reopen: Signal,
}

/// Why a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM or SIGINT.
    Requested,
    /// Another process has taken over.
    Succeeded,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for SIGTERM or SIGINT, or until another process has taken over, which SIGUSR2 starts. Until then the configuration is read again on
    /// SIGHUP, and when its file, or one that it names, has changed; and the file of the access log is opened again on SIGUSR1.
    pub(crate) async fn until_stop(&mut self, gateway: &Gateway, mut source: Source, handover: &Handover) -> Stop {
        let started = gateway.active.load().config.clone();
        source.follow(&started);
        let mut changes = source.watch();
        let (mut expiry, mut lists) = (ExpiryLog::default(), RevocationLog::default());
        expiry.warn_of(gateway.certificates.snapshot(), seconds(gateway));
        lists.warn_of(gateway.certificates.revocations(), seconds(gateway));
        // It may have changed before it was watched.
        let mut due = source.reading();
        loop {
            let is_reloaded = due.is_some_and(|reading| reload(gateway, &mut source, &started, reading));
            // One that was refused at the last names files, too.
            if due.is_some() && !source.is_watched_by(&changes) {
                changes = source.watch();
            }
            if is_reloaded {
                expiry.warn_of(gateway.certificates.snapshot(), seconds(gateway));
                lists.warn_of(gateway.certificates.revocations(), seconds(gateway));
            }
            // A stop is heard first, and at any time: a folder in which something always changes is no reason to go on.
            due = tokio::select! {
                biased;
                _ = self.terminate.recv() => return Stop::Requested,
                _ = self.interrupt.recv() => return Stop::Requested,
                _ = self.hang_up.recv() => Some(Reading::Asked),
                _ = self.reopen.recv() => {
                    gateway.access_logs.reopen();
                    None
                }
                _ = self.upgrade.recv() => match self.hand_over(gateway, &started, &source, handover).await {
                    Some(stop) => return stop,
                    None => None,
                },
                () = settled(&mut changes) => source.reading(),
                () = tokio::time::sleep(LOOK) => {
                    expiry.tell(gateway.certificates.snapshot(), seconds(gateway));
                    lists.tell(gateway.certificates.revocations(), seconds(gateway));
                    source.reading()
                }
            };
        }
    }
}

impl Signals {
    /// Starts a process that takes over from this one, which `started` with this configuration. `None` if it does not, and this one goes on.
    async fn hand_over(&mut self, gateway: &Gateway, started: &Config, source: &Source, handover: &Handover) -> Option<Stop> {
        if source.command().is_none() {
            error!("only `larder serve` can be replaced while it runs");
            return None;
        }
        if started.redis.as_ref().is_some_and(|redis| redis.journal.is_some()) {
            error!("no new process can take over while there is a `journal`, which one process has to itself; this one goes on");
            return None;
        }
        // It is the new process's from then on.
        warm::save_hot(gateway);
        kept_files::save(gateway);
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Some(Stop::Requested),
            _ = self.interrupt.recv() => Some(Stop::Requested),
            succeeded = handover.hand_over() => succeeded.then_some(Stop::Succeeded),
        }
    }
}

fn seconds(gateway: &Gateway) -> u64 {
    gateway.clock.now().as_millis() / 1000
}

/// Waits until something has changed, and has been quiet since, or has not been quiet for long. Never, where nothing is watched.
async fn settled(changes: &mut Changes) {
    if changes.next().await.is_none() {
        return std::future::pending().await;
    }
    let quiet = async { while tokio::time::timeout(QUIET, changes.next()).await.is_ok_and(|change| change.is_some()) {} };
    // However it ends, it is time to look.
    let _ = tokio::time::timeout(MAX_SETTLING, quiet).await;
}

/// Reads the configuration again. A broken one is refused, and the running one goes on; what is stored stays either way. Where it differs
/// from the one that the process `started` with in what only a start can change, that is told. Returns whether the new one is in force.
fn reload(gateway: &Gateway, source: &mut Source, started: &Config, reading: Reading) -> bool {
    let Some(command) = source.command() else { return false };
    let (config, warnings) = match command.load() {
        Ok(loaded) => loaded,
        Err(report) => {
            if !source.refused(report.render(false), reading) {
                return false;
            }
            report::tell(&report);
            error!("the new configuration was refused; the running one goes on");
            gateway.reloads.refused();
            refused(gateway, &report.graded().next().map(|(_, line)| line).unwrap_or_default());
            return false;
        }
    };
    report::tell(&warnings);
    let before = gateway.active.load_full();
    let too_large =
        gateway.cache.is_divided_too_finely_for(config.largest_object()).then_some("max_object beyond what memory was divided for");
    needs_restart(started, &config).chain(too_large).for_each(|what| warn!("a change of {what} takes effect at the next start"));
    source.follow(&config);
    let ready = gateway.certificates.differing(&config).map_err(|error| error.to_string());
    let ready = ready.and_then(|certificates| {
        let Gateway { cache, clock, access_logs, exporters, .. } = gateway;
        let process = Process { cache, clock, redis: gateway.redis.as_ref(), access_logs, exporters, stand_in: None };
        let active = ActiveConfig::new(config, &process, Some(&before)).map_err(|error| error.to_string())?;
        Ok((certificates, active))
    });
    match ready {
        Ok((certificates, active)) => {
            gateway.observers.keep_recent(active.config.server.request_id);
            diagnostics::set_level(report::level(active.config.log.level));
            gateway.active.store(Arc::new(active));
            let listeners = certificates.take_effect();
            gateway.reloads.applied(gateway.clock.now());
            warm::follow(gateway, Event::Reload);
            // Nobody waits for what is stored: connections have certificates until then.
            drop(gateway.acme.follow(&gateway.active.load().config, gateway.redis.as_ref(), &gateway.certificates));
            info!("the configuration was reloaded");
            accepted(gateway);
            if listeners > 0 {
                info!("new connections get new certificates, on {listeners} of the listeners");
            }
            true
        }
        Err(error) => {
            error!("the new configuration was refused ({error}); the running one goes on");
            gateway.reloads.refused();
            refused(gateway, &error);
            false
        }
    }
}

const SUBJECT: &str = "configuration";

fn refused(gateway: &Gateway, why: &str) {
    let message = format!("a new configuration was refused, and the running one goes on: {why}");
    // A changed file and a signal may both be about the same text.
    if gateway.alerts.firing().iter().any(|raised| raised.subject == SUBJECT && raised.message == message) {
        return;
    }
    let alert = Alert::firing(AlertKind::Reload, SUBJECT, message, "`larder check` shows every mistake, with its place");
    gateway.alerts.raise(alert, timestamp(gateway.clock.now()));
}

fn accepted(gateway: &Gateway) {
    if gateway.alerts.firing().iter().any(|raised| raised.subject == SUBJECT) {
        let alert = Alert::resolved(AlertKind::Reload, SUBJECT, "a new configuration was accepted");
        gateway.alerts.raise(alert, timestamp(gateway.clock.now()));
    }
}

/// The settings that cannot change while connections are open and memory is in use.
fn needs_restart(before: &Config, after: &Config) -> impl Iterator<Item = &'static str> {
    let crate::config::Server { trusted_proxies, trust, listeners, request_id, state_dir, .. } = after.server.clone();
    let same_listeners = before.server.listeners.len() == listeners.len()
        && before.server.listeners.iter().zip(&listeners).all(|(before, after)| !before.needs_restart_for(after));
    let reloaded = crate::config::Server { trusted_proxies, trust, listeners, request_id, state_dir, ..before.server.clone() };
    let same_server = reloaded == after.server;
    let changes = [
        (!same_listeners, "[[listeners]] other than their certificates"),
        (!same_server, "[server] other than trusted_proxies, trust, request_id and state_dir"),
        (before.admin.listen != after.admin.listen, "[admin] listen"),
        (before.memory != after.memory, "[store.memory]"),
        (before.disk != after.disk, "[store.disk]"),
        (before.redis != after.redis, "[store.redis]"),
        (before.redis.is_some() && before.namespace != after.namespace, "[cache] namespace in Redis"),
        (before.purge.channel != after.purge.channel, "[purge] channel"),
        (events_as_json(before) != events_as_json(after), "the form of events on stderr, which goes with [log] access,"),
    ];
    changes.into_iter().filter_map(|(changed, what)| changed.then_some(what))
}

/// The log of events has the form that goes with the access log's for as long as the process runs.
fn events_as_json(config: &Config) -> bool {
    config.log.access == AccessLog::Json
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
        for (more, expected) in [
            ("", None),
            (token.as_str(), None),
            ("[purge]\nmax_targets = 1", None),
            ("[cache]\nttl = \"1m\"", None),
            ("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\ntrust = [\"for\", \"host\"]", None),
            ("[admin]\nlisten = \"127.0.0.1:8091\"", Some("[admin] listen")),
            ("[purge]\nchannel = \"x\"", Some("[purge] channel")),
            ("[log]\naccess = \"off\"", None),
            ("[log]\naccess = \"json\"", Some("the form of events on stderr, which goes with [log] access,")),
            ("[telemetry.traces]\nendpoint = \"http://127.0.0.1:4318\"", None),
            ("[purge]\nwrite_wait = \"50ms\"", None),
            ("[cache]\nnamespace = \"x\"", None),
        ] {
            let found: Vec<_> = needs_restart(&parsed(""), &parsed(more)).collect();
            assert_eq!(found, Vec::from_iter(expected), "{more}");
        }
        std::fs::remove_file(&path).expect("the file is there");
    }
}
