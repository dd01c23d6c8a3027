//! One configuration, ready to serve: its routes, each with its cache rules and its way to an origin.

use std::net::IpAddr;
use std::sync::Arc;

use larder_auth::KeySetError;
use larder_semantics::PrimaryKey;
use larder_semantics::content::ContentRules;
use larder_store::{StoredResponse, Tag};
use larder_tower::clock::Clock;
use larder_tower::{BypassRate, Cache, CacheService, MayBypass, Pressure, RouteRules, RouteRulesBuilder, WriteRules};

use crate::auth::Auth;
use crate::client::TrustedProxies;
use crate::config::{ClientControls, Config, NAME_TAG, OddPaths, Route, RouteSettings, Upstream};
use crate::exports::access_logs::AccessLogs;
use crate::exports::traces::Exporters;
use crate::guards::RouteGuard;
use crate::hints::Hints;
use crate::limits::{Limits, RouteLimits};
use crate::redis::Redis;
use crate::routing::tagging::RouteTags;
use crate::routing::{
    KeyNames, RequestDecoder, RouteCodings, RouteDocuments, RouteEdits, RouteTable, RouteUpstream, RouteUsage, Router, UsageBooks,
};
use crate::spending::Spending;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Tracer;
use crate::upstream::{StandIn, UpstreamOptions, UpstreamService, UpstreamSetupError};
use crate::upstreams::OriginMetrics;
use crate::verify::RouteVerify;
use crate::write_rules::{ConfiguredCascade, Writes};

/// A configuration, ready to serve. Replaced as a whole on reload; the cache itself goes on.
pub(crate) struct ActiveConfig {
    pub(crate) config: Config,
    pub(crate) trusted: TrustedProxies,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) upstreams: Vec<UpstreamService>,
    pub(crate) routes: Arc<RouteTable>,
    writes: Arc<Writes>,
    /// By route, the one for everything else last.
    ways: Vec<RouteUpstream>,
    /// By route, as above.
    codings: Vec<Option<RouteCodings>>,
    /// By route, as above.
    usages: Vec<Option<RouteUsage>>,
    /// What models cost and save.
    pub(crate) spending: Arc<Spending>,
    /// Where what is stored has names.
    pub(crate) key_names: Option<Arc<KeyNames>>,
    pub(crate) limits: Limits,
    /// Where tokens of clients are verified.
    pub(crate) auth: Option<Arc<Auth>>,
    /// By route, as above; `None` where none is verified.
    verifications: Option<Box<[Option<Arc<RouteVerify>>]>>,
    documents: RouteDocuments,
    pub(crate) hints: Hints,
    pub(crate) access_log: AccessLog,
    /// Where there are traces.
    pub(crate) tracer: Option<Arc<Tracer>>,
}

/// The parts of the process that outlive a configuration.
#[derive(Clone, Copy)]
pub(crate) struct Process<'a> {
    pub(crate) cache: &'a Arc<Cache>,
    pub(crate) clock: &'a Clock,
    pub(crate) redis: Option<&'a Redis>,
    pub(crate) access_logs: &'a AccessLogs,
    pub(crate) exporters: &'a Exporters,
    /// What answers in place of all origins, where none may be asked.
    pub(crate) stand_in: Option<&'a Arc<dyn StandIn>>,
}

