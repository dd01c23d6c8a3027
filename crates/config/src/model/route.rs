//! `[[routes]]`, with what `[cache]` and the classes say resolved.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use larder_message::PathRewrite;
use larder_message::edit::FieldEdits;
use larder_semantics::content::ContentRules;
use larder_semantics::matches_pattern;
use larder_semantics::{Coding, CookieRules, GuardMode, KeyRules, Policy};

use super::{KeyNameTemplate, KeySpan, PathTemplate, TagTemplate, Verify};

/// `[[routes]]`
///
/// Routes for the request's host come before those for every host; then the most specific path wins; for the same path the route that
/// lists the method wins over one for all methods, and then the one with more conditions in `match`.
#[derive(Clone, Debug)]
pub struct Route {
    /// For metrics and logs; unique. Derived from methods, host and path where the file gives none.
    pub name: Arc<str>,
    /// The host, in lower case and without a port; `None` for every host.
    pub host: Option<String>,
    /// The paths.
    pub path: PathTemplate,
    /// Never empty; `None` for every method.
    pub methods: Option<Vec<Method>>,
    /// What a request has to have besides; `None` for every request.
    pub matches: Option<RequestMatch>,
    /// Position in [`Config::upstreams`](super::Config::upstreams).
    pub upstream: usize,
    /// The class that it took settings from.
    pub class: Option<Arc<str>>,
    /// How it is cached.
    pub settings: RouteSettings,
    /// The tags of its stored responses.
    pub tags: Vec<TagTemplate>,
    /// Where it stands, for what shows only later.
    pub span: KeySpan,
}

impl Route {
    /// Whether its answers get the names of their types and objects as tags.
    pub(crate) fn tags_types(&self) -> bool {
        self.settings.content.as_ref().is_some_and(|rules| rules.tags_types)
    }
}

/// `match` of a route: fields and parameters that a request has to have. In a value one `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMatch {
    /// One line of each of these fields.
    pub headers: Vec<(HeaderName, String)>,
    /// One parameter of each of these names, as it is sent.
    pub query: Vec<(String, String)>,
}

impl RequestMatch {
    /// Whether a request has them all.
    pub fn suits(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        let has_line =
            |(name, value): &(HeaderName, String)| headers.get_all(name).iter().any(|line| matches_pattern(value, line.as_bytes()));
        let parameters = || query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let has_parameter =
            |(name, value): &(String, String)| parameters().any(|(own, text)| own == name && matches_pattern(value, text.as_bytes()));
        self.headers.iter().all(has_line) && self.query.iter().all(has_parameter)
    }

    /// How many fields and parameters.
    pub fn conditions(&self) -> usize {
        self.headers.len() + self.query.len()
    }
}

/// The caching rules of `[cache]`, a class and a route, resolved: the route wins over its class, the class over `[cache]`.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// `false`: every request passes by the cache.
    pub cache: bool,
    /// Lifetimes, scope and what is given up.
    pub policy: Policy,
    /// How a request becomes a key, and the bypass parameter.
    pub key: KeyRules,
    /// The names by which people know what is stored; `None`: by its keys alone.
    pub key_name: Option<KeyNameTemplate>,
    /// How the content of requests enters their keys; `None`: requests with content pass by the cache.
    pub content: Option<ContentRules>,
    /// Whose requests may say how long their answers are kept, and which of them share answers.
    pub client_controls: ClientControls,
    /// Changes to requests, before their keys are made.
    pub request: FieldEdits,
    /// Changes to the backend's answers, before they are stored.
    pub response: FieldEdits,
    /// What the backend calls the paths of clients.
    pub rewrite: Option<PathRewrite>,
    /// The codings that answers are kept in, the most liked first; none: those that clients and backends agree on.
    pub encodings: Vec<Coding>,
    /// Answers that are packed on their way into the store.
    pub compress: Option<Compress>,
    /// How long an answer may take to begin; `None`: as long as the upstream's section says.
    pub timeout: Option<Duration>,
    /// Bytes of the largest body that is stored.
    pub max_object: u64,
    /// The stores behind the memory that are used; `None`: all that there are.
    pub tiers: Option<Vec<FarTier>>,
    /// Bytes of the largest request body that goes to the upstream; `None`: any.
    pub max_request_body: Option<u64>,
    /// How long a request waits for another's fetch before it makes its own; zero: not at all.
    pub collapse_wait: Duration,
    /// Clients whose bypass parameter counts.
    pub bypass_from: Vec<IpNet>,
    /// How often the clients of one network may bypass the cache; `None`: as often as they like.
    pub bypass_rate: Option<Rate>,
    /// Whether `Cache-Status` tells the key (RFC 9211 §2.7).
    pub cache_status_key: bool,
    /// How to treat paths that have more than one reading.
    pub odd_paths: OddPaths,
    /// Whether paths pass by the cache that a lenient origin could take for those of a route whose responses are kept apart.
    pub near_private: bool,
    /// Whether what is served is compared with what the origin would say; `None`: it is not.
    pub verify: Option<Verify>,
    /// What becomes of answers that give back what one client sent, that name the client, or that their URL lies about.
    pub guard: GuardMode,
}

/// `compress`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress {
    /// Bytes of the shortest body that is packed.
    pub min: u64,
    /// Media types; one `*` in each stands for any text.
    pub types: Vec<String>,
}

impl Default for Compress {
    fn default() -> Self {
        const TYPES: [&str; 8] = [
            "text/*",
            "application/json",
            "application/*+json",
            "application/javascript",
            "application/xml",
            "application/*+xml",
            "application/wasm",
            "image/svg+xml",
        ];
        Self { min: 1024, types: TYPES.map(str::to_owned).to_vec() }
    }
}

/// Whose `larder-cache-ttl` and `larder-cache-namespace` count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientControls {
    /// Nobody's: they are fields like others.
    #[default]
    Nobodys,
    /// Those of trusted proxies; others' are removed.
    OfProxies,
    /// Those of all clients.
    OfAll,
}

/// A store behind the memory, the nearer one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FarTier {
    /// `[store.disk]`
    Disk,
    /// `[store.redis]`
    Redis,
}

impl FarTier {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Redis => "redis",
        }
    }
}

/// So many times within so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many times; at least one.
    pub count: u32,
    /// Within how many seconds: 1, 60 or 3600.
    pub seconds: u32,
}

/// How to treat a path that origins read in different ways: with dot segments, empty segments, encoded slashes, backslashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OddPaths {
    /// It goes up as it is, past the cache.
    #[default]
    Pass,
    /// 400.
    Refuse,
    /// As every other: stored under the path as it was sent.
    Cache,
}

impl Default for RouteSettings {
    fn default() -> Self {
        let mut key = KeyRules::default();
        key.query.sort = true;
        key.query.drop = vec!["utm_*".to_owned()];
        key.query.bypass = Some("no_cache".to_owned());
        key.cookies.ignored = CookieRules::COUNTING.map(str::to_owned).to_vec();
        Self {
            cache: true,
            policy: Policy::default(),
            key,
            key_name: None,
            content: None,
            client_controls: ClientControls::default(),
            request: FieldEdits::default(),
            response: FieldEdits::default(),
            rewrite: None,
            encodings: Vec::new(),
            compress: None,
            timeout: None,
            max_object: 8 << 20,
            tiers: None,
            max_request_body: None,
            collapse_wait: Duration::from_secs(10),
            bypass_from: vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())],
            bypass_rate: Some(Rate { count: 5, seconds: 1 }),
            cache_status_key: false,
            odd_paths: OddPaths::default(),
            near_private: true,
            verify: None,
            guard: GuardMode::Report,
        }
    }
}
