//! The servers, each configured to do the same: cache what the origin marks as cacheable, in up to 1 GiB, without an access log,
//! unless the scenario is about that.

use std::fs;
use std::path::{Path, PathBuf};

use super::Result;
use super::options::Protocol;
use super::process::{Pinned, free_port, is_on_path, output};
use super::scenario::{EXPIRY_SECONDS, SMALL, Scenario};
use super::tls;

/// The core of the server under measurement.
pub(super) const SERVER_CORE: u32 = 0;
/// The core of everything else.
pub(super) const LOAD_CORE: u32 = 1;

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    BareHyper,
    Larder,
    Nginx,
    Haproxy,
    Varnish,
    /// Apache Traffic Server.
    Ats,
}

/// Where things are.
#[derive(Debug)]
pub(super) struct Folders {
    /// The binaries of this workspace.
    pub(super) binaries: PathBuf,
    /// Configurations, logs, caches.
    pub(super) work: PathBuf,
}

/// A server that is up.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) kind: Kind,
    pub(super) process: Pinned,
    /// Its port for the scenario.
    pub(super) port: u16,
    /// That of the admin listener, where it has one.
    pub(super) admin: u16,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [Self::BareHyper, Self::Larder, Self::Nginx, Self::Haproxy, Self::Varnish, Self::Ats];

    pub(super) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("no server {name}; there are {}", Self::ALL.map(Self::name).join(", ")).into())
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BareHyper => "bare-hyper",
            Self::Larder => "larder",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Varnish => "varnish",
            Self::Ats => "ats",
        }
    }

    /// The program, where it is not ours.
    fn program(self) -> Option<&'static str> {
        match self {
            Self::BareHyper | Self::Larder => None,
            Self::Nginx => Some("nginx"),
            Self::Haproxy => Some("haproxy"),
            Self::Varnish => Some("varnishd"),
            Self::Ats => Some("traffic_server"),
        }
    }

    pub(super) fn is_installed(self) -> bool {
        self.program().is_none_or(is_on_path)
    }

    /// Its version, on one line.
    pub(super) fn version(self) -> Option<String> {
        let flag = if matches!(self, Self::Varnish | Self::Ats) { "-V" } else { "-v" };
        let text = output(self.program()?, &[flag]).ok()?;
        text.lines().next().map(str::to_owned)
    }

    /// Whether it takes part: a constant server has nothing to miss, share or store.
    pub(super) fn takes_part(self, scenario: Scenario) -> bool {
        match scenario {
            Scenario::Warming | Scenario::DiskBusy | Scenario::Expiry | Scenario::ExpiryAhead => self == Self::Larder,
            Scenario::Stampede | Scenario::Mixed => self != Self::BareHyper,
            // The others lay their memory out beforehand, or keep bodies on disk.
            Scenario::Memory => matches!(self, Self::Larder | Self::Varnish),
            // HAProxy lays its connections' memory out for as many as it may have.
            Scenario::Idle | Scenario::IdleTls => matches!(self, Self::Larder | Self::Nginx),
            encrypted if encrypted.has_tls() => matches!(self, Self::Larder | Self::Nginx | Self::Haproxy),
            disk if disk.is_on_disk() => matches!(self, Self::BareHyper | Self::Larder | Self::Nginx | Self::Ats),
            growth if growth.is_about_growth() => matches!(self, Self::BareHyper | Self::Larder),
            // It is there for its disk, beside nginx's.
            _ => self != Self::Ats,
        }
    }

    /// Starts it before `origin`, in a directory of its own.
    pub(super) fn start(self, scenario: Scenario, protocol: Protocol, origin: u16, folders: &Folders) -> Result<Server> {
        let directory = std::path::absolute(folders.work.join(self.name()))?;
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let ports = [free_port()?, free_port()?];
        let setup = Setup { scenario, protocol, ports, origin, directory, folders };
        let command = match self {
            Self::BareHyper => setup.bare_hyper(),
            Self::Larder => setup.larder()?,
            Self::Nginx => setup.nginx()?,
            Self::Haproxy => setup.haproxy()?,
            Self::Varnish => setup.varnish(),
            Self::Ats => setup.ats()?,
        };
        let log = setup.directory.join("log");
        let both = format!("{SERVER_CORE},{LOAD_CORE}");
        let cores = if scenario == Scenario::TwoCores { both } else { SERVER_CORE.to_string() };
        let mut process = Pinned::start(&cores, &command, &log)?;
        // nginx and HAProxy speak HTTP/2 in cleartext on a port of its own.
        let cleartext = protocol == Protocol::Http2 && !scenario.has_tls();
        let port = if cleartext && matches!(self, Self::Nginx | Self::Haproxy) { ports[1] } else { ports[0] };
        process.wait_for(port, &log)?;
        Ok(Server { kind: self, process, port, admin: ports[1] })
    }
}