/// Why a checked configuration still cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// An upstream cannot be set up.
    #[error("upstream `{name}`: {error}")]
    Upstream {
        /// Its name.
        name: Arc<str>,
        /// The mistake in a sentence.
        error: UpstreamSetupError,
    },
    /// The keys that tokens are verified with cannot be used.
    #[error("[auth.jwt]: {0}")]
    Keys(#[from] KeySetError),
    /// The file of the access log cannot be opened.
    #[error("the access log cannot be opened: {0}")]
    AccessLog(std::io::Error),
    /// The client to the collector of traces cannot be set up.
    #[error("[telemetry.traces]: {0}")]
    Traces(UpstreamSetupError),
    /// Two routes cannot be told apart.
    #[error("a route's path cannot be matched: {0}")]
    Path(#[from] matchit::InsertError),
}

impl ActiveConfig {
    /// From a checked configuration. What `before` has that did not change stays: connections to upstreams, and all counts.
    pub(crate) fn new(mut config: Config, process: &Process<'_>, before: Option<&ActiveConfig>) -> Result<Self, SetupError> {
        let auth = Auth::follow(&config, process.clock, before.and_then(|active| active.auth.as_ref()), process.stand_in.is_none())?;
        for route in config.routes.iter_mut().chain(&mut config.fallback) {
            route.settings.key.tokens = auth.as_ref().map(|auth| auth.verifier());
        }
        let cache = process.cache;
        let names = |routes: &[Route]| routes.iter().chain(&config.fallback).map(|route| Arc::clone(&route.name)).collect::<Vec<_>>();
        let routes = names(&config.routes);
        let routes: Vec<&str> = routes.iter().map(|name| &**name).collect();
        let upstreams: Vec<&str> = config.upstreams.iter().map(|upstream| &*upstream.name).collect();
        let metrics = Arc::new(match before {
            Some(active) => active.metrics.reconfigure(&routes, &upstreams),
            None => Metrics::new(&routes, &upstreams),
        });
        let trusted = TrustedProxies::new(config.server.trusted_proxies.clone(), config.server.trust);
        let upstreams = connect(&config, before, &trusted, process, &metrics)?;
        let writes = Arc::new(Writes::new(&config, before.map(|active| &*active.writes))?);
        let rules_of_writes: Arc<dyn WriteRules> = Arc::clone(&writes) as _;
        let all = || config.routes.iter().chain(&config.fallback);
        let spending = Spending::of(&config.spending, process.clock, before.map(|active| &active.spending));
        let prices = Arc::new(config.prices.clone());
        let books = UsageBooks { prices, metrics: Arc::clone(&metrics), spending: Arc::clone(&spending) };
        let limits = Limits::new(&config, process.redis.map(Redis::store), process.clock, before.map(|active| &active.limits))?;
        let usage = |(index, route)| RouteUsage::of(route, limits.of_route(index).map(|limits| &**limits), &books);
        let usages: Vec<Option<RouteUsage>> = all().enumerate().map(usage).collect();
        let way = |(index, (route, usage)): (usize, (&Route, &Option<RouteUsage>))| {
            let servers = &config.upstreams[route.upstream].servers;
            let way = RouteUpstream::new(upstreams[route.upstream].clone(), route, servers, &metrics, usage.clone());
            way.limited(limits.of_route(index).is_some_and(|limits| limits.guards_origin()))
        };
        let ways: Vec<RouteUpstream> = all().zip(&usages).enumerate().map(way).collect();
        let verifications = verifications(all(), before);
        let edits = all().map(RouteEdits::of).collect();
        let codings = all().map(RouteCodings::of).collect();
        let documents = RouteDocuments::of(all(), before.map(|active| &active.documents));
        let key_names = KeyNames::of(&config)?;
        let service = |(index, route): (usize, &Route)| -> Result<_, SetupError> {
            let pressure = upstreams[route.upstream].pressure().clone();
            let guard = Arc::new(RouteGuard::new(index, &route.name, &metrics));
            let tags = RouteTags::new(&route.path, &route.tags, &config.tags, key_names.clone())?;
            let rules = Arc::new(rules(index, route, documents.rules(route), tags, &rules_of_writes, (pressure, guard)));
            Ok(CacheService::new(ways[index].clone(), Arc::clone(cache), rules))
        };
        let services = config.routes.iter().enumerate().map(service).collect::<Result<_, _>>()?;
        let fallback = config.fallback.as_ref().map(|route| service((config.routes.len(), route))).transpose()?;
        let routes = Arc::new(RouteTable { services, router: Router::new(&config.routes, config.fallback.as_ref())?, fallback, edits });
        let log_before = before.map(|active| (&active.config.log, &active.access_log));
        let access_log = process.access_logs.open(&config.log, log_before).map_err(SetupError::AccessLog)?;
        let traced_before = before.and_then(|active| Some((active.config.traces.as_ref()?, active.tracer.as_ref()?)));
        let tracer = process.exporters.tracer(config.traces.as_ref(), traced_before, process.clock).map_err(SetupError::Traces)?;
        // From here on nothing is refused any more: what is shared with the running configuration may change.
        upstreams.iter().for_each(UpstreamService::take_place);
        limits.take_place();
        if let Some(active) = before {
            retire_removed(active, &config);
        }
        cache.limit_refreshes(config.purge.max_refreshes);
        cache.wait_for_replicas(config.purge.write_wait);
        cache.set_cascade(ConfiguredCascade::of(&config).map(|cascade| Arc::new(cascade) as _));
        writes.follow(&routes);
        spending.follow(&config.spending);
        if let Some(redis) = process.redis {
            redis.name_keys(key_names.clone());
        }
        let hints = Hints::new(config.routes.len() + 1);
        Ok(Self {
            trusted,
            metrics,
            routes,
            writes,
            ways,
            codings,
            usages,
            spending,
            limits,
            auth,
            verifications,
            documents,
            key_names,
            upstreams,
            hints,
            access_log,
            tracer,
            config,
        })
    }

    /// In a process that has nothing else.
    #[cfg(test)]
    pub(crate) fn alone(config: Config) -> Self {
        let clock = Clock::system();
        let cache = Cache::builder(1 << 20).max_object(1 << 16).clock(clock.clone()).build();
        let (access_logs, exporters) = Default::default();
        let process =
            Process { cache: &cache, clock: &clock, redis: None, access_logs: &access_logs, exporters: &exporters, stand_in: None };
        Self::new(config, &process, None).expect("it can serve")
    }

    /// The service for a request, if there is one.
    pub(crate) fn route<B>(&self, request: &http::Request<B>, authority: &str) -> Option<&CacheService<RouteUpstream>> {
        self.routes.route(request, authority)
    }

    /// A route's configuration.
    pub(crate) fn settings_of(&self, route: usize) -> Option<&Route> {
        self.config.routes.get(route).or(self.config.fallback.as_ref())
    }

    /// A route's name.
    pub(crate) fn route_name(&self, route: usize) -> Option<&Arc<str>> {
        self.settings_of(route).map(|route| &route.name)
    }

    /// The name of the upstream that a route's misses go to.
    pub(crate) fn upstream_name(&self, route: usize) -> Option<&Arc<str>> {
        let route = self.settings_of(route)?;
        self.config.upstreams.get(route.upstream).map(|upstream| &upstream.name)
    }

    /// How many bytes the body of a request to a route may have; `None`: any.
    pub(crate) fn max_request_body(&self, route: usize) -> Option<u64> {
        self.settings_of(route)?.settings.max_request_body
    }

    /// How to treat paths that have more than one reading.
    pub(crate) fn odd_paths(&self, route: usize) -> OddPaths {
        self.settings_of(route).map_or(OddPaths::Refuse, |route| route.settings.odd_paths)
    }

    /// Whether paths next to those of routes that keep responses apart pass by the cache.
    pub(crate) fn guards_near_private(&self, route: usize) -> bool {
        self.settings_of(route).is_none_or(|route| route.settings.near_private)
    }

    /// The way to the origin that a route's misses take.
    pub(crate) fn way_of(&self, route: usize) -> Option<&RouteUpstream> {
        self.ways.get(route)
    }

    /// Whether any route keeps codings.
    pub(crate) fn keeps_codings(&self) -> bool {
        self.codings.iter().any(Option::is_some)
    }

    /// The codings that a route keeps, where it does not leave them to clients and origins.
    pub(crate) fn codings_of(&self, route: usize) -> Option<&RouteCodings> {
        self.codings.get(route)?.as_ref()
    }

    /// Where the tokens of a route's answers are counted, where it has answers of models.
    pub(crate) fn usage_of(&self, route: usize) -> Option<&RouteUsage> {
        self.usages.get(route)?.as_ref()
    }

    /// The name of what is stored under a key, where its route gives one.
    pub(crate) fn name_of(&self, key: &PrimaryKey) -> Option<String> {
        self.key_names.as_ref()?.name(key)
    }

    /// The name of a stored response, unless it was stored when the configuration named it otherwise: then a purge does not find it by this one.
    pub(crate) fn name_that_purges(&self, stored: &StoredResponse) -> Option<String> {
        let name = self.name_of(&stored.key())?;
        let tag = Tag::surrogate(&[NAME_TAG, &name].concat());
        stored.tags().iter().any(|own| own == tag).then_some(name)
    }

    /// Whether what a route serves is what its origin would say, where that is looked at.
    pub(crate) fn verify_of(&self, route: usize) -> Option<&Arc<RouteVerify>> {
        self.verifications.as_ref()?.get(route)?.as_ref()
    }

    /// The same of all routes.
    pub(crate) fn verifications(&self) -> impl Iterator<Item = &Arc<RouteVerify>> {
        self.verifications.iter().flat_map(|all| all.iter().flatten())
    }

    /// The limits of a route, where it has any.
    pub(crate) fn limits_of(&self, route: usize) -> Option<&Arc<RouteLimits>> {
        self.limits.of_route(route)
    }

    /// What a route changes in the fields of its requests, where it does.
    pub(crate) fn edits_of(&self, route: usize) -> Option<&RouteEdits> {
        self.routes.edits_of(route)
    }
}

/// The verification of each route. What was found of one goes on by its name.
fn verifications<'r>(routes: impl Iterator<Item = &'r Route>, before: Option<&ActiveConfig>) -> Option<Box<[Option<Arc<RouteVerify>>]>> {
    let known = |route: &Route| before?.verifications().find(|verify| *verify.route() == route.name);
    let all: Box<[_]> = routes.map(|route| RouteVerify::of(route, known(route).map(|known| &**known)).map(Arc::new)).collect();
    all.iter().any(Option::is_some).then_some(all)
}

