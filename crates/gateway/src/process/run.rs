//! From the command line to a serving process, and to its end.

use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use larder_packing::TextPacking;
use larder_store::{BodyPacking, Ledger};
use larder_tower::clock::{Clock, monotonic};
use larder_tower::{Cache, Tiers};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::inherited::Inherited;
use super::keeping::{Keeping, replica_name};
use super::kept_files;
use super::moments;
use super::notify;
use super::reload::{self, Stop};
use super::report;
use super::source::Source;
use super::succession::Handover;
use crate::acme::Acme;
use crate::active::{ActiveConfig, Process};
use crate::admin::{Access, Admin, Readiness, Shared};
use crate::alerts::Alerts;
use crate::cli;
use crate::config::{self, Compress, Config, ListenKind, Report};
use crate::demo;
use crate::disk::Disk;
use crate::exports::access_logs::AccessLogs;
use crate::exports::traces::Exporters;
use crate::jobs::Jobs;
use crate::listeners::{Certificates, ToBind};
use crate::proxy::{Gateway, PublicHandler, RequestIds};
use crate::purge::{ChannelCounts, carry_out};
use crate::redis::Redis;
use crate::reloads::Reloads;
use crate::scrape;
use crate::server::{ListeningSocket, Server};
use crate::stats::History;
use crate::telemetry::diagnostics;
use crate::telemetry::observe::Observers;
use crate::telemetry::render::open_metrics;
use crate::warm;

/// Why the process ends with 1. What was to be said has been said.
struct Failed;

/// `larder serve`: until SIGTERM or SIGINT, then 0; 1 if it cannot start.
pub(crate) fn serve(command: &cli::Serve) -> ExitCode {
    let outcome = || {
        let (inherited, source) = (Inherited::from_env(), Source::of(command));
        let (config, warnings) = command.load().map_err(|report| said(&report))?;
        let runtime = prepare(&config)?;
        report::tell(&warnings);
        let outcome = runtime.block_on(run(config, source, inherited, |_, _| ()));
        // A thread that a disk holds up must not hold up the end.
        runtime.shutdown_background();
        outcome
    };
    exit_code(outcome())
}

/// `larder demo`: the sample backend and the cache before it, in one process.
pub(crate) fn demo(command: &cli::Demo) -> ExitCode {
    let outcome = || {
        // Bound first: the upstream's port may be any free one.
        let unbound = |error| failed(format!("the sample backend cannot listen on {}: {error}", command.backend));
        let listener = std::net::TcpListener::bind(&command.backend).map_err(unbound)?;
        listener.set_nonblocking(true).map_err(unbound)?;
        let backend = listener.local_addr().map_err(unbound)?;
        let text = demo::CONFIG.replace(demo::BACKEND, &backend.to_string());
        let loaded = config::parse("the demo's configuration", text.as_bytes(), &command.listeners.overrides());
        let (config, _) = loaded.map_err(|report| said(&report))?;
        prepare(&config)?.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            if command.backend_only {
                info!("sample backend on http://{backend}");
                return demo::backend(listener).await.map_err(failed);
            }
            let serving = tokio::spawn(demo::backend(listener));
            let ended = run(config, Source::fixed(), Inherited::default(), |addresses, admin| {
                if let ([proxy, ..], [admin, ..]) = (addresses, admin) {
                    println!("{}", demo::guide(*proxy, *admin, backend));
                }
            });
            let outcome = ended.await;
            serving.abort();
            outcome
        })
    };
    exit_code(outcome())
}

