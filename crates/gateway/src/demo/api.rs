//! The endpoints of the sample backend.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use larder_semantics::Timestamp;
use larder_tower::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Pace;
use super::data::{Draft, Filter, Issue, Issues};
use super::events::Events;

/// Numbers the requests that reached the backend: a response with a number seen before came from the cache.
static SEEN: HeaderName = HeaderName::from_static("x-backend-request");

#[derive(Debug)]
struct Backend {
    issues: Mutex<Issues>,
    pace: Pace,
    clock: Clock,
    requests: AtomicU64,
}

type Shared = State<Arc<Backend>>;

impl Backend {
    fn issues(&self) -> MutexGuard<'_, Issues> {
        self.issues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The whole API over fresh sample data.
pub(super) fn router(pace: Pace) -> Router {
    let backend = Arc::new(Backend { issues: Mutex::new(Issues::sample()), pace, clock: Clock::system(), requests: AtomicU64::new(0) });
    Router::new()
        .route("/", get(index))
        .route("/api/v1/issues", get(list).post(create))
        .route("/api/v1/issues/{id}", get(show).put(replace).patch(change).delete(remove))
        .route("/api/v1/analytics/{*report}", get(analytics))
        .route("/api/v1/search", get(search))
        .route("/api/v1/me", get(me))
        .route("/api/v1/events", get(events))
        .fallback(async || problem(StatusCode::NOT_FOUND, "no such page; / lists what there is"))
        .layer(middleware::from_fn_with_state(Arc::clone(&backend), number))
        .with_state(backend)
}

async fn number(State(backend): Shared, request: Request, next: Next) -> Response {
    let number = backend.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let mut response = next.run(request).await;
    response.headers_mut().insert(SEEN.clone(), HeaderValue::from(number));
    response
}

async fn index() -> Json<Value> {
    Json(json!({
        "name": "Larder's sample backend, slow on purpose",
        "endpoints": {
            "/api/v1/issues?organization=&project=&state=": "list (300 ms, ETag); POST adds one",
            "/api/v1/issues/{id}": "one issue (200 ms, ETag, Last-Modified); PUT, PATCH, DELETE",
            "/api/v1/analytics/{report}": "a report (1 s, Cache-Control: max-age=60)",
            "/api/v1/search?q=": "search (500 ms, Vary: Accept-Language)",
            "/api/v1/me": "whoever Authorization says (100 ms, Cache-Control: private)",
            "/api/v1/events": "server-sent events, one a second",
        }
    }))
}

async fn list(State(backend): Shared, Query(filter): Query<Filter>, headers: HeaderMap) -> Response {
    let etag = backend.issues().etag();
    if is_known(&headers, &etag) {
        backend.pace.take(20).await;
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    backend.pace.take(300).await;
    let issues = backend.issues();
    let found = issues.list(&filter);
    ([(header::ETAG, issues.etag())], Json(json!({ "total": found.len(), "issues": found }))).into_response()
}

async fn create(State(backend): Shared, Json(draft): Json<Draft>) -> Response {
    backend.pace.take(200).await;
    if draft.title.is_none() {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "an issue needs a title");
    }
    let now = backend.now();
    let issue = backend.issues().add(draft, now);
    (StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/issues/{}", issue.id))], one(&issue)).into_response()
}

async fn show(State(backend): Shared, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let Some(issue) = backend.issues().get(id).cloned() else {
        backend.pace.take(200).await;
        return no_issue();
    };
    if is_known(&headers, &issue.etag()) {
        backend.pace.take(20).await;
        return (StatusCode::NOT_MODIFIED, validators(&issue)).into_response();
    }
    backend.pace.take(200).await;
    one(&issue).into_response()
}

async fn replace(State(backend): Shared, Path(id): Path<u64>, Json(draft): Json<Draft>) -> Response {
    if draft.title.is_none() {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "an issue needs a title");
    }
    update(&backend, id, draft).await
}

async fn change(State(backend): Shared, Path(id): Path<u64>, Json(draft): Json<Draft>) -> Response {
    update(&backend, id, draft).await
}

async fn update(backend: &Backend, id: u64, draft: Draft) -> Response {
    backend.pace.take(200).await;
    let now = backend.now();
    let changed = backend.issues().change(id, draft, now);
    changed.map_or_else(no_issue, |issue| one(&issue).into_response())
}

async fn remove(State(backend): Shared, Path(id): Path<u64>) -> Response {
    backend.pace.take(200).await;
    let removed = backend.issues().remove(id);
    removed.map_or_else(no_issue, |_| StatusCode::NO_CONTENT.into_response())
}

async fn analytics(State(backend): Shared, Path(report): Path<String>) -> Response {
    backend.pace.take(1000).await;
    let issues = backend.issues();
    let figures = json!({
        "report": report,
        "by_state": issues.count_by(|issue| &issue.state),
        "by_priority": issues.count_by(|issue| &issue.priority),
        "by_assignee": issues.count_by(|issue| &issue.assignee),
    });
    ([(header::CACHE_CONTROL, "max-age=60")], Json(figures)).into_response()
}

#[derive(Debug, Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

async fn search(State(backend): Shared, Query(search): Query<Search>, headers: HeaderMap) -> Response {
    backend.pace.take(500).await;
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("en");
    let (language, say) = match accepted.get(..2) {
        Some("de") => ("de", "Treffer"),
        Some("fr") => ("fr", "résultats"),
        _ => ("en", "results"),
    };
    let issues = backend.issues();
    let found = issues.search(&search.q);
    let headers = [(header::VARY, "Accept-Language"), (header::CONTENT_LANGUAGE, language)];
    (headers, Json(json!({ "summary": format!("{} {say}", found.len()), "issues": found }))).into_response()
}

/// `Authorization: Bearer NAME` is enough to be NAME: this is a sample, and there is nothing to protect.
async fn me(State(backend): Shared, headers: HeaderMap) -> Response {
    backend.pace.take(100).await;
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(name) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
        let mut response = problem(StatusCode::UNAUTHORIZED, "say who you are: -H 'Authorization: Bearer ada'");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    };
    let issues = backend.issues();
    let mine: Vec<_> = issues.list(&Filter::default()).into_iter().filter(|issue| issue.assignee == name).collect();
    ([(header::CACHE_CONTROL, "private, max-age=30")], Json(json!({ "name": name, "issues": mine }))).into_response()
}

