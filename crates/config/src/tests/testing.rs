//! `[[tests]]` and files of tests.

use super::{assert_complaint, complaints, config};
use crate::model::{FieldExpectation, TestAction, TestContent, TestFailure, TestFile, TestResult};
use crate::test_file;

/// A test with this step.
fn with(step: &str) -> String {
    format!("[[tests]]\nname = \"it holds\"\nsteps = [{step}]")
}

#[track_caller]
fn in_step(step: &str, expected: &str) {
    let lines = complaints(&with(&format!("\n{step}\n")));
    assert_eq!(lines, [format!("config.toml:{expected}")]);
}

#[test]
fn a_step_is_read_with_its_request_its_answer_and_what_is_expected() {
    let step = r#"{ wait = "61s", post = "/a?b=1", headers = { x-a = ["1", "2"] }, body = "{}", client = "10.0.0.7",
        answer = { status = 201, headers = { location = "/a/7" }, body = "7", takes = "2s" },
        expect = { result = "bypass", reason = "method", age = 1, ttl = "1m", headers = { vary = "a", age = false, date = true }, purges = ["tag:a:7", "all"] } }"#;
    let config = config(&with(&step.replace('\n', " ")));
    let step = &config.tests[0].steps[0];
    let TestAction::Request(request) = &step.action else { panic!("{step:?}") };
    assert_eq!((request.method.as_str(), request.url.to_string()), ("POST", "http://localhost/a?b=1".to_owned()));
    assert_eq!((request.headers.get_all("x-a").iter().count(), request.client.to_string()), (2, "10.0.0.7".to_owned()));
    assert_eq!(step.wait.as_secs(), 61);
    let answer = step.answer.as_ref().expect("an answer");
    assert!(matches!(&answer.content, TestContent::Response { status, body, .. } if status.as_u16() == 201 && body == "7"));
    let expect = &step.expect;
    assert_eq!((expect.result, expect.age, expect.ttl), (Some(TestResult::Bypass), Some(1), Some(60)));
    let expected = |name: &str| expect.headers.iter().find(|(own, _)| own == name).map(|(_, expected)| expected.clone());
    assert_eq!(expected("age"), Some(FieldExpectation::Absent));
    assert_eq!(expected("date"), Some(FieldExpectation::Present));
    assert_eq!(expected("vary"), Some(FieldExpectation::Lines(vec!["a".to_owned()])));
    let purges: Vec<String> = expect.purges.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(purges, ["tag:a:7", "all"]);
}

#[test]
fn paths_belong_to_the_host_of_the_test_or_of_all_routes() {
    let url = |text: &str| match &config(text).tests[0].steps[0].action {
        TestAction::Request(request) => request.url.to_string(),
        other => panic!("{other:?}"),
    };
    let routes = "[[routes]]\npath = \"/a\"\nhost = \"a.example\"\n";
    assert_eq!(url(&with("{ get = \"/a\" }")), "http://localhost/a");
    assert_eq!(url(&format!("{routes}{}", with("{ get = \"/a\" }"))), "http://a.example/a");
    assert_eq!(url(&with("{ get = \"/a\" }").replace("steps", "host = \"b.example\"\nsteps")), "http://b.example/a");
    assert_eq!(url(&with("{ request = \"PROPFIND https://c.example/a\" }")), "https://c.example/a");
}

#[test]
fn an_origin_may_fail_and_time_may_pass_alone() {
    let config = config(&with("{ get = \"/a\", answer = { fails = \"timeout\" } }, { wait = \"1h\" }, { purge = [\"tag:a\"] }"));
    let steps = &config.tests[0].steps;
    let content = steps[0].answer.as_ref().map(|answer| &answer.content);
    assert_eq!(content, Some(&TestContent::Failure(TestFailure::Timeout)));
    assert_eq!(steps[1].action, TestAction::Wait);
    assert!(matches!(steps[2].action, TestAction::Purge(_)));
}

