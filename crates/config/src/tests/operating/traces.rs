//! `[telemetry.traces]`.

use super::super::{assert_complaint, config};

#[test]
fn traces_go_to_an_endpoint_with_the_fields_that_it_wants() {
    let traces = config("[telemetry.traces]\nendpoint = \"http://127.0.0.1:4318\"").traces.expect("there are traces");
    assert_eq!((traces.endpoint.to_string().as_str(), traces.sample, traces.service.as_str()), ("http://127.0.0.1:4318", 0.01, "larder"));
    let text = "[telemetry.traces]\nendpoint = \"https://otlp.example/x\"\nsample = 1\nservice = \"edge\"\nheaders = { X-Tenant = \"a\" }";
    let traces = config(text).traces.expect("there are traces");
    assert_eq!((traces.sample, traces.service.as_str()), (1.0, "edge"));
    let [(name, value)] = &traces.headers[..] else { panic!("one field") };
    assert_eq!((name.as_str(), value.to_str().ok(), value.is_sensitive()), ("x-tenant", Some("a"), true));
    assert_eq!(traces.link, None);
    let linked = "[telemetry.traces]\nendpoint = \"http://127.0.0.1:4318\"\nlink = \"https://jaeger.example/trace/{trace_id}?x=1\"";
    let link = config(linked).traces.and_then(|traces| traces.link).expect("a link");
    assert_eq!(link.to("4bf9"), "https://jaeger.example/trace/4bf9?x=1");
    assert_eq!(config("").traces, None);
}

#[test]
fn what_is_wrong_is_told() {
    let wrong = |lines: &str, expected: &str| assert_complaint(&format!("[telemetry.traces]\n{lines}"), expected);
    wrong("sample = 0.1", "1:1: error: [telemetry.traces] needs the key `endpoint` (hint: like endpoint = \"http://127.0.0.1:4318\")");
    let endpoint = "endpoint = \"http://127.0.0.1:4318\"\n";
    wrong(&format!("{endpoint}sample = 2"), "3:10: error: `sample` is not a share (hint: from 0.0 to 1.0; 0.2 is a fifth)");
    wrong(&format!("{endpoint}service = \"\""), "3:11: error: `service` is empty (hint: leave it out for \"larder\")");
    let hint = "(hint: like link = \"https://jaeger.example.com/trace/{trace_id}\")";
    for text in ["javascript:alert('{trace_id}')", "/trace/{trace_id}", "{trace_id}"] {
        wrong(&format!("{endpoint}link = \"{text}\""), &format!("3:8: error: `link` is not the URL of a page {hint}"));
    }
    for text in ["https://jaeger.example/", "https://jaeger.example/{trace_id}/{trace_id}"] {
        let expected = format!("3:8: error: `link` has `{{trace_id}}` once, where the ID of a trace stands {hint}");
        wrong(&format!("{endpoint}link = \"{text}\""), &expected);
    }
    wrong(
        &format!("{endpoint}headers = {{ authorization = \"env:LARDER_NO_SUCH\" }}"),
        "3:29: error: the variable LARDER_NO_SUCH is not set (hint: a value in quotes, or where it is: \"env:NAME\", \"file:PATH\")",
    );
}
