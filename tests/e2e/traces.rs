//! Traces, as a collector gets them and as origins are told.

use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::Value;

/// A configuration that traces this share to the collector.
fn traced(origin: &Origin, collector: &str, sample: f64, more: &str) -> String {
    let traces = format!("[telemetry.traces]\nendpoint = \"{collector}\"\nsample = {sample}\n[log]\naccess = \"json\"\n");
    config(&origin.url(), &format!("[cache]\nttl = \"60s\"\n{traces}{more}"))
}

async fn collector() -> Result<Origin> {
    let collector = Origin::start().await?;
    collector.always("POST", "/v1/traces", Answer::ok().body("{}"));
    Ok(collector)
}

/// Every span that the collector has.
fn spans(collector: &Origin) -> Vec<Value> {
    let batches = collector.received().into_iter().filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok());
    let spans = batches.flat_map(|batch| batch["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default());
    spans.collect()
}

/// Waits for a span with this name, and returns all that there are then.
async fn spans_with(collector: &Origin, name: &str) -> Result<Vec<Value>> {
    let found = || async {
        let spans = spans(collector);
        Ok(spans.iter().any(|span| span["name"] == name).then_some(spans))
    };
    eventually(format!("waiting for the span {name}"), found).await
}

fn named<'s>(spans: &'s [Value], name: &str) -> &'s Value {
    spans.iter().find(|span| span["name"] == name).unwrap_or(&Value::Null)
}

fn attribute<'s>(span: &'s Value, key: &str) -> &'s Value {
    let found = span["attributes"].as_array().and_then(|all| all.iter().find(|attribute| attribute["key"] == key));
    found.map_or(&Value::Null, |attribute| &attribute["value"])
}

