//! `POST /warm`, `GET /warm` and `DELETE /warm/{job}`: what is fetched before anybody asks for it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::Shared;
use super::purge::{json_only, read};
use crate::config::{WarmBase, WarmJob, WarmSource};
use crate::purge::Refused;

/// Bytes of a question: names of jobs, or some thousand URLs.
const MAX_BODY: usize = 1 << 20;

/// The most requests at a time that a question may ask for.
const MAX_CONCURRENCY: usize = 256;

/// The question of `POST /warm`: jobs of the configuration, or URLs that are fetched once.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The names of the jobs; none for all, unless there are URLs.
    #[serde(default)]
    jobs: Vec<String>,
    #[serde(default)]
    urls: Vec<String>,
    sitemap: Option<String>,
    concurrency: Option<usize>,
    /// Nothing is fetched: what would be is counted.
    #[serde(default)]
    dry_run: bool,
}

/// Every job as it stands now: those of the configuration in force, and the last ones that were asked for once.
pub(super) async fn jobs(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(shared.gateway.jobs.report()))
}

/// Runs jobs now. They go on when this is answered.
pub(super) async fn warm(State(shared): State<Shared>, request: Request) -> Response<Body> {
    answer(&shared, request).await.unwrap_or_else(|refused| refused.into_response())
}

/// Ends the run of a job that is under way.
pub(super) async fn stop(State(shared): State<Shared>, Path(name): Path<String>) -> Result<impl IntoResponse, Refused> {
    let report = shared.gateway.jobs.stop(&name).ok_or_else(|| unknown(&name))?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(report)))
}

fn unknown(name: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, format!("There is no job {name} in [[warm]]."))
}

async fn answer(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    json_only(&parts.headers)?;
    let body = read(body, MAX_BODY).await?;
    let wrong = |error| {
        let form = "{\"jobs\": [\"NAME\", …]} or {\"urls\": [\"https://…\", …], \"sitemap\": \"https://…\"}";
        Refused::new(StatusCode::BAD_REQUEST, format!("The body is not {form}: {error}."))
    };
    let question: Question = serde_json::from_slice(&body).map_err(wrong)?;
    let jobs = &shared.gateway.jobs;
    let reports = match once(&question)? {
        Some(job) => vec![jobs.start_once(job, question.dry_run)],
        None => jobs.start(&question.jobs, question.dry_run).map_err(|name| unknown(&name))?,
    };
    Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(reports)).into_response())
}

/// The job that fetches the URLs of a question, where it has some.
fn once(question: &Question) -> Result<Option<WarmJob>, Refused> {
    let wrong = |detail: String| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let base = WarmBase { scheme: "http", host: None };
    let whole = |text: &String| -> Result<Uri, Refused> {
        base.url(text).ok_or_else(|| wrong(format!("`{text}` is not a whole URL with http or https, like http://example.com/a?b=1.")))
    };
    let urls = question.urls.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    let sitemap = question.sitemap.as_ref().map(whole).transpose()?.map(WarmSource::Sitemap);
    let sources: Vec<WarmSource> = (!urls.is_empty()).then_some(WarmSource::Urls(urls)).into_iter().chain(sitemap).collect();
    if sources.is_empty() {
        return Ok(None);
    }
    if !question.jobs.is_empty() {
        return Err(wrong("Jobs have their own URLs: ask for one or the other.".to_owned()));
    }
    let mut job = WarmJob::once("asked", sources, base.clone());
    if let Some(concurrency) = question.concurrency {
        if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
            return Err(wrong(format!("concurrency: {concurrency} is not from 1 to {MAX_CONCURRENCY}.")));
        }
        job.concurrency = concurrency;
    }
    Ok(Some(job))
}
