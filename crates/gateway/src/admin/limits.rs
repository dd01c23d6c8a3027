//! `GET /limits`, `GET /limits/{name}`, and `GET` and `DELETE /limits/{name}/{key}`: how limits and their clients stand.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::IntoResponse;

use super::Shared;
use super::refused::{parameters, unknown_parameter};
use crate::config::{self, TokenScope};
use crate::limits::{LimitReport, RunningLimit};
use crate::purge::Refused;

/// Clients of an answer, unless asked for otherwise, and at most.
const CLIENTS: usize = 50;
const MAX_CLIENTS: usize = 1000;

const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// All limits.
pub(super) async fn limits(State(shared): State<Shared>) -> impl IntoResponse {
    let active = shared.gateway.active.load();
    let reports: Vec<LimitReport> = active.limits.all().iter().map(|limit| limit.report()).collect();
    (NO_STORE, Json(reports))
}

/// One limit with the clients that have used most.
pub(super) async fn clients(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Refused> {
    let limit = named(&shared, &name)?;
    let mut most = CLIENTS;
    for (name, value) in parameters(query.as_deref())? {
        if name != "limit" {
            return Err(unknown_parameter(&name, &["limit"]));
        }
        let wrong = || Refused::new(StatusCode::BAD_REQUEST, format!("limit: `{value}` is no number from 1 to {MAX_CLIENTS}."));
        most = value.parse().ok().filter(|most| (1..=MAX_CLIENTS).contains(most)).ok_or_else(wrong)?;
    }
    // It looks at all of them.
    let report = tokio::task::spawn_blocking(move || limit.clients(most)).await;
    let report = report.map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "The clients could not be looked at."))?;
    Ok((NO_STORE, Json(report)))
}

/// One client.
pub(super) async fn client(State(shared): State<Shared>, Path((name, key)): Path<(String, String)>) -> Result<impl IntoResponse, Refused> {
    let report = named(&shared, &name)?.client(&key).await.ok_or_else(|| unused(&name))?;
    Ok((NO_STORE, Json(report)))
}

/// Gives a client back what it has used, for which the scope `admin` is needed, and tells how it stood before.
pub(super) async fn forgive(
    State(shared): State<Shared>,
    Path((name, key)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refused> {
    shared.allow(TokenScope::Admin, &method, &uri, &headers)?;
    match named(&shared, &name)?.forgive(&key).await {
        Ok(Some(before)) => Ok((NO_STORE, Json(before))),
        Ok(None) => Err(unused(&name)),
        Err(problem) => Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}."))),
    }
}

fn unused(limit: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, format!("No such client has used anything of limit `{limit}`."))
}

fn named(shared: &Shared, name: &str) -> Result<Arc<RunningLimit>, Refused> {
    let active = shared.gateway.active.load();
    let all = active.limits.all();
    let of_quota = |limit: &&Arc<RunningLimit>| limit.settings.quota.as_ref().is_some_and(|quota| *quota.quota == *name);
    let limits: Vec<&Arc<RunningLimit>> = all.iter().filter(of_quota).collect();
    let found = all.iter().find(|limit| *limit.settings.name == *name);
    found
        .or(match &limits[..] {
            [only] => Some(only),
            _ => None,
        })
        .cloned()
        .ok_or_else(|| {
            if !limits.is_empty() {
                let names: Vec<String> = limits.iter().map(|limit| format!("`{}`", limit.settings.name)).collect();
                return Refused::new(StatusCode::NOT_FOUND, format!("`{name}` is a quota of several limits: {}.", names.join(", ")));
            }
            let names: Vec<&str> = all.iter().map(|limit| &*limit.settings.name).collect();
            let hint = if names.is_empty() { "there are none".to_owned() } else { config::nearest_hint(name, &names, "there are") };
            let end = if hint.ends_with('?') { "" } else { "." };
            Refused::new(StatusCode::NOT_FOUND, format!("There is no limit `{name}`: {hint}{end}"))
        })
}
