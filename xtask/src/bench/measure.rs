//! Runs a scenario: all its servers up, then round after round over them.

mod latency;

use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::Result;
use super::client::{Client, Tail};
use super::load::{Counted, Run};
use super::open_loop::OpenLoop;
use super::options::{Options, Protocol};
use super::process::{output, ticks_per_second};
use super::report::{Figures, Section};
use super::requests::key_target;
use super::scenario::{KEYS, SMALL, Scenario};
use super::servers::{self, Folders, Kind, LOAD_CORE, Server};
use super::tls;

/// How long quiet connections are held.
const IDLE_TIME: Duration = Duration::from_secs(12);
const STAMPEDE_CLIENTS: usize = 500;
const STAMPEDE_MILLIS: u64 = 500;

/// Measures `scenario` on those of `kinds` that take part.
pub(super) fn scenario(scenario: Scenario, kinds: &[Kind], options: &Options, folders: &Folders) -> Result<Section> {
    let (_origin, origin_port) = servers::origin(folders)?;
    let taking_part = kinds.iter().filter(|kind| kind.takes_part(scenario));
    let protocol = scenario.protocol(options.protocol);
    let servers = taking_part.map(|kind| kind.start(scenario, protocol, origin_port, folders)).collect::<Result<Vec<_>>>()?;
    let bench = Bench { scenario, protocol, options, folders, origin_port, ticks: ticks_per_second()? };
    let mut section = Section::new(scenario, protocol);
    match scenario {
        Scenario::Memory => {
            for server in &servers {
                section.add(server.kind, Figures::Memory { over_payload: bench.memory(server)? });
            }
        }
        Scenario::Idle | Scenario::IdleTls => {
            for server in &servers {
                section.add(server.kind, Figures::Idle { each: bench.idle(server)? });
            }
        }
        Scenario::Stampede => {
            for round in 0..options.rounds {
                for server in &servers {
                    section.add(server.kind, bench.stampede(server, round)?);
                }
            }
        }
        disturbed if disturbed.is_disturbed() => {
            pin_this_process()?;
            for round in 0..options.rounds {
                for server in &servers {
                    section.add(server.kind, bench.latency(server, round)?);
                }
            }
        }
        _ => {
            if options.open_loop.is_some() || scenario.tail().is_some() {
                pin_this_process()?;
            }
            servers.iter().try_for_each(|server| bench.warm(server))?;
            let _tails = servers.iter().filter_map(|server| bench.tail(server)).collect::<Result<Vec<_>>>()?;
            for round in 0..options.rounds {
                for (index, server) in servers.iter().enumerate() {
                    let run = round * u32::try_from(servers.len())? + u32::try_from(index)?;
                    let figures = match options.open_loop {
                        Some(rate) => bench.open_loop(server, run, rate)?,
                        None => bench.load(server, run)?,
                    };
                    section.add(server.kind, figures);
                }
            }
        }
    }
    Ok(section)
}

/// The clients of some scenarios are threads of this process.
fn pin_this_process() -> Result<()> {
    output("taskset", &["-a", "-c", "-p", &LOAD_CORE.to_string(), &std::process::id().to_string()]).map(drop)
}

struct Bench<'a> {
    scenario: Scenario,
    protocol: Protocol,
    options: &'a Options,
    folders: &'a Folders,
    origin_port: u16,
    ticks: u64,
}

