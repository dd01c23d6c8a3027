//! `GET /limits`, `GET /limits/{name}`, and `GET` and `DELETE /limits/{name}/{key}`: how limits and their clients stand.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::Shared;
use super::refused::{parameters, unknown_parameter};
use crate::config::{self, TokenScope};
use crate::limits::{LimitClientReport, LimitReport, QuotaReport, RunningLimit};
use crate::purge::Refused;

/// Clients of an answer, unless asked for otherwise, and at most.
pub(super) const CLIENTS: usize = 50;
const MAX_CLIENTS: usize = 1000;

const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// All limits.
pub(super) async fn limits(State(shared): State<Shared>) -> impl IntoResponse {
    let active = shared.gateway.active.load();
    let reports: Vec<LimitReport> = active.limits.all().iter().map(|limit| limit.report()).collect();
    (NO_STORE, Json(reports))
}

/// One limit with the clients that have used most; of a quota with several limits, each of them.
pub(super) async fn clients(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Refused> {
    let limits = named(&shared, &name)?;
    let mut most = CLIENTS;
    for (name, value) in parameters(query.as_deref())? {
        if name != "limit" {
            return Err(unknown_parameter(&name, &["limit"]));
        }
        most = count(&name, &value)?;
    }
    // It looks at all of them.
    let reports = tokio::task::spawn_blocking(move || limits.iter().map(|limit| limit.clients(most)).collect::<Vec<_>>()).await;
    let reports = reports.map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "The clients could not be looked at."))?;
    Ok(answer(name, reports))
}

/// One client; of a quota with several limits, as it stands under each that it has used anything of.
pub(super) async fn client(State(shared): State<Shared>, Path((name, key)): Path<(String, String)>) -> Result<Response<Body>, Refused> {
    let limits = named(&shared, &name)?;
    let of_one = limits.len() == 1;
    let mut reports = Vec::new();
    for limit in &limits {
        let report = limit.client(&key).await;
        reports.extend(report.map(|report| LimitClientReport { limit: limit.settings.name.to_string(), client: report }));
    }
    client_answer(name, of_one, reports)
}

/// Gives a client back what it has used, for which the scope `admin` is needed, and tells how it stood before.
pub(super) async fn forgive(
    State(shared): State<Shared>,
    Path((name, key)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    shared.allow(TokenScope::Admin, &method, &uri, &headers)?;
    let limits = named(&shared, &name)?;
    let of_one = limits.len() == 1;
    let mut reports = Vec::new();
    for limit in &limits {
        let before = limit.forgive(&key).await;
        let before = before.map_err(|problem| Refused::new(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}.")))?;
        reports.extend(before.map(|before| LimitClientReport { limit: limit.settings.name.to_string(), client: before }));
    }
    client_answer(name, of_one, reports)
}

/// What is said of one limit stands alone, as it always did; that of several stands under the name of their quota.
fn answer<T: Serialize>(quota: String, mut limits: Vec<T>) -> Response<Body> {
    match limits.len() {
        1 => (NO_STORE, Json(limits.pop())).into_response(),
        _ => (NO_STORE, Json(QuotaReport { quota, limits })).into_response(),
    }
}

fn client_answer(name: String, of_one: bool, mut reports: Vec<LimitClientReport>) -> Result<Response<Body>, Refused> {
    match (of_one, reports.pop()) {
        (_, None) => Err(unused(&name)),
        (true, Some(report)) => Ok((NO_STORE, Json(report.client)).into_response()),
        (false, Some(last)) => {
            reports.push(last);
            Ok((NO_STORE, Json(QuotaReport { quota: name, limits: reports })).into_response())
        }
    }
}

/// A number of things to be told at most.
pub(super) fn count(name: &str, value: &str) -> Result<usize, Refused> {
    let wrong = || Refused::new(StatusCode::BAD_REQUEST, format!("{name}: `{value}` is no number from 1 to {MAX_CLIENTS}."));
    value.parse().ok().filter(|count| (1..=MAX_CLIENTS).contains(count)).ok_or_else(wrong)
}

fn unused(limit: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, format!("No such client has used anything of limit `{limit}`."))
}

/// The limit of this name, or those of the quota of this name.
fn named(shared: &Shared, name: &str) -> Result<Vec<Arc<RunningLimit>>, Refused> {
    let active = shared.gateway.active.load();
    let all = active.limits.all();
    if let Some(limit) = all.iter().find(|limit| *limit.settings.name == *name) {
        return Ok(vec![Arc::clone(limit)]);
    }
    let of_quota = |limit: &&Arc<RunningLimit>| limit.settings.quota.as_ref().is_some_and(|quota| *quota.quota == *name);
    let limits: Vec<Arc<RunningLimit>> = all.iter().filter(of_quota).cloned().collect();
    if !limits.is_empty() {
        return Ok(limits);
    }
    let names: Vec<&str> = all.iter().map(|limit| &*limit.settings.name).collect();
    let hint = if names.is_empty() { "there are none".to_owned() } else { config::nearest_hint(name, &names, "there are") };
    let end = if hint.ends_with('?') { "" } else { "." };
    Err(Refused::new(StatusCode::NOT_FOUND, format!("There is no limit `{name}`: {hint}{end}")))
}
