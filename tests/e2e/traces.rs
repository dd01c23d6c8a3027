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
