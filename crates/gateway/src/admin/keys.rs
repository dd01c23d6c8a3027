//! `GET /keys` and `GET /entries/{key}`: what is stored.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use larder_store::{Invalidation, Selection};
use larder_tower::CacheBody;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::Shared;
use super::refused::{parameters, unknown_parameter};
use crate::active::ActiveConfig;
use crate::config::{self, TokenScope};
use crate::inspect::{self, Filter, Sort};
use crate::purge::{Known, Refused};

/// Rows of an answer, unless asked for otherwise, and at most.
const LIMIT: usize = 50;
const MAX_LIMIT: usize = 1000;

/// A walk costs a thread its time, so few run at once; more of them wait.
static WALKS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Lists what is stored. Whole keys are for those who may purge, and need them.
pub(crate) async fn keys(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let is_whole = shared.allow(TokenScope::Purge, &method, &uri, &headers).is_ok();
    let active = shared.gateway.active.load_full();
    let mut filter = filter(&active, query.as_deref())?;
    filter.hot = shared.gateway.observers.hot_requests();
    let gateway = shared.gateway;
    let list = walk(&WALKS, move || inspect::list(&gateway.cache, &active, &filter)).await;
    let list = list.map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "The store could not be walked over."))?;
    Ok((NO_STORE, Json(if is_whole { list } else { list.masked() })).into_response())
}

/// Runs a walk in a thread, once it has a permit. It keeps that to its end, also if the client that asked for it leaves.
async fn walk<T: Send + 'static>(walks: &Arc<Semaphore>, walk: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // Never closed, so there is always a permit in the end.
    let permit = Arc::clone(walks).acquire_owned().await;
    let walk = move || {
        let _permit = permit;
        walk()
    };
    tokio::task::spawn_blocking(walk).await
}

fn filter(active: &ActiveConfig, query: Option<&str>) -> Result<Filter, Refused> {
    let wrong = |detail: String| Refused::new(StatusCode::BAD_REQUEST, detail);
    let known = Known(active);
    let mut filter = Filter { selections: Vec::new(), sort: Sort::default(), limit: LIMIT, hot: HashMap::new() };
    for (name, value) in parameters(query)? {
        let targets = match &*name {
            "prefix" => Known::prefix(&value),
            "tag" => Known::tag(&value),
            "name" => known.name(&value),
            "route" => known.route(&value),
            "sort" => {
                let hint = || config::nearest_hint(&value, &Sort::WORDS, "there are");
                filter.sort = Sort::of(&value).ok_or_else(|| wrong(format!("sort: `{value}` is no order: {}.", hint())))?;
                continue;
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                filter.limit = limit.ok_or_else(|| wrong(format!("limit: `{value}` is no number from 1 to {MAX_LIMIT}.")))?;
                continue;
            }
            name => return Err(unknown_parameter(name, &["prefix", "tag", "name", "route", "sort", "limit"])),
        };
        let targets = targets.map_err(|why| wrong(format!("{name}: {why}")))?;
        filter.selections.push(Selection::of(&Invalidation { targets, soft: false }));
    }
    Ok(filter)
}

/// Shows what lies under a key or URL; with `?body` the content of the first response, or of that at the place `variant`, which needs the scope
/// `admin` where a token is needed.
pub(crate) async fn entry(
    State(shared): State<Shared>,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let (mut body, mut variant) = (false, None);
    for (name, value) in parameters(query.as_deref())? {
        match &*name {
            "body" if value.is_empty() || value == "true" => body = true,
            "variant" => {
                let wrong = || Refused::new(StatusCode::BAD_REQUEST, format!("variant: `{value}` is no number from 0."));
                variant = Some(value.parse::<usize>().map_err(|_| wrong())?);
            }
            name => return Err(unknown_parameter(name, &["body", "variant"])),
        }
    }
    let active = shared.gateway.active.load_full();
    if body {
        shared.allow(TokenScope::Admin, &method, &uri, &headers)?;
    }
    let found = inspect::find(&shared.gateway.cache, &active, &key)?;
    if !body {
        return Ok((NO_STORE, Json(found.report)).into_response());
    }
    let response = match variant {
        Some(place) => found.responses.get(place).and_then(Option::as_ref),
        None => found.responses.iter().flatten().next(),
    };
    let stored = response.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "No whole response is stored there."))?;
    let body: CacheBody<Body> = shared.gateway.cache.body_of(stored);
    // Content of origins must never run as a page of the admin listener.
    let fields = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let coding = stored.head.headers.get(&header::CONTENT_ENCODING).map(|coding| (header::CONTENT_ENCODING, coding));
    Ok((fields, coding.into_iter().collect::<HeaderMap>(), Body::new(body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_walk_whose_client_has_left_keeps_its_permit_to_its_end() {
        let walks = Arc::new(Semaphore::new(1));
        let (began, beginning) = tokio::sync::oneshot::channel();
        let (end, ending) = std::sync::mpsc::channel::<()>();
        let shared = Arc::clone(&walks);
        let asked = tokio::spawn(async move {
            let walked = walk(&shared, move || {
                began.send(()).expect("the test waits for it");
                ending.recv().expect("the test ends it");
            });
            walked.await
        });
        beginning.await.expect("it has begun");
        asked.abort();
        assert!(asked.await.expect_err("the client has left").is_cancelled());
        assert_eq!(walks.available_permits(), 0);
        end.send(()).expect("it still runs");
        drop(walks.acquire().await.expect("it has ended"));
    }
}
