//! `GET /stats`, `/spending`, `/history` and `/routes`: figures and settings as JSON.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use larder_tower::clock::monotonic;
use serde_json::{Value, json};

use super::Shared;
use super::limits::{CLIENTS, count};
use super::refused::{parameters, unknown_parameter};
use crate::active::ActiveConfig;
use crate::config::{Config, FarTier, RouteSettings};
use crate::explain::route_report;
use crate::proxy::Gateway;
use crate::purge::Refused;
use crate::scrape::snapshot;
use crate::spending::Filter;
use crate::stats::{INTERVAL, StatsReport, totals};
use crate::telemetry::snapshot::Snapshot;

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// What the cache is worth, since the start and lately; with `?route=NAME` of one route.
pub(crate) async fn stats(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response<Body>, Refused> {
    let mut wanted = None;
    for (name, value) in parameters(query.as_deref())? {
        match &*name {
            "route" => wanted = Some(value),
            name => return Err(unknown_parameter(name, &["route"])),
        }
    }
    let mut report = report(&shared.gateway, &snapshot(&shared.gateway));
    if let Some(wanted) = wanted {
        if !report.windows.iter().any(|window| window.routes.iter().any(|route| route.route == wanted)) {
            return Err(Refused::new(StatusCode::NOT_FOUND, format!("There is no route `{wanted}`.")));
        }
        for window in &mut report.windows {
            window.routes.retain(|route| route.route == wanted);
            window.total = window.routes.first().cloned().unwrap_or_default();
        }
        report.models.retain(|model| model.route == wanted);
        let filter = Filter { route: Some(wanted), ..Filter::default() };
        report.spending = shared.gateway.active.load().spending.report(&filter, TOP);
    }
    Ok((NO_STORE, Json(report)).into_response())
}

/// All windows, up to what a snapshot says.
pub(super) fn report(gateway: &Gateway, snapshot: &Snapshot) -> StatsReport {
    let store = snapshot.store;
    StatsReport {
        windows: gateway.history.windows(monotonic(), &totals(&snapshot.routes)),
        entries: store.entries,
        stored_bytes: store.stored_bytes,
        capacity_bytes: store.capacity_bytes,
        evicted: store.evictions.size,
        models: snapshot.usage.iter().map(Into::into).collect(),
        spending: gateway.active.load().spending.report(&Filter::default(), TOP),
    }
}

/// Routes, clients and models of today and this month that are part of other figures.
pub(super) const TOP: usize = 20;

/// What models have cost and saved today and this month; with `?route=`, `?client=` and `?model=` of these, with `?limit=N` so many rows of each kind.
pub(crate) async fn spending(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response<Body>, Refused> {
    let (mut filter, mut most) = (Filter::default(), CLIENTS);
    for (name, value) in parameters(query.as_deref())? {
        match &*name {
            "route" => filter.route = Some(value),
            "client" => filter.client = Some(value),
            "model" => filter.model = Some(value),
            "limit" => most = count(&name, &value)?,
            name => return Err(unknown_parameter(name, &["route", "client", "model", "limit"])),
        }
    }
    Ok((NO_STORE, Json(shared.gateway.active.load().spending.report(&filter, most))).into_response())
}

/// The last hour, a point every few seconds; with `?last=N` the last points of it.
pub(crate) async fn history(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response<Body>, Refused> {
    let mut points = shared.gateway.history.hour();
    for (name, value) in parameters(query.as_deref())? {
        match &*name {
            "last" => {
                let wrong = || Refused::new(StatusCode::BAD_REQUEST, format!("last: `{value}` is no number of points."));
                let last: usize = value.parse().map_err(|_| wrong())?;
                points.drain(..points.len().saturating_sub(last));
            }
            name => return Err(unknown_parameter(name, &["last"])),
        }
    }
    Ok((NO_STORE, Json(json!({ "interval_seconds": INTERVAL.as_secs(), "points": points }))).into_response())
}

/// The routes in the order of the configuration, the one that takes what no other takes last.
pub(crate) async fn routes(State(shared): State<Shared>) -> Response<Body> {
    let active = shared.gateway.active.load_full();
    let count = active.config.routes.len() + usize::from(active.config.fallback.is_some());
    let routes: Vec<Value> = (0..count).filter_map(|index| route(&active, index)).collect();
    (NO_STORE, Json(json!({ "routes": routes }))).into_response()
}

fn route(active: &ActiveConfig, index: usize) -> Option<Value> {
    let settings = &active.settings_of(index)?.settings;
    let policy = &settings.policy;
    let mut route = serde_json::to_value(route_report(active, index)?).ok()?;
    route["cache"] = settings.cache.into();
    route["scope"] = format!("{:?}", policy.scope).to_lowercase().into();
    route["ttl"] = policy.ttl.into();
    route["ttl_mode"] = format!("{:?}", policy.ttl_mode).to_lowercase().into();
    route["stale_while_revalidate"] = policy.stale_while_revalidate.into();
    route["stale_if_error"] = policy.stale_if_error.into();
    route["max_object"] = settings.max_object.into();
    route["tiers"] = tiers(&active.config, settings).into();
    Some(route)
}

/// The stores that a route uses, of those that there are, the nearest first.
fn tiers(config: &Config, settings: &RouteSettings) -> Vec<&'static str> {
    let there = [(FarTier::Disk, config.disk.is_some()), (FarTier::Redis, config.redis.is_some())];
    let used = |tier: &FarTier| settings.tiers.as_ref().is_none_or(|tiers| tiers.contains(tier));
    let far = there.iter().filter(|(tier, is_there)| *is_there && used(tier)).map(|(tier, _)| tier.as_str());
    std::iter::once("memory").chain(far).collect()
}
