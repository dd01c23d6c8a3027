//! `[[quotas]]`: what a client may have in a day or a month, and what models cost.

use larder_testkit::client::Response;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Redis, Result};
use serde_json::{Value, json};

use crate::alerts::{Channel, received};
use crate::rate_limits::{assert_refused, left, members, outcome};

const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"Hello"}],"temperature":0}"#;
const ANSWER: &str = r#"{"model":"gpt","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":80,"completion_tokens":20}}"#;
const STREAM: &str = "data: {\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n\
     data: {\"model\":\"gpt\",\"choices\":[],\"usage\":{\"prompt_tokens\":80,\"completion_tokens\":20}}\n\ndata: [DONE]\n\n";

const MODELS: &str =
    "[[routes]]\nname = \"models\"\npath = \"/v1/{*rest}\"\nmethods = [\"POST\"]\nttl = \"1h\"\nread = true\nkey = { body = \"chat\" }\n";

/// A zone in which it is about noon, so that no day ends within a test.
#[expect(clippy::disallowed_methods, reason = "the process that is tested has the system's clock")]
pub(crate) fn zone() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let hour = (seconds % 86_400 / 3600) as i64;
    // The names of the list count to the west.
    format!("timezone = \"Etc/GMT{:+}\"", hour - 12)
}

pub(crate) fn quota(limits: &str, rest: &str) -> String {
    format!("[[quotas]]\nname = \"q\"\n{}\nlimits = [{limits}]\n{rest}\n", zone())
}

/// A prompt, one of its own for each number.
async fn ask(larder: &Larder, number: usize) -> Result<Response> {
    let prompt = CHAT.replace("Hello", &format!("Hello {number}"));
    larder.request("POST", "/v1/chat/completions", &[("Content-Type", "application/json")], &prompt).await
}

async fn models() -> Result<Origin> {
    let origin = Origin::start().await?;
    origin.always("POST", "/v1/chat/completions", Answer::ok().header("Content-Type", "application/json").body(ANSWER));
    Ok(origin)
}

async fn report(larder: &Larder, target: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&larder.admin(target).await?.body)?)
}

async fn charged(larder: &Larder, limit: &str, units: f64) -> Result<()> {
    larder.metric_reaches("larder_limit_charged_total", &[&format!("limit=\"{limit}\"")], units).await
}

