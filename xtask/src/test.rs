//! `cargo xtask test`: every test there is, with one closing line.

use crate::needs;
use crate::run::{build_folder, cargo, output, succeed, succeed_reading, works};

/// Tests that passed and that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

/// Builds once, runs every test whose name contains one of the filters (all without any), and prints how many passed.
pub(crate) fn run(filters: &[String]) -> Result<(), String> {
    succeed(&mut cargo(&["build", "--workspace", "--all-targets"]))?;
    let binary = build_folder()?.join(format!("larder{}", std::env::consts::EXE_SUFFIX));
    let has_nextest = works(&mut cargo(&["nextest", "--version"]));
    // An older nextest lists in other words.
    let listed = if has_nextest { listed(filters) } else { Err(String::new()) };
    needs::provide(&listed.or_else(|_| listed_by_libtest(filters))?)?;

    let mut tally = Tally::default();
    let mut succeeded = true;
    let runner: &[&str] = if has_nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"]
    } else {
        &["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]
    };
    let mut suites = vec![runner];
    if filters.is_empty() {
        suites.push(&["test", "--workspace", "--doc", "--no-fail-fast"]);
    }
    for suite in suites {
        let mut command = cargo(suite);
        if suite[0] == "test" && !filters.is_empty() {
            command.arg("--");
        }
        // A failed test's own output may hold the other runner's summary.
        let summary = if suite[0] == "nextest" { from_nextest } else { from_libtest };
        command.args(filters).env("LARDER_BIN", &binary);
        succeeded &= succeed_reading(&mut command, |line| tally.add(summary(line)))?;
    }

    println!("{} passed, {} failed", tally.passed, tally.failed);
    if succeeded { Ok(()) } else { Err("some tests failed".to_owned()) }
}

/// The chosen tests, one `BINARY TEST` a line.
fn listed(filters: &[String]) -> Result<String, String> {
    output(cargo(&["nextest", "list", "--workspace", "--message-format", "oneline"]).args(filters))
}

/// As [`listed`], where only cargo's own runner is there: it says which binary it lists on the other stream, so a filter chooses among
/// all of them.
fn listed_by_libtest(filters: &[String]) -> Result<String, String> {
    let packages = ["larder-tests --test e2e", "larder-tests --test demo", "larder-tests --test deploy", "larder-tests --test docs"]
        .into_iter()
        .chain(["larder-benches --test instructions", "larder-redis --test servers"]);
    let mut lines = String::new();
    for package in packages {
        let (name, test) = package.split_once(" --test ").unwrap_or((package, ""));
        let listing = output(cargo(&["test", "--package", name, "--test", test, "--", "--list"]).args(filters))?;
        lines.extend(listing.lines().map(|line| format!("{name}::{test} {line}\n")));
    }
    Ok(lines)
}

impl Tally {
    /// Adds what a summary line says, if it was one.
    fn add(&mut self, summary: Option<Self>) {
        let summary = summary.unwrap_or_default();
        self.passed += summary.passed;
        self.failed += summary.failed;
    }
}

/// `Summary [  0.057s] 18 tests run: 15 passed (1 slow), 2 failed, 1 timed out, 0 skipped`.
fn from_nextest(line: &str) -> Option<Tally> {
    let (before, after) = line.trim().strip_prefix("Summary [")?.split_once(" run: ")?;
    // `15/18 tests` where the run was cut short.
    let count = before.split(']').nth(1)?.split_whitespace().next()?;
    let run: u64 = count.split('/').next()?.parse().ok()?;
    let passed = number_before(after, " passed")?;
    Some(Tally { passed, failed: run.checked_sub(passed)? })
}

/// `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
fn from_libtest(line: &str) -> Option<Tally> {
    let counts = line.trim().strip_prefix("test result: ")?;
    Some(Tally { passed: number_before(counts, " passed")?, failed: number_before(counts, " failed")? })
}

fn number_before(text: &str, word: &str) -> Option<u64> {
    text[..text.find(word)?].rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Tally, from_libtest, from_nextest};

    fn sum(summary: fn(&str) -> Option<Tally>, lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.add(summary(line)));
        tally
    }

    #[test]
    fn summaries_of_nextest_are_added_up() {
        let lines = [
            "     Summary [   0.057s] 18 tests run: 15 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
            "     Summary [   0.057s] 1/4 tests run: 0 passed, 1 failed, 0 skipped",
            "     Summary [   0.057s] 1 test run: 1 passed, 0 skipped",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        assert_eq!(sum(from_nextest, &lines), Tally { passed: 16, failed: 4 });
    }

    #[test]
    fn summaries_of_cargo_test_are_added_up() {
        let lines = [
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "running 5 tests",
            "test passed ... ok",
        ];
        assert_eq!(sum(from_libtest, &lines), Tally { passed: 7, failed: 2 });
    }
}
