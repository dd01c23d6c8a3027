//! The limits of a configuration, by route.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Request};
use larder_redis::RedisStore;
use larder_semantics::TokenVerifier;
use larder_tower::clock::Clock;

use super::asked::{Answers, Asked, ByteClients, Over};
use super::fields::policies;
use super::keys::KeyFacts;
use super::owing::settle;
use super::running::Surroundings;
use super::shared::{Answer, Telling};
use super::ticket::Entered;
use super::together::Together;
use super::warnings::Warnings;
use super::{Keys, RunningLimit};
use crate::config::{Config, LimitKey, LimitOver, Price, RateLimit, Route};
use crate::path_matcher::PathMatcher;
use crate::telemetry::access_log::ByteObserver;
use crate::telemetry::snapshot::LimitSnapshot;

/// All limits.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    all: Vec<Arc<RunningLimit>>,
    /// By route, the one for everything else last.
    by_route: Vec<Option<Arc<RouteLimits>>>,
    warnings: Arc<Warnings>,
}

/// The limits of one route: first those that are asked before the look-up, then those that are asked before the origin.
#[derive(Debug)]
pub(crate) struct RouteLimits {
    limits: Vec<Arc<RunningLimit>>,
    /// How many are asked before the look-up.
    door: usize,
    /// The first that counts what models say: by it clients are known that spend.
    of_models: Option<usize>,
    route: Arc<str>,
    /// Where a key has parts of the path, with their names.
    path: Option<(PathMatcher, Box<[String]>)>,
    /// What verifies tokens.
    tokens: Option<Arc<dyn TokenVerifier>>,
    /// `RateLimit-Policy` of an answer that the origin was not asked for, and of one that it was.
    pub(super) policies: [Option<HeaderValue>; 2],
}

impl Limits {
    /// Those of a configuration. What was used under a limit that `before` has too goes on.
    pub(crate) fn new(
        config: &Config,
        redis: Option<&RedisStore>,
        clock: &Clock,
        before: Option<&Self>,
    ) -> Result<Self, matchit::InsertError> {
        let warnings = before.map_or_else(Arc::default, |before| Arc::clone(&before.warnings));
        let around = Surroundings { redis, clock, warnings: &warnings };
        let known = |limit: &RateLimit| before?.all.iter().find(|known| known.settings.name == limit.name);
        let running = |limit: &RateLimit| Arc::new(RunningLimit::new(limit.clone(), &around, known(limit).map(|known| &**known)));
        let all: Vec<_> = config.limits.iter().map(running).collect();
        let routes = config.routes.iter().chain(&config.fallback).enumerate();
        let by_route = routes.map(|(index, route)| RouteLimits::of(index, route, &all)).collect::<Result<_, _>>()?;
        Ok(Self { all, by_route, warnings })
    }

    /// They are in force from now on.
    pub(crate) fn take_place(&self) {
        self.all.iter().for_each(|limit| limit.take_place());
    }

    /// Those of a route; `None`: it has none.
    pub(crate) fn of_route(&self, route: usize) -> Option<&Arc<RouteLimits>> {
        self.by_route.get(route)?.as_ref()
    }

    /// Each of them.
    pub(crate) fn all(&self) -> &[Arc<RunningLimit>] {
        &self.all
    }

    /// Whether any limit may have to ask Redis before the look-up.
    pub(crate) fn ask_ahead(&self) -> bool {
        self.all.iter().any(|limit| limit.together().is_some() && !limit.settings.count.is_of_origin())
    }

    /// Tells Redis of what clients owe.
    pub(crate) async fn settle(&self) {
        for limit in &self.all {
            settle(limit).await;
        }
    }

    /// What people are to be told of.
    pub(crate) fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Bytes that the clients of all limits take, within the memory that everything has.
    pub(crate) fn bytes(&self) -> u64 {
        self.all.iter().map(|limit| limit.bytes()).sum()
    }

    /// Forgets clients that stand as new ones do.
    pub(crate) fn forget_idle(&self) {
        self.all.iter().for_each(|limit| limit.forget_idle());
    }

    pub(crate) fn snapshot(&self) -> Vec<LimitSnapshot> {
        self.all.iter().map(|limit| limit.snapshot()).collect()
    }
}

