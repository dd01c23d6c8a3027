//! `[spending]`: what models have cost and what stored answers have saved, by route, client and model.

use larder_testkit::client::Response;
use larder_testkit::larder::command;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::{Value, json};

use crate::quotas::zone;

const ANSWER: &str = r#"{"model":"gpt-4o","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":80,"completion_tokens":20}}"#;

/// An answer costs 80 * 0.01 + 20 * 0.02 = 1.2.
const CONFIG: &str = r#"
[prices]
"gpt*" = { input = 10000, output = 20000 }
[[quotas]]
name = "llm"
key = ["header:x-team"]
limits = [{ count = "tokens", max = 1000000, per = "day" }, { count = "cost", max = 1000.0, per = "month" }]
[[routes]]
name = "models"
path = "/v1/{*rest}"
methods = ["POST"]
ttl = "1h"
read = true
key = { body = "chat" }
share = "everyone"
[[routes]]
name = "rest"
path = "/{*rest}"
"#;

pub(crate) fn config(rest: &str) -> String {
    format!("{rest}\n[spending]\n{}\n{CONFIG}", zone())
}

pub(crate) async fn origin() -> Result<Origin> {
    let origin = Origin::start().await?;
    origin.always("POST", "/v1/chat/completions", Answer::ok().header("Content-Type", "application/json").body(ANSWER));
    Ok(origin)
}

/// A prompt of a team.
async fn ask(larder: &Larder, team: &str, prompt: &str) -> Result<Response> {
    let body = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{prompt}"}}],"temperature":0}}"#);
    let answer = larder.request("POST", "/v1/chat/completions", &[("Content-Type", "application/json"), ("X-Team", team)], &body).await?;
    larder.settled().await?;
    Ok(answer)
}

/// `GET /spending` once so many answers are counted in the month.
async fn spending(larder: &Larder, target: &str, spent: u64, saved: u64) -> Result<Value> {
    let counted = || async {
        let report: Value = serde_json::from_slice(&larder.admin(target).await?.body)?;
        let month = &report["windows"][1];
        let count = |outcome: &str| month[outcome]["answers"].as_u64().unwrap_or_default();
        Ok(((count("spent"), count("saved")) == (spent, saved)).then_some(report))
    };
    eventually("waiting for what was spent", counted).await
}

/// What the command line says of this gateway.
fn printed(larder: &Larder, arguments: &[&str]) -> Result<String> {
    let output = command()?.args(arguments).args(["--admin", &larder.admin_address().to_string()]).env_remove("LARDER_TOKEN").output()?;
    assert!(output.status.success(), "larder {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rows of a kind as name, and what was spent and saved.
fn rows(window: &Value, kind: &str, name: &str) -> Vec<(String, f64, f64)> {
    let price = |row: &Value, outcome: &str| row[outcome]["price"].as_f64().unwrap_or_default();
    let rows = window[kind].as_array().into_iter().flatten();
    rows.map(|row| (row[name].as_str().unwrap_or_default().to_owned(), price(row, "spent"), price(row, "saved"))).collect()
}

#[tokio::test]
async fn what_was_spent_and_saved_is_told_by_route_client_and_model() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &config("")).await?;
    assert_eq!(ask(&larder, "blue", "one").await?.x_cache(), "MISS");
    assert_eq!(ask(&larder, "blue", "two").await?.x_cache(), "MISS");
    assert_eq!(ask(&larder, "green", "one").await?.x_cache(), "HIT", "blue has paid for it, and green saves it");
    let report = spending(&larder, "/spending", 2, 1).await?;
    for window in report["windows"].as_array().into_iter().flatten() {
        assert_eq!(rows(window, "routes", "route"), [("models".to_owned(), 2.4, 1.2)], "{report:#}");
        assert_eq!(rows(window, "clients", "client"), [("blue".to_owned(), 2.4, 0.0), ("green".to_owned(), 0.0, 1.2)]);
        assert_eq!(rows(window, "models", "model"), [("gpt-4o".to_owned(), 2.4, 1.2)]);
        assert_eq!((&window["spent"]["input"], &window["spent"]["output"]), (&json!(160), &json!(40)));
    }
    let green = spending(&larder, "/spending?client=green&limit=1", 0, 1).await?;
    assert_eq!(rows(&green["windows"][0], "rows", "model"), [("gpt-4o".to_owned(), 0.0, 1.2)]);
    let wrong = larder.admin("/spending?key=green").await?;
    assert!(wrong.status == 400 && wrong.text().contains("`client`"), "{}", wrong.text());
    let stats: Value = serde_json::from_slice(&larder.admin("/stats").await?.body)?;
    assert_eq!(stats["spending"]["windows"][1]["saved"]["price"], json!(1.2), "{stats:#}");
    for window in ["window=\"day\"", "window=\"month\""] {
        let saved = [window, "outcome=\"saved\""];
        assert_eq!(larder.metric("larder_spending_price", &[window, "model=\"gpt-4o\"", "outcome=\"spent\""]).await?, 2.4);
        assert_eq!(larder.metric("larder_spending_tokens", &[saved[0], saved[1], "direction=\"input\""]).await?, 80.0);
        assert_eq!(larder.metric("larder_spending_client_price", &[saved[0], saved[1], "client=\"green\""]).await?, 1.2);
        assert_eq!(larder.metric("larder_spending_client_tokens", &[window, "outcome=\"spent\"", "client=\"blue\""]).await?, 200.0);
    }
    let limits = printed(&larder, &["limits"])?;
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned).unwrap_or_default();
    let cells = |text: &str, name: &str| line(text, name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(&limits, "green"), ["green", "0", "0", "–", "1", "100", "1.2"], "{limits}");
    assert!(limits.contains("models today (until ") && limits.contains("models this month (until "), "{limits}");
    let stats = printed(&larder, &["stats"])?;
    assert!(stats.contains("models this month (until "), "{stats}");
    Ok(())
}