impl Kind {
    /// Starts Larder so that valgrind counts what it does. What valgrind says goes to `log`, which is not beside the configuration: Larder
    /// watches that folder. The dumps of its counters are called `dumps` and a number.
    pub(super) fn start_counted(port: u16, origin: u16, folders: &Folders, log: &Path, dumps: &Path) -> Result<Pinned> {
        let directory = std::path::absolute(folders.work.join("gate"))?;
        fs::create_dir_all(&directory)?;
        let setup = Setup { scenario: Scenario::Hit1k, protocol: Protocol::Http1, ports: [port, free_port()?], origin, directory, folders };
        let out = format!("--callgrind-out-file={}", dumps.display());
        let mut command = words(["valgrind", "--tool=callgrind", &out, "--trace-syscalls=yes"]);
        command.extend(setup.larder()?);
        // On one core the order of what happens does not depend on the machine.
        let mut process = Pinned::start(&SERVER_CORE.to_string(), &command, log)?;
        process.wait_for(port, log)?;
        Ok(process)
    }
}

/// Starts the origin on the core of the load.
pub(super) fn origin(folders: &Folders) -> Result<(Pinned, u16)> {
    let (port, log) = (free_port()?, folders.work.join("origin.log"));
    let mut process = Pinned::start(&LOAD_CORE.to_string(), &words([&path(&folders.binaries, "origin"), &port.to_string()]), &log)?;
    process.wait_for(port, &log)?;
    Ok((process, port))
}

struct Setup<'a> {
    scenario: Scenario,
    protocol: Protocol,
    /// Of HTTP/1.1, and of HTTP/2 (or the admin listener).
    ports: [u16; 2],
    origin: u16,
    directory: PathBuf,
    folders: &'a Folders,
}

