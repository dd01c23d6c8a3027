//! Each upstream, asked once.

use larder_semantics::Timestamp;
use larder_tower::Cache;
use larder_tower::clock::Clock;
use serde_json::json;

use super::Finding;
use crate::active::{ActiveConfig, Process};
use crate::config::{AccessLog, Config, Route};
use crate::explain::{ExplainRequest, FetchReport, explain, question};

/// Seconds by which two clocks may differ before lifetimes are wrong by more than anybody notices.
const MAX_SKEW: u32 = 5;

/// Memory for a cache that stores nothing.
const CAPACITY: u64 = 1 << 20;

pub(super) async fn findings(mut config: Config) -> Vec<Finding> {
    let clock = Clock::system();
    let cache = Cache::builder(CAPACITY).clock(clock.clone()).build();
    let names: Vec<String> = config.upstreams.iter().map(|upstream| upstream.name.to_string()).collect();
    let questions: Vec<_> = (0..names.len()).map(|upstream| sample(&config, upstream)).collect();
    // The log and traces are the running gateway's.
    (config.log.access, config.traces) = (AccessLog::Off, None);
    let (access_logs, exporters) = Default::default();
    let process = Process { cache: &cache, clock: &clock, redis: None, access_logs: &access_logs, exporters: &exporters, stand_in: None };
    let active = match ActiveConfig::new(config, &process, None) {
        Ok(active) => active,
        Err(error) => return vec![Finding::error("routes", error.to_string(), "mend the configuration")],
    };
    let mut findings = Vec::new();
    for (name, url) in names.iter().zip(questions) {
        let what = format!("upstream {name}");
        let Some(url) = url else {
            findings.push(Finding::warning(what, "no route for GET leads to it", "leave it out, or write a route for it"));
            continue;
        };
        match ask(&active, &url).await {
            Some(fetched) => findings.extend(judged(&what, &url, &fetched, clock.now())),
            None => findings.push(Finding::good(what, format!("GET {url} passes by the cache, so it was not asked"))),
        }
    }
    findings
}

async fn ask(active: &ActiveConfig, url: &str) -> Option<FetchReport> {
    let request: ExplainRequest = question(&json!({ "url": url, "fetch": true })).ok()?;
    explain(active, request).await.ok()?.fetched
}

/// A URL that a route to this upstream is for.
fn sample(config: &Config, upstream: usize) -> Option<String> {
    let takes_get = |route: &&Route| {
        route.upstream == upstream
            && route.matches.is_none()
            && route.methods.as_ref().is_none_or(|methods| methods.contains(&http::Method::GET))
    };
    let mut routes: Vec<&Route> = config.routes.iter().chain(&config.fallback).filter(takes_get).collect();
    // One whose path is whole tells more than one that has to be made up.
    routes.sort_by_key(|route| route.path.text().contains('{'));
    let route = routes.first()?;
    let path = match route.path.text() {
        path if !path.contains('{') => path.to_owned(),
        path => path[..path.find('{').unwrap_or(0)].to_owned(),
    };
    let host = route.host.as_deref().unwrap_or("localhost");
    Some(format!("http://{host}{path}"))
}

/// What an answer means.
fn judged(what: &str, url: &str, fetched: &FetchReport, now: Timestamp) -> Vec<Finding> {
    if let Some(failure) = &fetched.failure {
        let remedy =
            "is it running, and is `url` (with the port) right? `connect_timeout` and `first_byte_timeout` say how long it may take";
        return vec![Finding::error(what, format!("GET {url}: {failure}"), remedy)];
    }
    let outcome = format!("GET {url} was answered with {} in {} ms", fetched.status, fetched.milliseconds);
    let meaning = fetched.meaning.clone().unwrap_or_default();
    let mut findings = vec![match (fetched.status, fetched.stored) {
        (500.., _) => Finding::error(what, outcome, "the origin's log says why"),
        (_, true) => {
            let lifetime = fetched.lifetime.unwrap_or_default();
            let from = fetched.lifetime_from.as_deref().unwrap_or_default();
            Finding::good(what, format!("{outcome}, which is stored for {lifetime} s ({from})"))
        }
        (404, false) => Finding::good(what, format!("{outcome}; ask `larder explain --fetch` about a URL that it has")),
        (_, false) => {
            let remedy = fetched.advice.clone().unwrap_or_else(|| "`larder explain --fetch` says more".to_owned());
            Finding::warning(what, format!("{outcome}, which is not stored: {meaning}"), remedy)
        }
    }];
    let date = fetched.fields.iter().find(|field| field.name == "date");
    let date = date.and_then(|date| Timestamp::parse_http_date(date.value.as_bytes(), now));
    if let Some(date) = date {
        let skew = date.seconds_since(now).max(now.seconds_since(date));
        if skew > MAX_SKEW {
            let remedy = "synchronise the clocks: ages and lifetimes are counted from `Date`";
            findings.push(Finding::warning("clock", format!("this machine's and that of {what} differ by {skew} s"), remedy));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::explain::FieldReport;

    fn config(text: &str) -> Config {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:1\"\n{text}");
        crate::config::parse("test.toml", text.as_bytes(), &Default::default())
            .unwrap_or_else(|report| panic!("{}", report.render(false)))
            .0
    }

    #[test]
    fn a_sample_is_of_a_route_that_takes_it() {
        assert_eq!(sample(&config(""), 0).as_deref(), Some("http://localhost/"));
        let text = "[[routes]]\npath = \"/issues/{id}\"\n[[routes]]\npath = \"/health\"\nhost = \"a.example\"\n";
        assert_eq!(sample(&config(text), 0).as_deref(), Some("http://a.example/health"));
    }

    #[tokio::test]
    async fn an_upstream_that_is_away_is_an_error_with_a_remedy() {
        let findings = findings(config("")).await;
        assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Error), "{findings:?}");
        assert!(findings[0].remedy.is_some());
    }

    #[test]
    fn a_clock_that_differs_is_told_of() {
        let field = FieldReport { name: "date".to_owned(), value: "Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), effect: String::new() };
        let fetched = FetchReport { status: 200, stored: true, fields: vec![field], ..FetchReport::default() };
        let judged = |now| {
            judged("upstream api", "http://a/", &fetched, Timestamp::from_secs(now))
                .iter()
                .map(|finding| finding.verdict)
                .collect::<Vec<_>>()
        };
        assert_eq!(judged(784_111_777 + 5), [Verdict::Good]);
        assert_eq!(judged(784_111_777 + 60), [Verdict::Good, Verdict::Warning]);
        assert_eq!(judged(784_111_777 - 60), [Verdict::Good, Verdict::Warning]);
    }
}
