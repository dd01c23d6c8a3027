//! All settings of one gateway.

use std::collections::BTreeSet;
use std::sync::Arc;

use larder_disk_options::DiskOptions;
use larder_redis_options::{Compression, RedisOptions};

use super::{
    Acme, Admin, Alerts, JwtAuth, LimitKey, Log, OnEvent, OnWrite, Prices, Purge, RateLimit, ReadFile, ResponseTags, Route, Server,
    Spending, Test, TestFile, Traces, Upstream, WarmJob,
};
use crate::parse::source::Source;
use crate::parse::written::Written;

/// All settings of one gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public listeners and what they allow.
    pub server: Server,
    /// The listener for `/metrics`, `/healthz`, `/readyz` and `/purge`.
    pub admin: Admin,
    /// Where requests go; sorted by name, never empty. Routes name them by position.
    pub upstreams: Vec<Upstream>,
    /// Certificates from an authority; `None`: there are none.
    pub acme: Option<Acme>,
    /// Tokens whose claims tell clients apart; `None`: none is verified.
    pub jwt: Option<JwtAuth>,
    /// What is fetched before anybody asks for it.
    pub warm: Vec<WarmJob>,
    /// Settings of purges.
    pub purge: Purge,
    /// Who is told of what needs a person.
    pub alerts: Alerts,
    /// How origins name tags.
    pub tags: ResponseTags,
    /// What tokens of models cost.
    pub prices: Prices,
    /// How it is told what they have cost and saved.
    pub spending: Spending,
    /// How much each client may have in a time.
    pub limits: Vec<RateLimit>,
    /// Invalidations by writes.
    pub on_write: Vec<OnWrite>,
    /// Invalidations by events.
    pub on_event: Vec<OnEvent>,
    /// The memory tier.
    pub memory: MemoryStore,
    /// The tier on disk; `None`: there is none.
    pub disk: Option<DiskOptions>,
    /// The tier that replicas share; `None`: there is none.
    pub redis: Option<RedisOptions>,
    /// The namespace of `[cache]`: gateways with different ones share nothing in Redis, purges included.
    pub namespace: String,
    /// Settings of the logs.
    pub log: Log,
    /// Where traces go; `None`: there are none.
    pub traces: Option<Traces>,
    /// In the order of the file. No two match the same requests equally well.
    pub routes: Vec<Route>,
    /// Takes the requests that match no route: the only upstream with the settings of `[cache]`. With several upstreams there is none,
    /// and such requests are answered with 404.
    pub fallback: Option<Route>,
    /// What it is to do, for `larder test`.
    pub tests: Vec<Test>,
    /// Files that hold secrets.
    pub(crate) secret_files: Vec<ReadFile>,
    /// The file it came from, for errors that show only later (see [`Config::bind_failure`]).
    pub(crate) source: Option<Arc<Source>>,
    /// What it says, value by value (see [`Config::effective`]).
    pub(crate) written: Written,
}

impl Config {
    /// The hash of its text, the same on replicas that have the same; `None` where it came from no file.
    pub fn hash(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        Some(blake3::hash(source.shown().as_bytes()).to_hex()[..16].to_owned())
    }

    /// Its tests with their places; `None` where it came from no file, so that it has none.
    pub fn test_file(&self) -> Option<TestFile> {
        Some(TestFile { tests: self.tests.clone(), source: Arc::clone(self.source.as_ref()?) })
    }

    /// The claims of verified tokens that anything is told apart by, each once.
    pub fn verified_claims(&self) -> Vec<String> {
        let of_routes = self.routes.iter().chain(&self.fallback).flat_map(|route| route.settings.key.verified_claims());
        let of_limits = self.limits.iter().flat_map(|limit| &limit.key).filter_map(|part| match part {
            LimitKey::Claim(name) => Some(name.as_str()),
            _ => None,
        });
        of_routes.chain(of_limits).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Bytes of the largest response that any route stores.
    pub fn largest_object(&self) -> u64 {
        self.routes.iter().chain(&self.fallback).map(|route| route.settings.max_object).max().unwrap_or_default()
    }

    /// The files that it names and that were read with it, such as certificates and secrets.
    pub fn files(&self) -> impl Iterator<Item = &ReadFile> {
        let acme = self.acme.iter().flat_map(|acme| &acme.files);
        let warm = self.warm.iter().flat_map(|job| &job.files);
        let jwt = self.jwt.iter().flat_map(|jwt| &jwt.files);
        let webhook = self.alerts.webhook.iter().flat_map(|webhook| &webhook.files);
        self.server
            .files()
            .chain(&self.secret_files)
            .chain(acme)
            .chain(jwt)
            .chain(warm)
            .chain(webhook)
            .chain(self.upstreams.iter().flat_map(|upstream| &upstream.files))
    }
}

/// `[store.memory]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryStore {
    /// Bytes of keys, heads, bodies and bookkeeping together.
    pub capacity: u64,
    /// The longest body that is kept here where a disk takes longer ones, in bytes; `None`: as [`Self::largest_body`] has it.
    pub max_object: Option<u64>,
    /// Which texts are held compressed; `None`: all bodies are held as they are.
    pub compress: Option<Compression>,
}

impl MemoryStore {
    /// The longest body that is kept here where a disk takes longer ones: a thirty-second of the capacity unless set, so that four of them can arrive at
    /// the same time in the eighth that is for that.
    pub fn largest_body(&self) -> u64 {
        self.max_object.unwrap_or(self.capacity / 32)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { capacity: 256 << 20, max_object: None, compress: None }
    }
}