impl Setup<'_> {
    fn bare_hyper(&self) -> Vec<String> {
        let mut command =
            words([&path(&self.folders.binaries, "bare_hyper"), &self.ports[0].to_string(), &self.scenario.body().to_string()]);
        if self.protocol == Protocol::Http2 {
            command.push("h2".to_owned());
        }
        command
    }

    fn larder(&self) -> Result<Vec<String>> {
        let [port, admin] = self.ports;
        let capacity = match self.scenario {
            Scenario::MillionKeys => "4GiB",
            // Too long for memory anyway; its readers have room for what they read.
            Scenario::Disk10m => "64MiB",
            // Next to nothing of what is asked for is in memory.
            disk if disk.has_disk() => "1MiB",
            _ => "1GiB",
        };
        let log = match self.scenario {
            Scenario::LogText => "text",
            Scenario::LogJson => "json",
            _ => "off",
        };
        let limits = |count| format!("[[limits]]\nname = \"per-client\"\nmax = 1000000000\nper = \"1s\"\ncount = \"{count}\"\n");
        // The one that is asked for stands last.
        let routes: String = match self.scenario {
            Scenario::Routes => {
                let others: String = (1..1000).map(|number| format!("[[routes]]\npath = \"/api/v{number}/things/{{id}}\"\n")).collect();
                others + "[[routes]]\npath = \"/{*rest}\"\n"
            }
            disk if disk.has_disk() => format!(
                "[store.disk]\npath = \"{}\"\ncapacity = \"4GiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\ntimeout = \"1s\"\n[cache]\nmax_object = \"64MiB\"\n",
                self.directory.join("cache").display()
            ),
            expiry if expiry.is_expiry() => {
                let ahead = if self.scenario == Scenario::ExpiryAhead { "refresh_ahead = 0.75\n" } else { "" };
                format!(
                    "[[routes]]\npath = \"/{SMALL}/short/{{*rest}}\"\nttl = \"{EXPIRY_SECONDS}s\"\nttl_mode = \"override\"\n\
                     stale_while_revalidate = \"1m\"\n{ahead}[[routes]]\npath = \"/{{*rest}}\"\n"
                )
            }
            Scenario::Post2k => "[[routes]]\npath = \"/{*rest}\"\nread = true\nkey = { body = \"json\" }\n".to_owned(),
            Scenario::Unguarded => "[cache]\nguard = \"off\"\n".to_owned(),
            Scenario::Identity => "[[routes]]\npath = \"/{*rest}\"\nscope = \"identity\"\n".to_owned(),
            // So many that none is ever refused.
            Scenario::LimitedMisses => limits("misses"),
            Scenario::LimitedRequests => limits("requests"),
            _ => String::new(),
        };
        let listener = if self.scenario.has_tls() {
            let [chain, key] = tls::certificate(&self.directory)?;
            format!(
                "[[listeners]]\naddress = \"127.0.0.1:{port}\"\ntls = {{ certificates = [{{ chain = \"{chain}\", key = \"{key}\" }}] }}\n\
                 max_connections = 20000\n"
            )
        } else {
            format!("[server]\nlisten = \"127.0.0.1:{port}\"\nmax_connections = 20000\n")
        };
        let config = self.write(
            "config.toml",
            &format!(
                "{listener}[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
                 [upstreams.origin]\nurl = \"http://127.0.0.1:{}\"\n[store.memory]\ncapacity = \"{capacity}\"\n[log]\naccess = \"{log}\"\n{routes}",
                self.origin
            ),
        )?;
        Ok(words([&path(&self.folders.binaries, "larder"), "serve", "--config", &config]))
    }

    fn nginx(&self) -> Result<Vec<String>> {
        let (directory, [port, h2], origin) = (self.directory.display(), self.ports, self.origin);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|what| format!("  {what}_temp_path {directory}/{what};\n"))
            .collect();
        let (http1, tls) = if self.scenario.has_tls() {
            let [chain, key] = tls::certificate(&self.directory)?;
            (" ssl http2", format!("    ssl_certificate {chain};\n    ssl_certificate_key {key};\n    ssl_session_cache shared:s:16m;\n"))
        } else {
            ("", String::new())
        };
        let config = self.write(
            "nginx.conf",
            &format!(
                "daemon off;\nuser root;\nworker_processes 1;\npid {directory}/pid;\nerror_log {directory}/errors;\n\
                 events {{ worker_connections 16384; }}\nhttp {{\n  access_log off;\n{temporary}  keepalive_requests 1000000000;\n  \
                 sendfile on;\n  tcp_nopush on;\n  open_file_cache max=200000 inactive=1h;\n  open_file_cache_valid 1h;\n  \
                 proxy_cache_path {directory}/cache keys_zone=c:64m max_size=1g inactive=1h use_temp_path=off;\n  \
                 upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}\n  \
                 server {{\n    client_max_body_size 0;\n    listen 127.0.0.1:{port}{http1} backlog=4096;\n    listen 127.0.0.1:{h2} http2 backlog=4096;\n{tls}    \
                 location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                 proxy_cache c; proxy_cache_lock on; }}\n  }}\n}}\n"
            ),
        )?;
        Ok(words(["nginx", "-c", &config, "-p", &self.directory.to_string_lossy(), "-e", "stderr"]))
    }

    fn haproxy(&self) -> Result<Vec<String>> {
        let ([port, h2], origin) = (self.ports, self.origin);
        let tls = if self.scenario.has_tls() {
            format!(" ssl crt {} alpn h2,http/1.1", tls::certificate_with_key(&self.directory)?)
        } else {
            String::new()
        };
        let config = self.write(
            "haproxy.cfg",
            &format!(
                "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
                 cache c\n  total-max-size 1024\n  max-object-size 2097152\n  max-age 3600\n\
                 frontend f\n  bind 127.0.0.1:{port}{tls}\n  bind 127.0.0.1:{h2} proto h2\n  http-request cache-use c\n  \
                 http-response cache-store c\n  default_backend b\nbackend b\n  http-reuse always\n  server s 127.0.0.1:{origin}\n"
            ),
        )?;
        Ok(words(["haproxy", "-db", "-f", &config]))
    }

    fn varnish(&self) -> Vec<String> {
        let listen = format!("127.0.0.1:{}", self.ports[0]);
        let (backend, directory) = (format!("127.0.0.1:{}", self.origin), self.directory.to_string_lossy());
        words([
            "varnishd",
            "-F",
            "-j",
            "none",
            "-a",
            &listen,
            "-b",
            &backend,
            "-n",
            &directory,
            "-s",
            "malloc,1G",
            "-p",
            "feature=+http2",
            "-p",
            "thread_pools=1",
        ])
    }

    /// It reads past the page cache, so that a cache of its own in memory stands for that. One thread does all, as with the others.
    fn ats(&self) -> Result<Vec<String>> {
        let (directory, port, origin) = (self.directory.display(), self.ports[0], self.origin);
        for folder in ["cache", "logs", "run"] {
            fs::create_dir_all(self.directory.join(folder))?;
        }
        let settings = [
            ("http.server_ports", format!("STRING {port}:ip-in=127.0.0.1")),
            ("exec_thread.autoconfig", "INT 0".to_owned()),
            ("exec_thread.limit", "INT 1".to_owned()),
            ("accept_threads", "INT 0".to_owned()),
            ("task_threads", "INT 1".to_owned()),
            ("admin.user_id", "STRING #-1".to_owned()),
            ("log.logging_enabled", "INT 0".to_owned()),
            ("cache.ram_cache.size", "INT 1073741824".to_owned()),
            ("cache.ram_cache_cutoff", "INT 67108864".to_owned()),
        ];
        let settings: String = settings.iter().map(|(key, value)| format!("CONFIG proxy.config.{key} {value}\n")).collect();
        self.write("records.config", &settings)?;
        self.write("storage.config", &format!("{directory}/cache 4G\n"))?;
        self.write("remap.config", &format!("map / http://127.0.0.1:{origin}/\n"))?;
        let allowed = "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n";
        self.write("ip_allow.yaml", allowed)?;
        let root = self.write(
            "runroot.yaml",
            &format!(
                "prefix: /usr\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/bin\nincludedir: /usr/include\n\
                 libdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\nsysconfdir: {directory}\n\
                 datadir: {directory}/cache\nlocalstatedir: {directory}\nruntimedir: {directory}/run\nlogdir: {directory}/logs\n\
                 cachedir: {directory}/cache\n"
            ),
        )?;
        Ok(words(["traffic_server", &format!("--run-root={root}")]))
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        let file = self.directory.join(name);
        fs::write(&file, text)?;
        Ok(file.to_string_lossy().into_owned())
    }
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_string_lossy().into_owned()
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