fn rules(
    index: usize,
    route: &Route,
    content: Option<ContentRules>,
    tags: RouteTags,
    writes: &Arc<dyn WriteRules>,
    (pressure, guard): (Pressure, Arc<RouteGuard>),
) -> RouteRules {
    let settings = &route.settings;
    let bypass = settings.clone();
    let rules = RouteRules::builder()
        .index(index)
        .name(Arc::clone(&route.name))
        .policy(settings.policy.clone())
        .key(settings.key.clone())
        .cache(settings.cache)
        .content(content)
        .content_decoder(RequestDecoder)
        .client_controls(settings.client_controls != ClientControls::Nobodys)
        .max_object(settings.max_object)
        .collapse_wait(settings.collapse_wait)
        .cache_status_key(settings.cache_status_key)
        .may_bypass(MayBypass::new(move |client: Option<IpAddr>| may_bypass(&bypass, client)))
        .bypass_rate(settings.bypass_rate.map(|rate| BypassRate::new(rate.count, rate.seconds)))
        .tags(tags)
        .shared_writes(Arc::clone(writes))
        .pressure(pressure)
        .guard(settings.guard)
        .guard_observer(guard);
    let rules = route.class.iter().cloned().fold(rules, RouteRulesBuilder::class);
    settings.tiers.iter().fold(rules, |rules, tiers| rules.tiers(tiers.iter().map(|tier| tier.as_str()))).build()
}

