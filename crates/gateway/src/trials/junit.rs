//! JUnit's XML, which every CI shows.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::report::{TestFailed, TestReport, TestsReport};

/// The report as JUnit has it: a suite for each file.
pub(crate) fn junit(report: &TestsReport) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts =
        |tests: usize, failed: usize, ms: f64| format!("tests=\"{tests}\" failures=\"{failed}\" errors=\"0\" time=\"{:.6}\"", ms / 1000.0);
    let _ = writeln!(xml, "<testsuites name=\"larder\" {}>", counts(report.tests.len(), report.failed, report.duration_ms));
    for tests in report.tests.chunk_by(|one, other| one.file == other.file) {
        let failed = tests.iter().filter(|test| test.failure.is_some()).count();
        let time = tests.iter().map(|test| test.duration_ms).sum();
        let file = text(&tests[0].file);
        let _ = writeln!(xml, "  <testsuite name=\"{file}\" {}>", counts(tests.len(), failed, time));
        tests.iter().for_each(|test| put(&mut xml, test));
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn put(xml: &mut String, test: &TestReport) {
    let (name, file, time) = (text(&test.name), text(&test.file), test.duration_ms / 1000.0);
    let _ = write!(xml, "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{}\" time=\"{time:.6}\"", test.line);
    let Some(failed) = &test.failure else {
        xml.push_str("/>\n");
        return;
    };
    let _ = writeln!(
        xml,
        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
        text(&message(failed)),
        text(&details(test, failed))
    );
}

fn message(failed: &TestFailed) -> String {
    let first = failed.differences.first().map(|difference| format!(": {} is {}", difference.what, difference.found)).unwrap_or_default();
    format!("step {}{first}", failed.step)
}

fn details(test: &TestReport, failed: &TestFailed) -> String {
    let mut details = format!("{}:{}: {}\n", test.file, failed.line, failed.what);
    for difference in &failed.differences {
        let _ = writeln!(details, "{}: expected {}, found {}", difference.what, difference.expected, difference.found);
    }
    details
}

/// Escaped, and without characters that XML cannot have (XML 1.0 §2.2).
fn text(text: &str) -> String {
    let is_char =
        |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let known: String = text.chars().map(|character| if is_char(character) { character } else { '\u{fffd}' }).collect();
    escape(known.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::report::Difference;
    use super::*;

    #[test]
    fn a_failure_stands_in_its_suite_and_nothing_breaks_the_xml() {
        let test = |file: &str, failure| TestReport {
            name: "a < \"b\" & \u{1}".to_owned(),
            file: file.to_owned(),
            line: 3,
            steps: 1,
            duration_ms: 2.0,
            failure,
        };
        let difference = Difference::new("result", "hit", "miss");
        let failed = TestFailed { step: 2, line: 5, what: "GET <a>".to_owned(), differences: vec![difference], explanation: None };
        let xml = junit(&TestsReport::of(vec![test("a.toml", None), test("b.toml", Some(failed))], 4.0));
        assert!(xml.contains("<testsuites name=\"larder\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"0.004000\">"), "{xml}");
        assert!(xml.contains("<testsuite name=\"b.toml\" tests=\"1\" failures=\"1\""), "{xml}");
        assert!(
            xml.contains(
                "<testcase name=\"a &lt; &quot;b&quot; &amp; \u{fffd}\" classname=\"a.toml\" file=\"a.toml\" line=\"3\" time=\"0.002000\"/>"
            ),
            "{xml}"
        );
        assert!(
            xml.contains(
                "<failure message=\"step 2: result is miss\">b.toml:5: GET &lt;a&gt;\nresult: expected hit, found miss\n</failure>"
            ),
            "{xml}"
        );
    }
}