async fn events() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(Events::new())).into_response()
}

/// An issue with its validators.
fn one(issue: &Issue) -> impl IntoResponse {
    (validators(issue), Json(json!(issue)))
}

fn validators(issue: &Issue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::LAST_MODIFIED, issue.last_modified());
    if let Ok(etag) = HeaderValue::try_from(issue.etag()) {
        headers.insert(header::ETAG, etag);
    }
    headers
}

/// Whether the client has what `etag` names (RFC 9110 §13.1.2). Our tags hold no comma.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|known| known.trim().trim_start_matches("W/") == etag)
}

fn no_issue() -> Response {
    problem(StatusCode::NOT_FOUND, "no such issue")
}

/// An error as RFC 9457 has it.
fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({ "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tower_service::Service;

    use super::*;

    struct Api(Router);

    impl Api {
        fn new() -> Self {
            Self(router(Pace::Instant))
        }

        async fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
            let mut request = Request::builder().method(method).uri(target).header("content-type", "application/json");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            self.0.call(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
        }

        async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
            self.send("GET", target, headers, "").await
        }
    }

    fn field<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn json(response: Response) -> Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn a_list_is_filtered_and_validated() {
        let mut api = Api::new();
        let response = api.get("/api/v1/issues?project=p&organization=o", &[]).await;
        let etag = field(&response, "etag").to_owned();
        assert_eq!(json(response).await["total"], 12);
        let revalidated = api.get("/api/v1/issues?project=p&organization=o", &[("if-none-match", &etag)]).await;
        assert_eq!((revalidated.status(), field(&revalidated, "etag")), (StatusCode::NOT_MODIFIED, etag.as_str()));
    }

    #[tokio::test]
    async fn a_write_shows_in_the_next_read_under_another_etag() {
        let mut api = Api::new();
        let before = api.get("/api/v1/issues/7", &[]).await;
        let written = api.send("PATCH", "/api/v1/issues/7", &[], r#"{"state":"closed"}"#).await;
        assert_eq!(written.status(), StatusCode::OK);
        let after = api.get("/api/v1/issues/7", &[("if-none-match", field(&before, "etag"))]).await;
        assert_eq!(after.status(), StatusCode::OK);
        assert_ne!(field(&after, "last-modified"), field(&before, "last-modified"));
        assert_eq!(json(after).await["state"], "closed");
    }

    #[tokio::test]
    async fn an_issue_can_be_made_and_deleted() {
        let mut api = Api::new();
        let made = api.send("POST", "/api/v1/issues", &[], r#"{"title":"New"}"#).await;
        assert_eq!((made.status(), field(&made, "location")), (StatusCode::CREATED, "/api/v1/issues/49"));
        assert_eq!(api.send("POST", "/api/v1/issues", &[], "{}").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(api.send("DELETE", "/api/v1/issues/49", &[], "").await.status(), StatusCode::NO_CONTENT);
        assert_eq!(api.get("/api/v1/issues/49", &[]).await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn search_speaks_the_client_s_language_and_says_that_it_varies() {
        let mut api = Api::new();
        let german = api.get("/api/v1/search?q=refund", &[("accept-language", "de-AT,en;q=0.5")]).await;
        assert_eq!((field(&german, "vary"), field(&german, "content-language")), ("Accept-Language", "de"));
        assert_eq!(json(german).await["summary"], "4 Treffer");
    }

    #[tokio::test]
    async fn a_page_of_one_s_own_is_private_and_needs_a_name() {
        let mut api = Api::new();
        let ada = api.get("/api/v1/me", &[("authorization", "Bearer ada")]).await;
        assert_eq!(field(&ada, "cache-control"), "private, max-age=30");
        assert_eq!(json(ada).await["name"], "ada");
        assert_eq!(api.get("/api/v1/me", &[]).await.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn every_answer_tells_the_number_of_its_request() {
        let mut api = Api::new();
        for number in ["1", "2"] {
            assert_eq!(field(&api.get("/api/v1/analytics/weekly", &[]).await, "x-backend-request"), number);
        }
        assert_eq!(field(&api.get("/nowhere", &[]).await, "x-backend-request"), "3");
    }
}