impl RouteLimits {
    fn of(index: usize, route: &Route, all: &[Arc<RunningLimit>]) -> Result<Option<Arc<Self>>, matchit::InsertError> {
        let mut limits: Vec<_> = all.iter().filter(|limit| limit.settings.routes.contains(&index)).cloned().collect();
        if limits.is_empty() {
            return Ok(None);
        }
        limits.sort_by_key(|limit| limit.settings.count.is_of_origin());
        let door = limits.iter().filter(|limit| !limit.settings.count.is_of_origin()).count();
        let of_models = limits.iter().position(|limit| limit.settings.count.is_of_models());
        let names_path = limits.iter().any(|limit| limit.settings.key.iter().any(|part| matches!(part, LimitKey::Path(_))));
        let path = names_path.then(|| PathMatcher::new(&route.path)).transpose()?;
        Ok(Some(Arc::new(Self {
            path: path.map(|matcher| (matcher, route.path.captures().into())),
            policies: [policies(&limits[..door]), policies(&limits)],
            tokens: route.settings.key.tokens.clone(),
            route: Arc::clone(&route.name),
            door,
            of_models,
            limits,
        })))
    }

    /// How many are asked before the look-up; those behind are asked before the origin.
    pub(super) fn door(&self) -> usize {
        self.door
    }

    pub(super) fn len(&self) -> usize {
        self.limits.len()
    }

    /// The limit at this place, which came from here.
    pub(crate) fn at(&self, place: usize) -> &RunningLimit {
        &self.limits[place]
    }

    /// Whether any of them may keep a request from the origin.
    pub(crate) fn guards_origin(&self) -> bool {
        self.door < self.limits.len() || self.limits.iter().any(|limit| limit.settings.over == LimitOver::Stale)
    }

    /// Whether any of them counts what models say.
    pub(crate) fn count_models(&self) -> bool {
        self.of_models.is_some()
    }