impl Bench<'_> {
    /// Fills what is asked for later, and runs the load for a second.
    fn warm(&self, server: &Server) -> Result<()> {
        if let Some(keys) = self.scenario.spread()
            && server.kind != Kind::BareHyper
        {
            fill(server.port, keys, key_target)?;
        }
        if matches!(self.scenario, Scenario::NotModified | Scenario::Range) {
            // Some caches pass a conditional request or one for a range on, and store nothing of the 304 or 206 that comes back.
            Client::connect(server.port)?.get(&self.scenario.target())?;
        }
        self.run(server, u32::MAX, Duration::from_secs(1)).map(drop)
    }

    /// Looks at its requests for as long as the scenario is measured.
    fn tail(&self, server: &Server) -> Option<Result<Tail>> {
        let target = self.scenario.tail().filter(|_| server.kind == Kind::Larder)?;
        Some(Tail::open(server.admin, target))
    }

    /// One server under load for one round.
    fn load(&self, server: &Server, run: u32) -> Result<Figures> {
        let asked_before = self.origin_requests()?;
        let cpu_before = server.process.cpu(self.ticks)?;
        let counted = self.run(server, run, self.options.run)?;
        let cpu = server.process.cpu(self.ticks)?.saturating_sub(cpu_before);
        let asked = self.origin_requests()? - asked_before;
        let name = server.kind.name();
        if counted.failed > 0 {
            return Err(format!("{name}: {} of {} requests failed", counted.failed, counted.requests).into());
        }
        // `openssl s_time` speaks HTTP/1.0, of which HAProxy stores nothing.
        let stores = !(self.scenario.is_handshake() && server.kind == Kind::Haproxy);
        if self.scenario.is_hit() && stores && asked * 1000 > counted.requests {
            return Err(format!("{name}: {asked} of {} hits went to the origin", counted.requests).into());
        }
        if self.scenario.reaches_origin() && server.kind != Kind::BareHyper && asked < counted.requests {
            return Err(format!("{name}: {} requests, but only {asked} reached the origin", counted.requests).into());
        }
        let cpu_micros = cpu.as_secs_f64() * 1e6 / counted.requests.max(1) as f64;
        Ok(Figures::Load { per_second: counted.per_second, cpu_micros, resident: server.process.resident()? })
    }

    /// One server under requests at a fixed rate for one round.
    fn open_loop(&self, server: &Server, run: u32, rate: u32) -> Result<Figures> {
        let open_loop = OpenLoop { port: server.port, rate, connections: self.scenario.connections(), time: self.options.run };
        open_loop
            .run(|number| self.scenario.numbered_target(run, number))
            .map_err(|error| format!("{}: {error}", server.kind.name()).into())
    }

    fn run(&self, server: &Server, run: u32, time: Duration) -> Result<Counted> {
        let target = self.scenario.target();
        let script = self.scenario.script(run).map(|text| self.script(&text)).transpose()?;
        let (field, connections) = (self.scenario.field(), self.scenario.connections());
        let tls = self.scenario.has_tls();
        if self.scenario.is_handshake() {
            return tls::connections(LOAD_CORE, server.port, &target, self.scenario == Scenario::Resumption, time.as_secs());
        }
        let run = Run { port: server.port, tls, target: &target, field, script: script.as_deref(), core: LOAD_CORE, connections, time };
        match self.protocol {
            Protocol::Http2 => run.h2load(),
            Protocol::Http1 if self.scenario.needs_h2load() => run.h2load_http1(),
            Protocol::Http1 => run.wrk(),
        }
    }

    fn script(&self, text: &str) -> Result<PathBuf> {
        let file = self.folders.work.join("requests.lua");
        fs::write(&file, text)?;
        Ok(file)
    }

    fn origin_requests(&self) -> Result<u64> {
        Ok(String::from_utf8(Client::connect(self.origin_port)?.get("/count")?)?.parse()?)
    }

    /// All clients connected beforehand ask at once for a key that nobody asked for before.
    #[expect(clippy::disallowed_methods, reason = "measures wall time of a whole process; nothing here decides by it")]
    fn stampede(&self, server: &Server, round: u32) -> Result<Figures> {
        let asked_before = self.origin_requests()?;
        let target = format!("/slow/{STAMPEDE_MILLIS}/{round}");
        let (port, barrier) = (server.port, Barrier::new(STAMPEDE_CLIENTS));
        let slowest = thread::scope(|scope| {
            let ask = || -> std::result::Result<Duration, String> {
                let connected = Client::connect(port);
                barrier.wait();
                let start = Instant::now();
                connected.and_then(|mut client| client.get(&target)).map_err(|error| error.to_string())?;
                Ok(start.elapsed())
            };
            let clients: Vec<_> = (0..STAMPEDE_CLIENTS).map(|_| scope.spawn(ask)).collect();
            let times = clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".to_owned())));
            times.collect::<std::result::Result<Vec<_>, _>>().map(|times| times.into_iter().max().unwrap_or_default())
        })
        .map_err(|error| format!("{}: {error}", server.kind.name()))?;
        Ok(Figures::Stampede {
            origin_requests: self.origin_requests()? - asked_before,
            times_origin: slowest.as_secs_f64() * 1000.0 / STAMPEDE_MILLIS as f64,
        })
    }

    /// How much resident memory grows with each connection that has asked once and is quiet since.
    fn idle(&self, server: &Server) -> Result<f64> {
        let connections = self.scenario.connections();
        let before = server.process.resident()?;
        let grown = thread::scope(|scope| -> Result<u64> {
            let clients = scope.spawn(|| self.run(server, 0, IDLE_TIME).map_err(|error| error.to_string()));
            thread::sleep(IDLE_TIME * 3 / 4);
            let grown = server.process.resident()?.saturating_sub(before);
            let counted = clients.join().map_err(|_| "a client panicked")??;
            let all = counted.failed == 0 && counted.requests == u64::from(connections);
            if all { Ok(grown) } else { Err(format!("{}: {counted:?} of {connections} connections", server.kind.name()).into()) }
        })?;
        Ok(grown as f64 / f64::from(connections))
    }

    /// How much resident memory grows with each entry, less the payload.
    fn memory(&self, server: &Server) -> Result<f64> {
        // Connections, buffers and lazily made tables are there before the first reading.
        for number in 0..1000 {
            Client::connect(server.port)?.get(&format!("/{SMALL}/before/{}", number % 10))?;
        }
        let before = server.process.resident()?;
        fill(server.port, KEYS, key_target)?;
        let grown = server.process.resident()?.saturating_sub(before);
        Ok(grown as f64 / f64::from(KEYS) - SMALL as f64)
    }
}

/// Asks for each of `keys` once, over a few connections.
fn fill(port: u16, keys: u32, target: impl Fn(u32) -> String + Sync) -> Result<()> {
    const CLIENTS: u32 = 8;
    thread::scope(|scope| {
        let target = &target;
        let fill = |first: u32| -> std::result::Result<(), String> {
            let mut client = Client::connect(port).map_err(|error| error.to_string())?;
            let mut keys = (first..keys).step_by(CLIENTS as usize);
            keys.try_for_each(|key| client.get(&target(key)).map(drop)).map_err(|error| error.to_string())
        };
        let clients: Vec<_> = (0..CLIENTS).map(|first| scope.spawn(move || fill(first))).collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| Err("a client panicked".to_owned())))
    })?;
    Ok(())
}
