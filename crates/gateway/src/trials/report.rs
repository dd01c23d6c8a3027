//! What tests came to, as data: the JSON of `larder test --json`.

use serde::Serialize;

use crate::explain::Explanation;

/// All tests.
#[derive(Debug, Default, Serialize)]
pub(crate) struct TestsReport {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Milliseconds.
    pub(crate) duration_ms: f64,
    /// In the order in which they ran.
    pub(crate) tests: Vec<TestReport>,
}

/// One test.
#[derive(Debug, Serialize)]
pub(crate) struct TestReport {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    /// How many steps it has.
    pub(crate) steps: usize,
    /// Milliseconds.
    pub(crate) duration_ms: f64,
    /// `None`: it has passed.
    pub(crate) failure: Option<TestFailed>,
}

/// The step at which a test has failed; those behind it have not run.
#[derive(Debug, Serialize)]
pub(crate) struct TestFailed {
    /// From 1.
    pub(crate) step: usize,
    pub(crate) line: usize,
    /// What was done.
    pub(crate) what: String,
    pub(crate) differences: Vec<Difference>,
    /// How the request would be answered, from before it was.
    pub(crate) explanation: Option<Box<Explanation>>,
}

/// Something that is not as it was expected to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// The key of the expectation.
    pub(crate) what: String,
    /// Empty where it is no expectation that was written.
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Difference {
    pub(super) fn new(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), found: found.into() }
    }
}

impl TestsReport {
    pub(super) fn of(tests: Vec<TestReport>, duration_ms: f64) -> Self {
        let failed = tests.iter().filter(|test| test.failure.is_some()).count();
        Self { passed: tests.len() - failed, failed, duration_ms, tests }
    }
}
