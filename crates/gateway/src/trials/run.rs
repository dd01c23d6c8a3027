//! The run of all tests.

use larder_tower::Invalidation;
use larder_tower::clock::monotonic;

use super::compare::{compare, compare_purges};
use super::purges;
use super::report::{Difference, TestFailed, TestReport, TestsReport};
use super::stage::{Stage, settle};
use super::step;
use crate::active::SetupError;
use crate::config::{Config, Test, TestAction, TestEvent, TestExpectations, TestFile, TestStep};
use crate::purge::{Refused, USUAL_WAIT, event, purge};

/// Runs the tests of these files whose names have the filter in them, one after the other. It takes a runtime of one thread that is used for nothing
/// else.
pub(crate) async fn run(config: &Config, files: &[TestFile], filter: Option<&str>) -> Result<TestsReport, SetupError> {
    let (began, mut reports) = (monotonic(), Vec::new());
    for file in files {
        for test in file.tests.iter().filter(|test| filter.is_none_or(|filter| test.name.contains(filter))) {
            let stage = Stage::new(config.clone())?;
            let began = monotonic();
            let failure = play(&stage, file, test).await;
            reports.push(TestReport {
                name: test.name.clone(),
                file: file.path().to_owned(),
                line: file.line(&test.place),
                steps: test.steps.len(),
                duration_ms: milliseconds(began),
                failure,
            });
        }
    }
    Ok(TestsReport::of(reports, milliseconds(began)))
}

fn milliseconds(since: std::time::Instant) -> f64 {
    monotonic().saturating_duration_since(since).as_secs_f64() * 1000.0
}

/// Plays a test up to the first step that fails: those behind it would fail because of that.
async fn play(stage: &Stage, file: &TestFile, test: &Test) -> Option<TestFailed> {
    for (index, step) in test.steps.iter().enumerate() {
        stage.hand.advance_by(step.wait);
        let outcome = take(stage, test, step).await;
        if !outcome.differences.is_empty() {
            return Some(TestFailed { step: index + 1, line: file.line(&step.place), ..outcome });
        }
    }
    None
}

async fn take(stage: &Stage, test: &Test, step: &TestStep) -> TestFailed {
    let outcome = |what: String, differences| TestFailed { step: 0, line: 0, what, differences, explanation: None };
    match &step.action {
        TestAction::Wait => outcome("wait".to_owned(), Vec::new()),
        TestAction::Purge(words) => {
            let words_of_it: Vec<String> = words.iter().map(ToString::to_string).collect();
            let what = format!("purge {}", words_of_it.join(", "));
            let invalidation = purges::invalidation(&stage.active, words, host_of(test));
            outcome(what, carry_out(stage, test, &step.expect, "purge", invalidation).await)
        }
        TestAction::Event(TestEvent { kind, message }) => {
            let invalidation = event::targets(&stage.active, message).map(Invalidation::hard);
            outcome(format!("event {kind}"), carry_out(stage, test, &step.expect, "event", invalidation).await)
        }
        TestAction::Request(request) => {
            let what = format!("{} {}", request.method, request.url);
            match step::ask(stage, request, step.answer.as_ref()).await {
                Ok(seen) => {
                    let differences = compare(&stage.active, request, &step.expect, &seen);
                    TestFailed { explanation: Some(seen.explanation), ..outcome(what, differences) }
                }
                Err(refused) => outcome(what, vec![Difference::new("request", "", refused.detail)]),
            }
        }
    }
}

/// Purges, and compares what that came to with what is expected of it.
async fn carry_out(
    stage: &Stage,
    test: &Test,
    expect: &TestExpectations,
    what: &str,
    invalidation: Result<Invalidation, Refused>,
) -> Vec<Difference> {
    let invalidation = match invalidation {
        Ok(invalidation) => invalidation,
        Err(refused) => return vec![Difference::new(what, "", refused.detail)],
    };
    let _ = purge(&stage.cache, &invalidation, USUAL_WAIT).await;
    settle().await;
    let (found, host) = (stage.purges.take(), host_of(test));
    compare_purges(&stage.active, expect, host, &purges::words(&found, host.1))
}

/// The scheme and host of a test's requests.
fn host_of(test: &Test) -> (&str, &str) {
    let url = test.steps.iter().find_map(|step| match &step.action {
        TestAction::Request(request) => Some(&request.url),
        TestAction::Wait | TestAction::Purge(_) | TestAction::Event(_) => None,
    });
    let host = url.and_then(|url| Some((url.scheme_str()?, url.authority()?.as_str())));
    host.unwrap_or(("http", "localhost"))
}