    /// The client that pays for answers of models, where a limit counts them.
    pub(crate) fn spender<'k>(&self, keys: &'k Keys) -> Option<&'k str> {
        self.of_models.map(|place| keys.get(place))
    }

    /// What tokens cost of models that `[prices]` does not have, where a quota says so.
    pub(crate) fn price(&self) -> Option<&Price> {
        self.limits.iter().find_map(|limit| limit.settings.quota.as_ref()?.price.as_ref())
    }

    /// The clients that a request counts for.
    pub(crate) fn keys<B>(&self, request: &Request<B>, client: IpAddr) -> Keys {
        let captured = self.path.as_ref().and_then(|(matcher, _)| matcher.captures(request.uri().path())).unwrap_or_default();
        let names = self.path.iter().flat_map(|(_, names)| names.iter().map(String::as_str));
        let captures: Vec<(&str, &str)> = names.zip(captured.iter().map(String::as_str)).collect();
        let facts =
            KeyFacts { headers: request.headers(), client, route: &self.route, captures: &captures, tokens: self.tokens.as_deref() };
        Keys::of(self.limits.iter().map(|limit| &*limit.settings.key), facts)
    }

    /// Asks the limits on requests and bytes about a request that is answered without waiting; `None`, and nothing has happened, where it does not
    /// just fit in.
    pub(crate) fn enter_at_once(&self, keys: &Keys) -> Option<Entered> {
        let (mut asked, unasked) = (Asked::default(), Answers::default());
        let fits = self.is_ready(0, self.door, keys)
            && (0..self.door).all(|place| asked.ask(self, place, keys, &unasked, false).is_ok() && asked.held.is_none());
        if !fits {
            asked.give_back(self, keys);
            return None;
        }
        Some(Entered::of(asked.keep(self)))
    }

    /// Asks the limits on requests and bytes.
    pub(crate) fn enter(&self, keys: &Keys, answers: &Answers) -> Result<Entered, Over> {
        self.ask(0, self.door, keys, answers).map(Entered::of)
    }

    /// Asks Redis what [`Self::enter`] needs; `None` where it needs nothing.
    pub(crate) fn ask_ahead(self: &Arc<Self>, keys: Keys) -> Option<impl Future<Output = Answers> + Send + 'static> {
        if self.is_ready(0, self.door, &keys) {
            return None;
        }
        let limits = Arc::clone(self);
        Some(async move { limits.inquire(0, limits.door, keys).await })
    }

    /// Whether nothing needs to be asked of Redis for the limits at these places.
    pub(super) fn is_ready(&self, from: usize, to: usize, keys: &Keys) -> bool {
        (from..to).all(|place| self.at(place).together().is_none_or(|together| together.is_ready(keys.get(place), self.at(place).now())))
    }

    /// Asks Redis for the units of a request under the shared limits at these places, in one question for all. A client that leaves meanwhile takes no
    /// answer with it: Redis tells one question alone that a client has come near the end of its quota.
    pub(super) async fn inquire(self: &Arc<Self>, from: usize, to: usize, keys: Keys) -> Answers {
        let (limits, of_client) = (Arc::clone(self), keys.clone());
        let asking = async move {
            let answers = limits.inquire_to_the_end(from, to, &of_client).await;
            Answers::about(&limits, of_client, answers)
        };
        tokio::spawn(asking).await.unwrap_or_else(|_| Answers::about(self, keys, []))
    }

    async fn inquire_to_the_end(&self, from: usize, to: usize, keys: &Keys) -> Vec<(usize, Answer)> {
        let shared = |place: usize| Some((place, self.at(place), self.at(place).together()?));
        let needy = |(place, limit, together): &(usize, &RunningLimit, &Together)| !together.is_ready(keys.get(*place), limit.now());
        let places: Vec<_> = (from..to).filter_map(shared).filter(needy).collect();
        let mut answers = Vec::with_capacity(places.len());
        let Some((_, _, first)) = places.first() else { return answers };
        let (asks, tellings): (Vec<_>, Vec<_>) =
            places.iter().map(|(place, limit, together)| together.ask(limit, keys.get(*place))).unzip();
        let grants = first.redis().limit(&asks).await.ok();
        for (index, ((place, limit, _), telling)) in places.iter().zip(tellings).enumerate() {
            let grant = grants.as_ref().map(|grants| grants[index]);
            if let Some(grant) = &grant {
                telling.into_iter().for_each(Telling::settled);
                if grant.is_reached {
                    limit.warn(keys.get(*place), grant.used);
                }
            }
            answers.push((*place, grant));
        }
        answers
    }

    /// Asks the limits at these places. Where one refuses, nothing was taken from the others; units that Redis has granted them are kept for the client.
    pub(super) fn ask(&self, from: usize, to: usize, keys: &Keys, answers: &Answers) -> Result<Asked, Over> {
        let mut asked = Asked::default();
        for place in from..to {
            if let Err(over) = asked.ask(self, place, keys, answers, true) {
                asked.give_back(self, keys);
                return Err(over);
            }
        }
        Ok(asked.keep(self))
    }

    /// Charges clients for an answer of so many bytes. Where that is not known yet, what comes back is to be told at the end of its body.
    pub(crate) fn charge(self: &Arc<Self>, clients: ByteClients, bytes: Option<u64>) -> Option<Box<dyn ByteObserver>> {
        if clients.is_empty() {
            return None;
        }
        let charge = Charge { limits: Arc::clone(self), clients };
        match bytes {
            None => return Some(Box::new(charge)),
            Some(bytes) => charge.ended(bytes),
        }
        None
    }

    /// How the clients of a request stand, a sentence for each limit.
    pub(crate) fn explained(&self, keys: &Keys) -> Vec<String> {
        let sentence = |(place, limit): (usize, &Arc<RunningLimit>)| {
            let (settings, key) = (&limit.settings, keys.get(place));
            let standing = limit.table().look(key, limit.now(), 1);
            let (unit, amount) = (settings.count.as_str(), |units| settings.count.as_people_count(units));
            let (left, most) = (amount(standing.remaining), amount(limit.table().rate().capacity()));
            let verdict = if standing.allowed { "" } else { ": it is used up now" };
            format!("limit `{}` counts {unit} of `{key}`: {left} of {most} are left{verdict}", settings.name)
        };
        self.limits.iter().enumerate().map(sentence).collect()
    }
}

/// Clients that pay for the bytes of an answer.
#[derive(Debug)]
struct Charge {
    limits: Arc<RouteLimits>,
    clients: ByteClients,
}

impl ByteObserver for Charge {
    fn ended(&self, bytes: u64) {
        self.clients.iter().for_each(|(place, client)| self.limits.at(*place).charge(client, bytes));
    }
}