fn exit_code(outcome: Result<(), Failed>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

fn said(report: &Report) -> Failed {
    report::tell(report);
    Failed
}

fn failed(what: impl std::fmt::Display) -> Failed {
    match diagnostics::form() {
        diagnostics::Form::Human => eprintln!("error: {what}"),
        diagnostics::Form::Json => error!("{what}"),
    }
    Failed
}

/// The log of events, and the runtime.
fn prepare(config: &Config) -> Result<tokio::runtime::Runtime, Failed> {
    let form = if std::io::stderr().is_terminal() || config.log.access != config::AccessLog::Json {
        diagnostics::Form::Human
    } else {
        diagnostics::Form::Json
    };
    diagnostics::init(report::level(config.log.level), form).map_err(failed)?;
    // Both, should the dependencies ever bring a second provider: rustls would refuse to choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // On one core there is no other thread to share work with.
    let mut runtime = match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    runtime.enable_all().build().map_err(failed)
}

/// Serves a configuration until a signal says to stop. `started` is told where the public and the admin listeners are.
///
/// 1. All listeners are bound, so that what cannot be is told before anything else is done. Clients that connect from here on wait.
/// 2. `/readyz` and its like are answered; then disk and Redis have a moment, so that the first requests find what is stored there.
///    While another process is being replaced, that one answers `/readyz` and takes purges until this one serves.
/// 3. Requests are served, and the configuration is read again where that is asked for, until a signal.
async fn run(
    config: Config,
    source: Source,
    mut inherited: Inherited,
    started: impl FnOnce(&[SocketAddr], &[SocketAddr]),
) -> Result<(), Failed> {
    let mut signals = reload::Signals::new().map_err(failed)?;
    let clock = Clock::system();
    let (certificates, acme) = (Arc::new(Certificates::new(&config).map_err(failed)?), Arc::<Acme>::default());
    let mut handover = Handover::default();
    let server = bind_all(&config, certificates.setups(&config, &(Arc::clone(&acme) as _)), &mut inherited, &mut handover)?;
    let admin = bind_all(&config, [ToBind::plain(&config.admin.listen)], &mut inherited, &mut handover)?;
    let (addresses, admin_addresses) = (server.addresses().map_err(failed)?, admin.addresses().map_err(failed)?);
    let urls = server.urls().map_err(failed)?;

    let (loopback, name) = (config.admin.listen.is_loopback(), replica_name(&addresses));
    let ledger = Arc::<Ledger>::default();
    let keeps_log = config.redis.is_none();
    let disk = config.disk.as_ref().map(|disk| Disk::start(disk, Arc::clone(&ledger), keeps_log)).transpose().map_err(failed)?;
    let start_redis = |redis| Redis::start(redis, &config.namespace, &name, Arc::clone(&ledger));
    let redis = config.redis.as_ref().map(start_redis).transpose().map_err(failed)?;
    let tiers = disk.iter().fold(Tiers::new(), |tiers, disk| disk.behind(tiers));
    let tiers = redis.iter().fold(tiers, |tiers, redis| redis.behind(tiers));
    let max_in_memory = if disk.is_some() { config.memory.largest_body() } else { u64::MAX };
    let cache = Cache::builder(config.memory.capacity).max_object(config.largest_object().min(max_in_memory)).max_in_memory(max_in_memory);
    let cache = cache.clock(clock.clone()).ledger(ledger).tiers(tiers).build();
    if let Some(compression) = config.memory.compress {
        cache.pack_bodies(BodyPacking::new(TextPacking::new(compression, Compress::default().types)));
    }
    let (options, drain_delay, keeps_recent) = (config.server.options, config.server.drain_delay, config.server.request_id);
    let (access_logs, exporters) = (AccessLogs::default(), Exporters::default());
    let process =
        Process { cache: &cache, clock: &clock, redis: redis.as_ref(), access_logs: &access_logs, exporters: &exporters, stand_in: None };
    let active = ActiveConfig::new(config, &process, None).map_err(failed)?;
    let active = ArcSwap::from_pointee(active);
    let observers = Arc::new(Observers::default());
    observers.keep_recent(keeps_recent);
    let started_at = clock.now();
    let (alerts, waiting) = Alerts::new(&name);
    let gateway = Arc::new(Gateway {
        active,
        cache,
        disk,
        redis,
        clock,
        access_logs,
        observers,
        history: History::new(monotonic()),
        alerts,
        request_ids: RequestIds::default(),
        name,
        connections: server.open_connections(),
        certificates,
        acme,
        jobs: Jobs::default(),
        handshakes: server.handshakes(),
        http2_limits: server.http2_limits(),
        channel_counts: ChannelCounts::default(),
        reloads: Reloads::new(started_at),
        exporters,
        started: started_at,
    });
    if let Some(redis) = &gateway.redis {
        listen_on_channel(redis, &gateway);
    }
    let keeping = Keeping::start(&gateway, waiting);
    let readiness = Readiness::default();
    let shared = Shared::new(Arc::clone(&gateway), Access { loopback }).ok_or_else(|| failed("the system has no random numbers"))?;
    let ((take_over, turn), succeeds) = (oneshot::channel::<()>(), inherited.succeeds_another());
    let serving_admin = admin_of(shared, &readiness).serve(admin);
    // Until this process serves, clients are answered by the one before it, which a purge that came here would not reach.
    let admin = tokio::spawn(async move {
        if succeeds {
            let _ = turn.await;
        }
        serving_admin.await;
    });
    for address in &admin_addresses {
        info!("admin on http://{address}");
    }
    tokio::select! {
        () = moments::known(&gateway) => {}
        () = signals.stop() => {
            info!("stopped");
            return Ok(());
        }
    }

    kept_files::restore(&gateway);
    let (stop, mut stopped) = watch::channel(false);
    let serving = tokio::spawn(server.serve(options, PublicHandler(Arc::clone(&gateway)), async move {
        // A sender that is gone means to stop as well.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    for url in &urls {
        info!("listening on {url}");
    }
    warm::attach(&gateway);
    moments::ready(&gateway, &readiness);
    inherited.serving();
    let _ = take_over.send(());
    notify::tell("READY=1");
    started(&addresses, &admin_addresses);

    let stop_by = signals.until_stop(&gateway, source, &handover).await;
    readiness.set_draining();
    match stop_by {
        Stop::Requested => {
            notify::tell("STOPPING=1");
            delay(drain_delay, &mut signals).await;
            gateway.acme.stop();
        }
        // Probes, scrapes, certificates and the files are the new process's from now on.
        Stop::Succeeded => {
            gateway.acme.stop();
            admin.abort();
            keeping.leave_files();
            moments::hand_over(&gateway);
        }
    }
    // With the last handles here the sockets are closed, or the new process's alone.
    drop(handover);
    info!("stopping: requests under way may take {} to finish", config::display_duration(options.drain_timeout));
    let drain_until = monotonic() + options.drain_timeout;
    stop.send_replace(true);
    if let Ok(drained) = serving.await
        && drained.aborted > 0
    {
        warn!("{} connections did not finish in time and were cut", drained.aborted);
    }
    moments::written(&gateway, drain_until).await;
    moments::drained(&gateway).await;
    gateway.active.load_full().limits.settle().await;
    if stop_by == Stop::Requested {
        warm::save_hot(&gateway);
        kept_files::save(&gateway);
    }
    admin.abort();
    keeping.end();
    gateway.exporters.finish().await;
    gateway.access_logs.finish();
    info!("stopped");
    Ok(())
}

fn admin_of(shared: Shared, readiness: &Readiness) -> Admin {
    let metrics = {
        let gateway = Arc::clone(&shared.gateway);
        move || open_metrics(scrape::snapshot(&gateway))
    };
    let details = {
        let gateway = Arc::clone(&shared.gateway);
        move || {
            let expiring = gateway.certificates.expiring(gateway.clock.now().as_millis() / 1000);
            let disk = gateway.disk.as_ref().map(Disk::detail);
            let redis = gateway.redis.as_ref().map(Redis::detail);
            let keys = gateway.active.load().auth.as_ref().and_then(|auth| auth.detail());
            [("disk", disk), ("redis", redis), ("expiring_certificates", expiring), ("acme", gateway.acme.detail()), ("token_keys", keys)]
        }
    };
    Admin::new(readiness.clone(), details, metrics).with_control(shared)
}

/// Goes on as before for a while, or until there is another signal: balancers hear from `/readyz` that this process stops, and send new
/// connections until they act on it.
async fn delay(time: Duration, signals: &mut reload::Signals) {
    if time.is_zero() {
        return;
    }
    info!("draining: new connections are accepted for {} more", config::display_duration(time));
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = signals.stop() => {}
    }
}

/// Purges what others say on the channel that the configuration names, if it names one.
fn listen_on_channel(redis: &Redis, gateway: &Arc<Gateway>) {
    let Some(channel) = gateway.active.load().config.purge.channel.clone() else { return };
    let gateway = Arc::downgrade(gateway);
    redis.listen(channel, move |messages| {
        let gateway = Weak::clone(&gateway);
        async move {
            if let Some(gateway) = gateway.upgrade() {
                carry_out(&gateway.active.load_full(), &gateway.cache, &gateway.channel_counts, &messages).await;
            }
        }
    });
}

/// Binds every address, and tells all that cannot be bound.
fn bind_all<'a>(
    config: &Config,
    listeners: impl IntoIterator<Item = ToBind<'a>>,
    inherited: &mut Inherited,
    handover: &mut Handover,
) -> Result<Server, Failed> {
    let mut bound: Option<Server> = None;
    let mut all = true;
    for to_bind in listeners {
        let listen = to_bind.listen;
        let key = handover.next_key(listen.address());
        let server = bind(&to_bind, inherited.take(&key));
        match server.and_then(|server| handover.keep(&key, &server).map(|()| server)) {
            Ok(server) => {
                bound = Some(match bound.take() {
                    Some(before) => before.and(server),
                    None => server,
                })
            }
            Err(error) => {
                report::tell(&config.bind_failure(listen, &error));
                all = false;
            }
        }
    }
    bound.filter(|_| all).ok_or(Failed)
}

/// Listens on one address, or takes over the sockets that were inherited for it.
fn bind(to_bind: &ToBind<'_>, inherited: Vec<ListeningSocket>) -> std::io::Result<Server> {
    let ToBind { listen, socket_file, setup } = to_bind;
    let mut adopted = inherited.into_iter().map(|socket| Server::adopt(socket, setup));
    if let Some(first) = adopted.next() {
        return adopted.try_fold(first?, |all, next| Ok(all.and(next?)));
    }
    match listen.kind() {
        ListenKind::Tcp(_) => {
            let addresses: Vec<_> = listen.address().to_socket_addrs()?.collect();
            Server::bind_as(&addresses, setup).map_err(|error| error.source)
        }
        ListenKind::Unix(path) => Server::bind_unix(path, socket_file.mode, socket_file.group, setup),
        ListenKind::Systemd(_) => Err(std::io::Error::new(std::io::ErrorKind::NotFound, "systemd has passed no socket of that name")),
    }
}