/// A client may go round the cache whose address is in one of the networks. An IPv4 address that arrived over an IPv6 socket is that IPv4 address.
fn may_bypass(settings: &RouteSettings, client: Option<IpAddr>) -> bool {
    client.is_some_and(|address| settings.bypass_from.iter().any(|network| network.contains(&address.to_canonical())))
}

/// The ways to the origins. One that did not change goes on as it is. Of one that did, by its name, servers that stay keep their connections and
/// figures.
fn connect(
    config: &Config,
    before: Option<&ActiveConfig>,
    trusted: &TrustedProxies,
    process: &Process<'_>,
    metrics: &Arc<Metrics>,
) -> Result<Vec<UpstreamService>, SetupError> {
    let same_server = before.is_some_and(|active| {
        let (then, now) = (&active.config.server, &config.server);
        then.trusted_proxies == now.trusted_proxies && then.trust == now.trust
    });
    let connect = |(index, upstream): (usize, &Upstream)| -> Result<UpstreamService, SetupError> {
        let known = before.and_then(|active| {
            let position = active.config.upstreams.iter().position(|known| known.name == upstream.name)?;
            Some((position, &active.config.upstreams[position], active.upstreams.get(position)?))
        });
        if let Some((position, section, service)) = known
            && same_server
            && position == index
            && section == upstream
        {
            return Ok(service.clone());
        }
        let options = UpstreamOptions {
            index,
            trusted: trusted.clone(),
            observer: Some(Arc::new(OriginMetrics(Arc::clone(metrics)))),
            shared_checks: process.redis.map(Redis::shared_checks),
            stand_in: process.stand_in.cloned(),
            ..UpstreamOptions::new(upstream.clone(), process.clock.clone())
        };
        let connected = match known {
            Some((.., service)) => service.reconfigured(options),
            None => UpstreamService::new(options),
        };
        connected.map_err(|error| SetupError::Upstream { name: Arc::clone(&upstream.name), error })
    };
    config.upstreams.iter().enumerate().map(connect).collect()
}

/// Nothing takes the place of upstreams that the configuration does not have any more.
fn retire_removed(before: &ActiveConfig, config: &Config) {
    let is_removed = |name: &str| config.upstreams.iter().all(|upstream| &*upstream.name != name);
    let known = before.config.upstreams.iter().zip(&before.upstreams);
    known.filter(|(section, _)| is_removed(&section.name)).for_each(|(_, service)| service.retire());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_in_one_of_the_networks_may_go_round_the_cache() {
        let networks = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
        let settings = RouteSettings { bypass_from: networks.into(), ..RouteSettings::default() };
        for (client, allowed) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("::1", true), ("11.0.0.1", false), ("::2", false)] {
            assert_eq!(may_bypass(&settings, Some(client.parse().expect("an address"))), allowed, "{client}");
        }
        assert!(!may_bypass(&settings, None));
    }
}