#[test]
fn a_mistake_in_a_step_has_its_line_and_a_hint() {
    for (step, expected) in [
        ("{ get = \"/a\", expects = {} }", "4:15: error: unknown key `expects` in [[tests.steps]] (hint: did you mean `expect`?)"),
        ("{ get = \"/a\", assert = {} }", "4:15: error: unknown key `assert` in [[tests.steps]] (hint: that is `expect` here)"),
        ("{ get = \"a\" }", "4:9: error: `a` is nothing to ask for (hint: a path that begins with `/`, or a URL with http or https)"),
        ("{ }", "4:1: error: the step does nothing (hint: say what is asked for: get = \"/a\", or let time pass: wait = \"61s\")"),
        (
            "{ get = \"/a\", put = \"/b\" }",
            "4:1: error: a step is one request, and this one has `get` and `put` (hint: make two steps of it)",
        ),
        (
            "{ get = \"/a\", purge = [\"all\"] }",
            "4:1: error: a step is a request, a purge or an event, and only one of them (hint: make two steps of it)",
        ),
        ("{ request = \"get/a\" }", "4:13: error: `get/a` is no request (hint: a method and a URL: \"PROPFIND /a\")"),
        ("{ get = \"/a\", client = \"me\" }", "4:24: error: `me` is no address (hint: like \"10.0.0.7\" or \"2001:db8::7\")"),
        (
            "{ get = \"/a\", expect = { result = \"hitt\" } }",
            "4:35: error: `hitt` is not a value of `result` (hint: did you mean \"hit\"?)",
        ),
        (
            "{ get = \"/a\", expect = { reason = \"stael\" } }",
            "4:35: error: `stael` is the word for no decision (hint: did you mean \"stale\"?)",
        ),
        ("{ get = \"/a\", expect = { route = \"x\" } }", "4:34: error: there is no route `x` (hint: there are: `default`)"),
        (
            "{ get = \"/a\", expect = { purges = [\"tga:a\"] } }",
            "4:36: error: `tga:a` is nothing that a purge names (hint: did you mean `tag`?; like \"tag:issue:7\")",
        ),
        (
            "{ get = \"/a\", expect = { purges = [\"tag:\"] } }",
            "4:36: error: `tag:` is nothing that a purge names (hint: say which: \"tag:…\")",
        ),
        (
            "{ get = \"/a\", expect = { headers = { vary = 1 } } }",
            "4:45: error: `vary` of `headers` cannot be an integer (hint: expected a string, a list of strings, true for any value, or false for none)",
        ),
        (
            "{ get = \"/a\", headers = { host = \"b\" } }",
            "4:27: error: `host` is not the test's to say (hint: a whole URL names the host; `body` has the content)",
        ),
        ("{ get = \"/a\", answer = { status = 99 } }", "4:35: error: `99` is out of range for `status` (hint: from 200 to 599)"),
        (
            "{ get = \"/a\", answer = { status = 200, fails = \"timeout\" } }",
            "4:48: error: an origin that fails has no `status` (hint: leave out one of them)",
        ),
        (
            "{ wait = \"1s\", expect = { status = 200 } }",
            "4:1: error: nothing comes of waiting alone (hint: add the request to the same step: { wait = \"61s\", get = \"/a\", expect = … })",
        ),
        (
            "{ wait = \"1s\", body = \"a\" }",
            "4:1: error: `body` is about a request, and the step has none (hint: add one, like get = \"/a\")",
        ),
    ] {
        in_step(step, expected);
    }
}

