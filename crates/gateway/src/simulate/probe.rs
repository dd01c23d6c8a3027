//! What origins say of their answers, asked once a route: the first GET of it in the log.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use larder_simulate::{LogFormat, LogRecord, Logs, Progress};
use larder_tower::Cache;
use larder_tower::clock::Clock;
use serde_json::json;

use super::assumed::{AssumedFields, Assumptions};
use super::run::SimulateError;
use crate::active::{ActiveConfig, Process};
use crate::client::{ClientConnection, effective_target};
use crate::config::{AccessLog, Config};
use crate::explain::{explain, question};

/// Records in which a request is looked for.
const MAX_RECORDS: usize = 100_000;

/// Fields that are assumed of the other answers of the route. A date is that of one answer.
const FIELDS: [HeaderName; 3] = [CACHE_CONTROL, VARY, SET_COOKIE];

/// Asks, and says what is to be assumed.
pub(super) async fn probe(
    mut config: Config,
    logs: &[&Path],
    format: Option<&LogFormat>,
    assumptions: &Assumptions,
) -> Result<Vec<AssumedFields>, SimulateError> {
    let clock = Clock::system();
    let cache = Cache::builder(1 << 20).clock(clock.clone()).build();
    (config.log.access, config.traces) = (AccessLog::Off, None);
    let (access_logs, exporters) = Default::default();
    let process = Process { cache: &cache, clock: &clock, redis: None, access_logs: &access_logs, exporters: &exporters, stand_in: None };
    let active = ActiveConfig::new(config, &process, None)?;
    let logs = Logs::open(logs.iter().copied(), format, &Progress::default())?;
    let mut probed = Vec::new();
    let host = assumptions.host.to_str().unwrap_or_default();
    for (route, url) in first_of_each(&active, logs, host) {
        let asked = question(&json!({ "url": url, "fetch": true })).map_err(|refused| SimulateError::Probe(url.clone(), refused.detail))?;
        let explanation = explain(&active, asked).await.map_err(|refused| SimulateError::Probe(url.clone(), refused.detail))?;
        let Some(fetched) = explanation.fetched else { continue };
        if let Some(failure) = fetched.failure {
            return Err(SimulateError::Probe(url, failure));
        }
        let mut fields = HeaderMap::new();
        for field in &fetched.fields {
            let name = FIELDS.iter().find(|name| name.as_str() == field.name);
            fields.extend(name.cloned().zip(HeaderValue::from_str(&field.value).ok()));
        }
        let name = active.route_name(route).map_or("", |name| name);
        probed.push(AssumedFields::new(name, fields));
    }
    Ok(probed)
}

/// The URL of the first answered GET of each route.
fn first_of_each(active: &ActiveConfig, logs: Logs, host: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for record in logs.take(MAX_RECORDS).filter(|record| record.method == Method::GET && record.status == StatusCode::OK) {
        if let Some(route) = route_of(active, &record, host)
            && !found.iter().any(|(known, _)| *known == route)
        {
            let scheme = if record.secure == Some(true) { "https" } else { "http" };
            found.push((route, format!("{scheme}://{}{}", record.host.as_deref().unwrap_or(host), record.target)));
        }
    }
    found
}

fn route_of(active: &ActiveConfig, record: &LogRecord, host: &str) -> Option<usize> {
    let mut request = Request::new(());
    *request.uri_mut() = record.target.clone();
    let host = HeaderValue::from_str(record.host.as_deref().unwrap_or(host)).ok()?;
    request.headers_mut().insert(http::header::HOST, host);
    let peer = record.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let connection = ClientConnection { peer, secure: record.secure.unwrap_or_default(), version: http::Version::HTTP_11 };
    let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
    Some(active.route(&request, &target.authority)?.route().index())
}