#[tokio::test]
async fn a_day_has_so_many_requests_and_ends_for_all_clients_at_once() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("a"));
    let larder = Larder::before(&origin, &quota("{ count = \"requests\", max = 2, per = \"day\" }", "legacy_fields = true")).await?;
    let first = larder.get("/a").await?;
    assert_eq!((first.status, left(&first)), (200, Some(("q.requests.day".to_owned(), 1))));
    let policy = members(first.header("ratelimit-policy").unwrap_or_default());
    assert_eq!(policy, [("q.requests.day".to_owned(), vec![("q".to_owned(), 2), ("w".to_owned(), 86_400)])]);
    let (_, numbers) = members(first.header("ratelimit").unwrap_or_default()).remove(0);
    assert!((36_000..=50_400).contains(&numbers[1].1), "noon is about twelve hours from midnight: {first:?}");
    assert_eq!(first.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    let refused = larder.get("/a").await?;
    assert_refused(&refused);
    let seconds = |name| refused.header(name).and_then(|seconds| seconds.parse::<i64>().ok());
    assert!(seconds("retry-after").zip(seconds("x-ratelimit-reset")).is_some_and(|(wait, reset)| wait == reset), "{refused:?}");
    assert_eq!((outcome(&larder, "q.requests.day", "admitted").await?, outcome(&larder, "q.requests.day", "refused").await?), (2.0, 1.0));
    let limit = &report(&larder, "/limits").await?[0];
    assert_eq!(
        (&limit["name"], &limit["quota"]["name"], &limit["quota"]["per"], &limit["max"]),
        (&json!("q.requests.day"), &json!("q"), &json!("day"), &json!(2))
    );
    assert!(limit["quota"]["ends_at"].as_str().is_some_and(|at| at.ends_with(":00:00.000Z")), "{limit:#}");
    // The quota has one limit, which its own name leads to.
    let client = report(&larder, "/limits/q/127%2E0%2E0%2E1").await?;
    assert_eq!((&client["used"], &client["max"], &client["remaining"]), (&json!(2), &json!(2), &json!(0)));
    let mut admin = Client::connect(larder.admin_address()).await?;
    assert_eq!(admin.exchange("DELETE", "/limits/q/127%2E0%2E0%2E1", &[], "").await?.status, 200);
    assert_eq!(larder.get("/a").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn tokens_are_charged_once_an_answer_has_told_them_and_hits_are_free() -> Result<()> {
    let origin = models().await?;
    let larder = Larder::before(&origin, &format!("{}{MODELS}", quota("{ count = \"tokens\", max = 250, per = \"day\" }", ""))).await?;
    for number in 0..3 {
        let answer = ask(&larder, number).await?;
        assert_eq!((answer.status, left(&answer)), (200, Some(("q.tokens.day".to_owned(), 250 - 100 * number as i64))), "{answer:?}");
        assert!(answer.header("ratelimit-policy").is_some_and(|policy| policy.contains("qu=\"tokens\"")), "{answer:?}");
        charged(&larder, "q.tokens.day", 100.0 * (number + 1) as f64).await?;
        larder.settled().await?;
    }
    let refused = ask(&larder, 3).await?;
    assert_refused(&refused);
    for _ in 0..3 {
        let hit = ask(&larder, 0).await?;
        assert_eq!((hit.status, hit.x_cache(), hit.header("ratelimit")), (200, "HIT", None), "{hit:?}");
    }
    assert_eq!((origin.request_count(), larder.metric("larder_limit_charged_total", &[]).await?), (3, 300.0));
    assert_eq!(report(&larder, "/limits/q/127%2E0%2E0%2E1").await?["used"], json!(300), "the last answer has had more than was left");
    Ok(())
}

/// In streams, in answers with a content coding, and in those that are packed on their way into the store, whatever the API.
#[tokio::test]
async fn tokens_are_read_in_whatever_form_an_answer_has() -> Result<()> {
    let origin = models().await?;
    origin.always("POST", "/v1/streams/chat/completions", Answer::ok().header("Content-Type", "text/event-stream").body(STREAM));
    let own =
        Answer::ok().header("Content-Type", "application/json").body(r#"{"said":"Hi","usage":{"input_tokens":90,"output_tokens":10}}"#);
    origin.always("POST", "/own/api", own);
    let packed = Answer::ok().header("Content-Type", "application/json").header("Cache-Control", "max-age=60").body(ANSWER);
    origin.always("GET", "/packed/v1/chat/completions", packed);
    let silent = Answer::ok().header("Content-Type", "application/json").body(r#"{"said":"Hi"}"#);
    origin.always("POST", "/silent", silent);
    let routes = format!(
        "{MODELS}[[routes]]\npath = \"/packed/{{*rest}}\"\nencodings = [\"gzip\"]\ncompress = {{ min = \"1B\" }}\n[[routes]]\npath = \"/{{*rest}}\"\n"
    );
    let larder = Larder::before(&origin, &format!("{}{routes}", quota("{ count = \"tokens\", max = 1000, per = \"day\" }", ""))).await?;
    let kind = [("Content-Type", "application/json")];
    for (number, (method, target)) in
        [("POST", "/v1/streams/chat/completions"), ("POST", "/own/api"), ("GET", "/packed/v1/chat/completions"), ("POST", "/silent")]
            .into_iter()
            .enumerate()
    {
        let answer =
            larder.request(method, target, &[kind[0], ("Accept-Encoding", "gzip")], if method == "POST" { CHAT } else { "" }).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        charged(&larder, "q.tokens.day", 100.0 * (number + 1).min(3) as f64).await?;
    }
    larder.metric_reaches("larder_limit_silent_total", &[], 1.0).await?;
    assert_eq!(larder.metric("larder_limit_charged_total", &[]).await?, 300.0);
    Ok(())
}

#[tokio::test]
async fn a_cost_is_counted_in_money_and_the_strictest_limit_speaks() -> Result<()> {
    let origin = models().await?;
    // An answer costs 80 * 0.01 + 20 * 0.02 = 1.2.
    let quota = quota(
        "{ count = \"misses\", max = 2, per = \"hour\" }, { count = \"cost\", max = 2.0, per = \"month\" }",
        "price = { input = 0.01, output = 0.02, per = 1 }",
    );
    let larder = Larder::before(&origin, &format!("{quota}{MODELS}")).await?;
    let first = ask(&larder, 0).await?;
    let policies = members(first.header("ratelimit-policy").unwrap_or_default());
    assert_eq!(policies[1], ("q.cost.month".to_owned(), vec![("q".to_owned(), 2_000_000)]), "a month has no length: {first:?}");
    assert_eq!(left(&first), Some(("q.misses.hour".to_owned(), 1)));
    charged(&larder, "q.cost.month", 1.2).await?;
    assert_eq!(ask(&larder, 1).await?.status, 200);
    charged(&larder, "q.cost.month", 2.4).await?;
    assert_refused(&ask(&larder, 2).await?);
    let client = report(&larder, "/limits/q.cost.month/127%2E0%2E0%2E1").await?;
    assert_eq!((&client["used"], &client["max"], &client["remaining"]), (&json!(2.4), &json!(2.0), &json!(0.0)));
    let both = report(&larder, "/limits/q/127%2E0%2E0%2E1").await?;
    assert_eq!((&both["limits"][0]["limit"], &both["limits"][1]["limit"]), (&json!("q.misses.hour"), &json!("q.cost.month")), "{both:#}");
    Ok(())
}

#[tokio::test]
async fn a_quota_outlives_the_process() -> Result<()> {
    let origin = models().await?;
    let folder = tempfile::TempDir::new()?;
    let rest = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"{}\"\n{}{MODELS}",
        folder.path().display(),
        quota("{ count = \"tokens\", max = 150, per = \"month\" }", "")
    );
    let larder = Larder::before(&origin, &rest).await?;
    for number in 0..2 {
        assert_eq!(ask(&larder, number).await?.status, 200);
        charged(&larder, "q.tokens.month", 100.0 * (number + 1) as f64).await?;
    }
    assert_refused(&ask(&larder, 2).await?);
    larder.terminate()?;
    assert!(larder.exited().await?.success());
    let next = Larder::before(&origin, &rest).await?;
    assert_refused(&ask(&next, 2).await?);
    assert_eq!(report(&next, "/limits/q/127%2E0%2E0%2E1").await?["used"], json!(200));
    Ok(())
}

#[tokio::test]
async fn people_are_warned_once_when_a_client_has_used_most_of_a_quota() -> Result<()> {
    let (origin, receiver, redis) = (models().await?, Origin::start().await?, Redis::start().await?);
    receiver.always("POST", "/hook", Answer::new(204));
    let mut heard = Channel::subscribe(&redis, "system:quota_warning").await?;
    let alerts = format!(
        "[store.redis]\nurl = \"redis://{}\"\n[alerts]\nwebhook = \"{}/hook\"\non = [\"quota\"]\n",
        redis.address(),
        receiver.url()
    );
    let quota = quota("{ count = \"tokens\", max = 500, per = \"day\" }", "key = [\"header:authorization\"]");
    let larder = Larder::before(&origin, &format!("{alerts}{quota}{MODELS}")).await?;
    for number in 0..6 {
        let prompt = CHAT.replace("Hello", &format!("Hello {number}"));
        let fields = [("Content-Type", "application/json"), ("Authorization", "Bearer hush")];
        let answer = larder.request("POST", "/v1/chat/completions", &fields, &prompt).await?;
        assert_eq!(answer.status, if number < 5 { 200 } else { 429 }, "{answer:?}");
        charged(&larder, "q.tokens.day", 100.0 * (number + 1).min(5) as f64).await?;
    }
    let message = heard.message().await?;
    assert_eq!((&message["kind"], &message["state"]), (&json!("quota"), &json!("firing")), "{message:#}");
    let told = &message["quota"];
    assert_eq!(
        (&told["name"], &told["limit"], &told["used"], &told["max"]),
        (&json!("q"), &json!("q.tokens.day"), &json!(400), &json!(500))
    );
    assert!(told["key"].as_str().is_some_and(|key| key.starts_with('*')) && !message.to_string().contains("hush"), "{message:#}");
    let hooked = || async { Ok((!received(&receiver).is_empty()).then(|| received(&receiver))) };
    let hooked = eventually("waiting for the webhook", hooked).await?;
    assert_eq!((hooked.len(), &hooked[0].0), (1, &message));
    assert_eq!(larder.metric("larder_limit_warnings_total", &[]).await?, 1.0);
    Ok(())
}