#[test]
fn a_step_may_be_an_event_that_the_configuration_knows() {
    let on_event = "[[on_event]]\ntype = \"issue.moved\"\npurge = [\"url:http://localhost/issues/{id}\"]\n";
    let config = config(&format!("{on_event}{}", with("{ event = { type = \"issue.moved\", id = 7, ratio = 0.5, project = \"p\" } }")));
    let TestAction::Event(event) = &config.tests[0].steps[0].action else { panic!("{:?}", config.tests) };
    assert_eq!(event.kind, "issue.moved");
    assert_eq!(event.message, serde_json::json!({ "type": "issue.moved", "id": 7, "ratio": 0.5, "project": "p" }));
    for (step, expected) in [
        (
            "{ event = { type = \"issue.mved\" } }",
            "7:20: error: no [[on_event]] is for the type `issue.mved` (hint: did you mean `issue.moved`?)",
        ),
        (
            "{ event = { id = 7 } }",
            "7:11: error: [tests.steps.event] needs the key `type` (hint: like type = \"issue.moved\", as [[on_event]] has it)",
        ),
        (
            "{ event = { type = \"issue.moved\", id = [7] } }",
            "7:40: error: `id` of `event` cannot be a list (hint: expected a string or a number)",
        ),
        (
            "{ event = { type = \"issue.moved\" }, expect = { status = 200 } }",
            "7:1: error: of a purge or an event only `purges` can be expected (hint: what clients get then is for the next step to ask)",
        ),
        (
            "{ event = { type = \"issue.moved\" }, client = \"10.0.0.7\" }",
            "7:1: error: `client` is about a request, and the step has none (hint: add one, like get = \"/a\")",
        ),
        (
            "{ event = { type = \"issue.moved\" }, purge = [\"all\"] }",
            "7:1: error: a step is a request, a purge or an event, and only one of them (hint: make two steps of it)",
        ),
    ] {
        let lines = complaints(&format!("{on_event}{}", with(&format!("\n{step}\n"))));
        assert_eq!(lines, [format!("config.toml:{expected}")]);
    }
    in_step("{ event = { type = \"a\" } }", "4:20: error: no [[on_event]] is for the type `a` (hint: there is no [[on_event]])");
}

#[test]
fn a_test_has_a_name_of_its_own_and_steps() {
    assert_complaint(
        "[[tests]]\nsteps = [{ get = \"/a\" }]",
        "1:1: error: [[tests]] needs the key `name` (hint: like name = \"a write drops the board\": reports know the test by it)",
    );
    assert_complaint(
        "[[tests]]\nname = \"a\"\nsteps = []",
        "1:1: error: the test has no steps (hint: each is a request: { get = \"/a\" })",
    );
    let two = format!("{}\n{}", with("{ get = \"/a\" }"), with("{ get = \"/b\" }"));
    assert_complaint(&two, "5:8: error: there are two tests called `it holds` (hint: give each its own name)");
}

#[test]
fn a_file_of_tests_has_nothing_else_and_knows_the_routes() {
    let config = config("[[routes]]\nname = \"board\"\npath = \"/a\"\nhost = \"a.example\"");
    let parse = |text: &str| test_file::parse("a.larder-test.toml", text.as_bytes(), &config);
    let file: TestFile = parse(&with("{ get = \"/a\", expect = { route = \"board\" } }")).expect("it is right");
    assert_eq!((file.path(), file.line(&file.tests[0].steps[0].place)), ("a.larder-test.toml", 3));
    for (text, expected) in [
        (with("{ get = \"/a\", expect = { route = \"bord\" } }"), "3:43: error: there is no route `bord` (hint: did you mean `board`?)"),
        ("[cache]\nttl = \"5m\"".to_owned(), "1:2: error: unknown key `cache` in the file (hint: keys here: `tests`)"),
    ] {
        let lines: Vec<String> = parse(&text).expect_err("it is wrong").lines().collect();
        assert_eq!(lines, [format!("a.larder-test.toml:{expected}")]);
    }
}

#[test]
fn the_values_in_force_leave_tests_out() {
    let effective = config(&with("{ get = \"/a\", headers = { authorization = \"Bearer a\" } }")).effective();
    assert!(effective.sections.iter().all(|section| !section.name.contains("tests")));
}