#[tokio::test]
async fn each_limit_of_a_quota_is_told_by_the_name_of_the_quota() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &config("")).await?;
    ask(&larder, "blue", "one").await?;
    larder.metric_reaches("larder_limit_charged_total", &["limit=\"llm.cost.month\""], 1.2).await?;
    let read = |body: &[u8]| serde_json::from_slice::<Value>(body);
    let quota = read(&larder.admin("/limits/llm").await?.body)?;
    let names: Vec<_> = quota["limits"].as_array().into_iter().flatten().map(|one| &one["limit"]["name"]).collect();
    assert_eq!((&quota["quota"], names), (&json!("llm"), vec![&json!("llm.tokens.day"), &json!("llm.cost.month")]), "{quota:#}");
    assert_eq!(quota["limits"][1]["clients"][0]["used"], json!(1.2));
    let client = read(&larder.admin("/limits/llm/blue").await?.body)?;
    let used = |report: &Value| report["limits"].as_array().into_iter().flatten().map(|one| one["used"].clone()).collect::<Vec<_>>();
    assert_eq!(used(&client), [json!(100), json!(1.2)], "{client:#}");
    let text = printed(&larder, &["limits", "llm", "blue"])?;
    assert!(text.contains("llm.tokens.day") && text.contains("llm.cost.month"), "{text}");
    let text = printed(&larder, &["limits", "llm"])?;
    assert!(text.contains("1000000 tokens a day") && text.contains("1000 cost a month"), "{text}");
    let text = printed(&larder, &["limits", "llm", "blue", "--give-back"])?;
    assert!(text.contains("100 given back") && text.contains("1.2 given back"), "{text}");
    assert_eq!(larder.admin("/limits/llm/blue").await?.status, 404, "nothing is used any more");
    assert_eq!(larder.admin("/limits/llm.cost.month").await?.status, 200, "and one of them by its own name, as ever");
    ask(&larder, "green", "two").await?;
    larder.metric_reaches("larder_limit_charged_total", &["limit=\"llm.cost.month\""], 2.4).await?;
    let before = read(printed(&larder, &["limits", "llm", "green", "--give-back", "--json"])?.as_bytes())?;
    assert_eq!(used(&before), [json!(100), json!(1.2)], "as JSON where it is asked for: {before:#}");
    Ok(())
}

#[tokio::test]
async fn what_was_spent_outlives_a_reload_and_the_process() -> Result<()> {
    let origin = origin().await?;
    let folder = tempfile::TempDir::new()?;
    let server = format!("[server]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"{}\"", folder.path().display());
    let larder = Larder::before(&origin, &config(&server)).await?;
    ask(&larder, "blue", "one").await?;
    spending(&larder, "/spending", 1, 0).await?;
    larder.terminate()?;
    assert!(larder.exited().await?.success());
    let next = Larder::before(&origin, &config(&server)).await?;
    let report = spending(&next, "/spending", 1, 0).await?;
    assert_eq!(rows(&report["windows"][0], "clients", "client"), [("blue".to_owned(), 1.2, 0.0)], "{report:#}");
    Ok(())
}

/// Whoever invents clients costs no memory, and the sums stay whole.
#[tokio::test]
async fn clients_that_somebody_invents_become_one() -> Result<()> {
    let origin = origin().await?;
    let larder = Larder::before(&origin, &config("").replace("[spending]\n", "[spending]\nmax_rows = 1000\n")).await?;
    ask(&larder, "paying", "first").await?;
    ask(&larder, "paying", "second").await?;
    // Hits, which cost the origin nothing.
    for number in 0..1100 {
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"first"}],"temperature":0}"#;
        let team = format!("invented-{number}");
        larder.request("POST", "/v1/chat/completions", &[("Content-Type", "application/json"), ("X-Team", &team)], body).await?;
    }
    let report = spending(&larder, "/spending?limit=1000", 2, 1100).await?;
    let clients = rows(&report["windows"][1], "clients", "client");
    assert!(clients.len() < 1000, "{} clients", clients.len());
    assert_eq!(clients.iter().filter(|(name, ..)| name == "!others").count(), 1);
    assert!(clients.contains(&("paying".to_owned(), 2.4, 0.0)), "{clients:?}");
    Ok(())
}