/// A route for every path, whose name is in the name of a request's span.
const ROUTE: &str = "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"api\"\n";

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_trusted_callers_trace_goes_on_step_by_step_and_to_the_origin() -> Result<()> {
    let (origin, collector) = (Origin::start().await?, collector().await?);
    origin.once("GET", "/a", Answer::ok().body("12345"));
    let route = "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nupstream = \"api\"\n";
    let server = "[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n";
    let larder = Larder::start(&traced(&origin, &collector.url(), 0.0, &format!("{server}{route}"))).await?;
    larder.request("GET", "/a", &[("traceparent", PARENT), ("tracestate", "a=b")], "").await?;
    let spans = spans_with(&collector, "GET all").await?;
    let request = named(&spans, "GET all");
    assert_eq!(request["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!((&request["kind"], &attribute(request, "larder.result")["stringValue"]), (&2.into(), &"MISS".into()));
    for name in ["lookup", "origin", "store"] {
        let span = named(&spans, name);
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736", "{name}: {spans:#?}");
        assert_eq!(span["parentSpanId"], request["spanId"], "{name}");
    }
    let exchange = named(&spans, "origin");
    for name in ["connect", "first byte"] {
        assert_eq!(named(&spans, name)["parentSpanId"], exchange["spanId"], "{name}: {spans:#?}");
    }
    let told = &origin.received()[0];
    let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", exchange["spanId"].as_str().unwrap_or_default());
    assert_eq!((told.header("traceparent"), told.header("tracestate")), (Some(expected.as_str()), Some("a=b")));

    let wanted = "4bf92f3577b34da6a3ce929d0e0e4736";
    larder.process().line("`trace_id`", |line| line.contains(&format!("\"trace_id\":\"{wanted}\"")).then_some(())).await?;
    assert!(larder.admin("/metrics").await?.text().contains(&format!("# {{trace_id=\"{wanted}\"}}")), "an exemplar");
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_not_believed_neither_starts_nor_names_a_trace() -> Result<()> {
    let (origin, collector) = (Origin::start().await?, collector().await?);
    origin.once("GET", "/a", Answer::ok().body("a"));
    let larder = Larder::start(&traced(&origin, &collector.url(), 0.0, "")).await?;
    larder.request("GET", "/a", &[("traceparent", PARENT), ("tracestate", "a=b")], "").await?;
    let told = &origin.received()[0];
    assert_eq!((told.header("traceparent"), told.header("tracestate")), (None, None));
    assert_eq!((larder.metric("larder_trace_spans_total", &[]).await?, collector.request_count()), (0.0, 0));
    Ok(())
}

/// A request that waits for another's fetch shows where that is.
#[tokio::test]
async fn a_wait_is_linked_to_the_leaders_exchange() -> Result<()> {
    let (origin, collector) = (Origin::start().await?, collector().await?);
    origin.once("GET", "/a", Answer::ok().wait("answer").body("a"));
    let larder = Larder::start(&traced(&origin, &collector.url(), 1.0, "")).await?;
    let (mut leader, mut follower) = (larder.connect().await?, larder.connect().await?);
    leader.send("GET", "/a", &[], "").await?;
    origin.wait_for_requests(1).await?;
    follower.send("GET", "/a", &[], "").await?;
    larder.metric_reaches("larder_collapsed_waiting", &[], 1.0).await?;
    origin.gate("answer").open();
    for client in [&mut leader, &mut follower] {
        assert_eq!(client.finish().await?.status, 200);
    }
    let spans = spans_with(&collector, "wait").await?;
    let spans = if named(&spans, "origin").is_null() { spans_with(&collector, "origin").await? } else { spans };
    let (wait, exchange) = (named(&spans, "wait"), named(&spans, "origin"));
    assert_eq!(wait["links"][0]["spanId"], exchange["spanId"]);
    assert_ne!(wait["traceId"], exchange["traceId"]);
    Ok(())
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() -> Result<()> {
    let (origin, mut collector) = (Origin::start().await?, collector().await?);
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "no-store").body("a"));
    let url = collector.url();
    collector.stop().await;
    let larder = Larder::start(&traced(&origin, &url, 1.0, "")).await?;
    for _ in 0..3 {
        assert_eq!(larder.get("/a").await?.status, 200);
    }
    larder.metric_reaches("larder_trace_spans_total", &[r#"outcome="dropped""#], 1.0).await?;
    assert_eq!(larder.get("/a").await?.status, 200);
    Ok(())
}

/// The last spans are not lost with the process.
#[tokio::test]
async fn spans_that_wait_are_sent_before_the_end() -> Result<()> {
    let (origin, collector) = (Origin::start().await?, collector().await?);
    origin.once("GET", "/a", Answer::ok().body("a"));
    let larder = Larder::start(&traced(&origin, &collector.url(), 1.0, "")).await?;
    larder.get("/a").await?;
    larder.terminate()?;
    assert!(larder.exited().await?.success());
    assert!(!named(&spans(&collector), "lookup").is_null());
    Ok(())
}

#[tokio::test]
async fn a_purge_has_a_span() -> Result<()> {
    let (origin, collector) = (Origin::start().await?, collector().await?);
    let larder = Larder::start(&traced(&origin, &collector.url(), 1.0, "")).await?;
    let mut admin = larder_testkit::Client::connect(larder.admin_address()).await?;
    let fields = [("Content-Type", "application/json"), ("Connection", "close")];
    assert_eq!(admin.exchange("POST", "/purge", &fields, r#"{"tags":["a"]}"#).await?.status, 200);
    spans_with(&collector, "purge").await?;
    Ok(())
}

/// A retried request shows each server that was asked, and each server is told of its own span.
#[tokio::test]
async fn each_attempt_has_a_span_of_its_own() -> Result<()> {
    let (busy, other, collector) = (Origin::start().await?, Origin::start().await?, collector().await?);
    busy.always("GET", "/a", Answer::new(503));
    other.always("GET", "/a", Answer::ok().body("a"));
    let upstream = format!(
        "[upstreams.api]\nservers = [\"{}\", {{ url = \"{}\", backup = true }}]\nretry = {{ on = [\"503\"] }}\n",
        busy.url(),
        other.url()
    );
    let traces = format!("[telemetry.traces]\nendpoint = \"{}\"\nsample = 1.0\n{ROUTE}", collector.url());
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nrequest_id = true\n";
    let larder = Larder::start(&config("", &format!("{server}{upstream}{traces}"))).await?;
    let answer = larder.get("/a").await?;
    assert_eq!(answer.status, 200);
    let spans = spans_with(&collector, "GET all").await?;
    let origins: Vec<&Value> = spans.iter().filter(|span| span["name"] == "origin").collect();
    let [first, second] = origins[..] else { panic!("{spans:#?}") };
    for (span, origin, status) in [(first, &busy, "503"), (second, &other, "200")] {
        assert_eq!(attribute(span, "http.response.status_code")["intValue"], status, "{span:#}");
        assert_eq!(span["parentSpanId"], named(&spans, "GET all")["spanId"]);
        let told = origin.received()[0].header("traceparent").unwrap_or_default().to_owned();
        assert!(told.contains(span["spanId"].as_str().unwrap_or("none")), "{told} {span:#}");
    }
    assert_eq!(
        (attribute(first, "http.request.resend_count"), &attribute(second, "http.request.resend_count")["intValue"]),
        (&Value::Null, &"1".into())
    );
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    let mut admin = larder_testkit::Client::connect(larder.admin_address()).await?;
    let asked = format!("{{\"id\":\"{id}\"}}");
    let told = admin.exchange("POST", "/explain", &[("Content-Type", "application/json")], &asked).await?.text();
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!((&told["happened"]["facts"]["attempts"], &told["happened"]["facts"]["upstream_server"]), (&2.into(), &other.url().into()));
    Ok(())
}

/// A tunnel is an exchange like any: its trace goes on, its server is logged, and what a client says of traces does not.
#[tokio::test]
async fn a_tunnel_has_a_span_and_a_server() -> Result<()> {
    let (origin, collector) = (Origin::start().await?, collector().await?);
    let switched = Answer::new(101).header("Connection", "Upgrade").header("Upgrade", "websocket");
    origin.times(2, "GET", "/chat", switched.echo());
    for (sample, told) in [(1.0, true), (0.0, false)] {
        let larder = Larder::start(&traced(&origin, &collector.url(), sample, "")).await?;
        let mut client = larder.connect().await?;
        let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("traceparent", PARENT)];
        client.send("GET", "/chat", &fields, "").await?;
        assert_eq!(client.next_head().await?.status()?, 101);
        client.shut_down_write()?;
        client.closed().await?;
        let line = larder.process().line("its line", |line| line.contains("\"status\":101").then(|| line.to_owned())).await?;
        let line: Value = serde_json::from_str(&line[line.find('{').unwrap_or_default()..])?;
        assert_eq!((&line["upstream_server"], &line["upstream_status"]), (&origin.url().into(), &101.into()), "{line}");
        let received = origin.received();
        let parent = received.last().and_then(|request| request.header("traceparent"));
        assert!(parent.is_some() == told && parent != Some(PARENT), "{parent:?}");
        if told {
            let spans = spans_with(&collector, "origin").await?;
            assert_eq!(attribute(named(&spans, "origin"), "http.response.status_code")["intValue"], "101");
        }
    }
    Ok(())
}

/// Another collector, another share, none at all: nothing of it needs a restart, and the spans that the old collector is owed still reach it.
#[tokio::test]
async fn a_reload_changes_where_spans_go_and_how_many() -> Result<()> {
    let (origin, first, second) = (Origin::start().await?, collector().await?, collector().await?);
    for path in ["/a", "/b", "/c", "/d"] {
        origin.always("GET", path, Answer::ok().body("a"));
    }
    let larder = Larder::start(&traced(&origin, &first.url(), 0.0, ROUTE)).await?;
    let reload = async |config: String, count: f64| {
        // By its change alone: with SIGHUP besides, one file would count twice.
        larder.write_config(&config)?;
        larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], count).await
    };
    larder.get("/a").await?;
    reload(traced(&origin, &first.url(), 1.0, ROUTE), 1.0).await?;
    larder.get("/b").await?;
    reload(traced(&origin, &second.url(), 1.0, ROUTE), 2.0).await?;
    larder.get("/c").await?;
    let paths = |spans: &[Value]| -> Vec<Value> {
        spans.iter().map(|span| attribute(span, "url.path")["stringValue"].clone()).filter(|path| !path.is_null()).collect()
    };
    assert_eq!(paths(&spans_with(&second, "GET all").await?), ["/c"]);
    assert_eq!(paths(&spans_with(&first, "GET all").await?), ["/b"]);
    // A request has six, and those of both collectors are counted together.
    larder.metric_reaches("larder_trace_spans_total", &["outcome=\"exported\""], 7.0).await?;
    reload(config(&origin.url(), "[cache]\nttl = \"60s\""), 3.0).await?;
    larder.get("/d").await?;
    assert_eq!(origin.received().iter().filter(|request| request.header("traceparent").is_some()).count(), 2);
    let told = larder.process().output();
    assert!(!told.iter().any(|line| line.contains("next start") && line.contains("traces")), "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_was_traced_is_explained_with_the_page_of_its_trace() -> Result<()> {
    let (origin, collector) = (Origin::start().await?, collector().await?);
    origin.once("GET", "/a", Answer::ok().body("a"));
    let traces = format!(
        "[telemetry.traces]\nendpoint = \"{}\"\nsample = 1.0\nlink = \"https://jaeger.example/trace/{{trace_id}}\"\n",
        collector.url()
    );
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nrequest_id = true\n";
    let larder = Larder::start(&config(&origin.url(), &format!("{server}{traces}"))).await?;
    let id = larder.get("/a").await?.header("x-request-id").unwrap_or_default().to_owned();
    let page = larder.admin(&format!("/?view=explain&id={id}")).await?.text();
    let link = page.split("href=\"https://jaeger.example/trace/").nth(1).and_then(|rest| rest.get(..32)).unwrap_or_default().to_owned();
    assert!(link.bytes().all(|byte| byte.is_ascii_hexdigit()) && link.len() == 32, "{page}");
    let admin = format!("http://{}", larder.admin_address());
    let mut command = larder_testkit::larder::command()?;
    command.args(["explain", &id, "--admin", &admin]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout);
    for wanted in [format!("https://jaeger.example/trace/{link}"), "for a new connection".to_owned(), "by its server".to_owned()] {
        assert!(text.contains(&wanted), "{wanted} in\n{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(larder.admin("/?view=explain&id=none").await?.text().contains("No request with this id"));
    Ok(())
}
