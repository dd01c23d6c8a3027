//! The sections of the configuration: one file each, read from its table and checked.

mod acme;
mod alike;
mod cache;
mod clients;
mod file;
mod json_path;
mod listener;
pub(crate) mod listeners;
mod matching;
mod operating;
mod overrides;
mod prices;
mod purging;
mod routes;
mod secret;
mod server;
pub(crate) mod stores;
pub(crate) mod testing;
mod tls;
mod tokens;
pub(crate) mod upstreams;
mod warm;

use toml::Spanned;
use toml::de::DeTable;

pub(crate) use overrides::KUBERNETES;
pub use overrides::Overrides;

use crate::model::{Config, FarTier, Prices, RateLimit, Route};
use crate::parse::mistake::{Location, Mistake, Mistakes};
use crate::parse::reader::Table;
use crate::parse::written::Written;
use clients::{auth, limits, quotas};
use operating::{alerts, log, telemetry};
use purging::{purge, tags, writes};
use routes::Routing;
use stores::store::{self, Stores};
use testing::Tested;

#[cfg(test)]
pub(crate) use routes::METHODS;

/// `None` if an upstream is wrong or missing; mistakes are noted either way.
pub(crate) fn read(table: &Spanned<DeTable<'_>>, overrides: &Overrides, mistakes: &Mistakes) -> Option<Config> {
    // Looked at before they are read: a change in between is then seen as one that came later.
    let secret_files = secret::files(table.get_ref());
    let mut root = Table::root(table, mistakes);
    let mut server = server::server(&mut root, overrides);
    server.listeners = listener::read(&mut root, &server.options, table.get_ref().contains_key("acme"));
    let mut admin = server::admin(&mut root);
    listeners::settle(&mut server, &mut admin, overrides, mistakes);
    let Stores { memory, disk, redis } = store::store(&mut root, overrides);
    let purge = purge::read(&mut root, &admin, redis.is_some());
    let alerts = alerts::read(&mut root, &purge, redis.is_some());
    let acme = acme::read(&mut root, &server, redis.is_some());
    let jwt = auth::read(&mut root);
    let verifies = table.get_ref().contains_key("auth");
    let log = log::read(&mut root);
    let traces = telemetry::read(&mut root);
    let upstreams = upstreams::read(&mut root);
    if table.get_ref().get("upstreams").is_none_or(|value| value.get_ref().as_table().is_some_and(|upstreams| upstreams.is_empty())) {
        let mistake = Mistake::new("no upstream is configured");
        mistakes.error(Location::File, mistake.hint("add a section [upstreams.api] with url = \"http://127.0.0.1:3000\""));
    }
    let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let far = [(FarTier::Disk, disk.is_some()), (FarTier::Redis, redis.is_some())]
        .into_iter()
        .filter_map(|(tier, is_there)| is_there.then_some(tier));
    let room = disk.as_ref().map_or(0, |disk| disk.max_object).max(memory.capacity);
    let Routing { routes, fallback, namespace } = routes::read(&mut root, &names, room, (far.collect(), verifies));
    let warm = warm::read(&mut root, &server, routes.iter().chain(&fallback));
    let tags = tags::response_tags(&mut root);
    let prices = prices::read(&mut root);
    let spending = prices::spending(&mut root);
    let limits = all_limits(&mut root, &routes.iter().chain(&fallback).collect::<Vec<_>>(), &prices, (redis.is_some(), verifies));
    let names = writes::Names::of(&routes, fallback.as_ref(), &tags);
    let (on_write, on_event) = (writes::on_write(&mut root, &names), writes::on_event(&mut root, &names));
    let tests = testing::read(&mut root, &Tested::of(&server, &routes, fallback.as_ref(), &on_event));
    root.finish();
    let upstreams: Vec<_> = upstreams.into_iter().map(|named| named.upstream).collect::<Option<_>>()?;
    for (upstream, places) in &upstreams {
        for (target, place) in upstream.servers.iter().zip(places) {
            listeners::check_upstream(&upstream.name, &target.url, Location::At(place.clone()), &server, mistakes);
        }
    }
    let upstreams = upstreams.into_iter().map(|(upstream, _)| upstream).collect();
    let config = Config {
        server,
        admin,
        secret_files,
        acme,
        jwt: jwt.as_ref().map(|jwt| jwt.get_ref().clone()),
        warm,
        purge,
        alerts,
        tags,
        prices,
        spending,
        limits,
        on_write,
        on_event,
        upstreams,
        memory,
        disk,
        redis,
        namespace,
        log,
        traces,
        routes,
        fallback,
        tests,
        source: None,
        written: Written::default(),
    };
    jwt.iter().filter(|_| config.verified_claims().is_empty()).for_each(|jwt| auth::warn_of_no_use(jwt, mistakes));
    Some(config)
}

/// `[[limits]]` and `[[quotas]]`, among which a name stands for one thing.
fn all_limits(root: &mut Table<'_>, routes: &[&Route], prices: &Prices, has: (bool, bool)) -> Vec<RateLimit> {
    let mut names = Vec::new();
    let mut all = limits::read(root, routes, has, &mut names);
    all.extend(quotas::read(root, routes, prices, has, &mut names));
    all
}
