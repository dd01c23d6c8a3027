//! A cache before providers of language models, over sockets.

use larder_testkit::client::Response;
use larder_testkit::{Answer, Client, Larder, Origin, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Chats and embeddings, kept for an hour.
pub(crate) const CONFIG: &str = r#"
[[routes]]
path = "/{*rest}"
ttl = "1h"
read = true
key = { body = "chat" }

[[routes]]
path = "/v1/embeddings"
ttl = "1h"
read = true
key = { body = "embeddings" }
"#;

const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"Hello"}],"temperature":0}"#;
const CHAT_ANSWER: &str = r#"{"model":"gpt","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;

/// Fields that providers send with every answer.
fn provided(kind: &str, body: &str) -> Answer {
    Answer::ok()
        .header("Content-Type", kind)
        .header("Cache-Control", "private, no-cache")
        .header("Set-Cookie", "__cf_bm=1; path=/")
        .header("X-Request-Id", "req_1")
        .header("X-RateLimit-Remaining-Requests", "99")
        .body(body)
}

async fn ask(larder: &Larder, target: &str, fields: &[(&str, &str)], body: &str) -> Result<Response> {
    let fields: Vec<(&str, &str)> = [("Content-Type", "application/json")].into_iter().chain(fields.iter().copied()).collect();
    let answer = larder.request("POST", target, &fields, body).await?;
    larder.settled().await?;
    Ok(answer)
}

#[tokio::test]
async fn a_prompt_of_two_tokens_never_has_one_answer() -> Result<()> {
    let origin = Origin::start().await?;
    let apis = [
        ("/v1/chat/completions", CHAT, CHAT_ANSWER),
        (
            "/v1/messages",
            r#"{"model":"c","max_tokens":9,"messages":[],"temperature":0}"#,
            r#"{"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}"#,
        ),
        (
            "/v1beta/models/g:generateContent",
            r#"{"contents":[],"generationConfig":{"seed":1}}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}"#,
        ),
        (
            "/api/chat",
            r#"{"model":"l","messages":[],"stream":false,"options":{"seed":1}}"#,
            r#"{"message":{"content":"Hi"},"done":true,"done_reason":"stop"}"#,
        ),
        ("/v1/embeddings", r#"{"model":"e","input":"Hello"}"#, r#"{"data":[{"index":0,"embedding":[0.5]}]}"#),
    ];
    for (target, _, answer) in apis {
        origin.always("POST", target, provided("application/json", answer));
        origin.always("POST", &format!("{target}?key=1"), provided("application/json", answer));
        origin.always("POST", &format!("{target}?key=2"), provided("application/json", answer));
    }
    let larder = Larder::before(&origin, CONFIG).await?;
    for (target, request, answer) in apis {
        for name in ["Authorization", "x-api-key", "x-goog-api-key", "api-key"] {
            for token in ["Bearer 1", "Bearer 2"] {
                for expected in ["MISS", "HIT"] {
                    let read = ask(&larder, target, &[(name, token)], request).await?;
                    assert_eq!((read.x_cache(), read.text().as_str()), (expected, answer), "{target} {name}: {token}");
                }
            }
        }
        for token in ["1", "2"] {
            for expected in ["MISS", "HIT"] {
                let read = ask(&larder, &format!("{target}?key={token}"), &[], request).await?;
                assert_eq!(read.x_cache(), expected, "{target}?key={token}");
            }
        }
        for _ in 0..2 {
            let read = ask(&larder, target, &[], request).await?;
            assert_eq!(read.x_cache(), "MISS", "{target}: it is private, and nobody is known");
        }
    }
    assert!(origin.received().iter().any(|request| request.target.ends_with("?key=2")), "the provider gets the key");
    Ok(())
}

#[tokio::test]
async fn no_secret_stands_in_a_key() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/v1/chat/completions?key=topsecret&a=1", provided("application/json", CHAT_ANSWER));
    let larder = Larder::before(&origin, &format!("[cache]\ncache_status = {{ key = true }}\n{CONFIG}")).await?;
    let read = ask(&larder, "/v1/chat/completions?key=topsecret&a=1", &[("x-api-key", "topsecret")], CHAT).await?;
    assert!(read.cache_status().contains("/v1/chat/completions?a=1 #body=chat:"), "{}", read.cache_status());
    assert!(!read.cache_status().contains("topsecret"), "{}", read.cache_status());
    Ok(())
}

#[tokio::test]
async fn what_an_answer_saves_is_told_and_what_is_about_one_request_is_not() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/v1/chat/completions", provided("application/json", CHAT_ANSWER));
    let larder = Larder::before(&origin, CONFIG).await?;
    let first = ask(&larder, "/v1/chat/completions", &[], CHAT).await?;
    assert_eq!((first.header("larder-usage-saved"), first.header("x-ratelimit-remaining-requests")), (None, Some("99")));
    // Python's client keeps the provider's cookie and sends it back.
    let second = ask(&larder, "/v1/chat/completions", &[("Authorization", "a"), ("Cookie", "__cf_bm=1")], CHAT).await?;
    assert_eq!(second.x_cache(), "MISS");
    let third = ask(&larder, "/v1/chat/completions", &[("Authorization", "a"), ("Cookie", "__cf_bm=2")], CHAT).await?;
    assert_eq!((third.x_cache(), third.header("larder-usage-saved")), ("HIT", Some("10;in=8;out=2;model=\"gpt\"")));
    assert_eq!((third.header("set-cookie"), third.header("x-ratelimit-remaining-requests")), (None, None));
    assert_eq!(third.age(), Some(0), "a client sees that it is a stored answer");
    Ok(())
}

#[tokio::test]
async fn twenty_that_ask_at_once_get_one_answer() -> Result<()> {
    let origin = Origin::start().await?;
    let gate = origin.gate("answer");
    let answer = Answer::ok().header("Content-Type", "application/json").chunk(&CHAT_ANSWER[..20]).wait("answer").chunk(&CHAT_ANSWER[20..]);
    origin.always("POST", "/v1/chat/completions", answer);
    let larder = Larder::before(&origin, CONFIG).await?;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(larder.address()).await?;
        client.send("POST", "/v1/chat/completions", &[("Content-Type", "application/json")], CHAT).await?;
        clients.push(client);
    }
    larder.metric_reaches("larder_collapsed_followers_total", &[], 19.0).await?;
    gate.open();
    for mut client in clients {
        assert_eq!(client.finish().await?.text(), CHAT_ANSWER);
    }
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_stream_passes_event_by_event_and_is_replayed() -> Result<()> {
    let origin = Origin::start().await?;
    let gate = origin.gate("more");
    let events = [
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    ];
    let answer = Answer::ok().header("Content-Type", "text/event-stream").chunk(events[0]).wait("more").chunk(events[1]).chunk(events[2]);
    origin.always("POST", "/v1/chat/completions", answer);
    let larder = Larder::before(&origin, CONFIG).await?;
    let request = CHAT.replace("}]", "}],\"stream\":true");
    let fields = [("Content-Type", "application/json")];
    let mut first = Client::connect(larder.address()).await?;
    first.send("POST", "/v1/chat/completions", &fields, &request).await?;
    first.read_until(events[0]).await?;
    // Another one joins, and leaves; the first one leaves too: the answer is stored all the same.
    let mut second = Client::connect(larder.address()).await?;
    second.send("POST", "/v1/chat/completions", &fields, &request).await?;
    second.read_until(events[0]).await?;
    drop((first, second));
    gate.open();
    larder.settled().await?;
    let replayed = ask(&larder, "/v1/chat/completions", &[], &request).await?;
    assert_eq!((replayed.x_cache(), replayed.text()), ("HIT", events.concat()));
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

/// The bytes of an answer behind its head, with their framing.
async fn framed(larder: &Larder, request: &str) -> Result<(String, String)> {
    let mut socket = TcpStream::connect(larder.address()).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut read = String::new();
    socket.read_to_string(&mut read).await?;
    let (head, body) = read.split_once("\r\n\r\n").ok_or_else(|| larder_testkit::Error::new("no head"))?;
    Ok((head.to_ascii_lowercase(), body.to_owned()))
}

#[tokio::test]
async fn a_stored_stream_has_the_chunks_in_which_it_came() -> Result<()> {
    let origin = Origin::start().await?;
    let (begin, end) = ("data: {\"choices\":", "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    let events = |gate: &str| {
        let answer = Answer::ok().header("Content-Type", "text/event-stream").header("Cache-Control", "max-age=60");
        answer.chunk(begin).wait(gate).chunk(end)
    };
    origin.always("POST", "/v1/chat/completions", events("post"));
    origin.always("GET", "/events", events("get"));
    let route = "\n[[routes]]\npath = \"/events\"\nrecord = true\nreplay = \"x1000\"\n";
    let larder = Larder::before(&origin, &format!("{CONFIG}{route}")).await?;
    let streamed = CHAT.replace("}]", "}],\"stream\":true");
    for (method, target, content) in [("post", "/v1/chat/completions", streamed.as_str()), ("get", "/events", "")] {
        let gate = origin.gate(method);
        let method = method.to_ascii_uppercase();
        let mut first = Client::connect(larder.address()).await?;
        let fields: &[(&str, &str)] = if content.is_empty() { &[] } else { &[("Content-Type", "application/json")] };
        first.send(&method, target, fields, content).await?;
        first.read_until(begin).await?;
        gate.open();
        assert_eq!(first.finish().await?.text(), [begin, end].concat());
        larder.settled().await?;
        let about = if content.is_empty() {
            String::new()
        } else {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", content.len())
        };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{about}\r\n{content}", larder.address());
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        for _ in 0..2 {
            let (head, body) = framed(&larder, &request).await?;
            assert!(
                head.contains("x-cache: hit") && head.contains("transfer-encoding: chunked") && !head.contains("content-length"),
                "{head}"
            );
            assert_eq!(body.to_ascii_lowercase(), [chunk(begin), chunk(end), "0\r\n\r\n".to_owned()].concat().to_ascii_lowercase());
        }
    }
    Ok(())
}

#[tokio::test]
async fn ollama_streams_lines_unless_it_is_told_otherwise() -> Result<()> {
    let origin = Origin::start().await?;
    let lines = "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":2}\n";
    origin.always("POST", "/api/chat", Answer::ok().header("Content-Type", "application/x-ndjson").body(lines));
    let larder = Larder::before(&origin, CONFIG).await?;
    let request = r#"{"model":"llama","messages":[],"options":{"temperature":0}}"#;
    for (request, expected) in [
        (request.to_owned(), "MISS"),
        (request.replace("[]", "[],\"stream\":true"), "HIT"),
        (request.replace("[]", "[],\"stream\":false"), "MISS"),
    ] {
        assert_eq!(ask(&larder, "/api/chat", &[], &request).await?.x_cache(), expected, "{request}");
    }
    Ok(())
}

#[tokio::test]
async fn explain_says_why_a_prompt_passes() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, CONFIG).await?;
    let url = format!("http://{}/v1/chat/completions", larder.address());
    for (data, reason) in [
        (CHAT.to_owned(), "absent"),
        (CHAT.replace("\"temperature\":0", "\"temperature\":1"), "not-deterministic"),
        (CHAT.replace("\"temperature\":0", "\"temperature\":0,\"background\":true"), "stateful"),
        (CHAT.replace("{\"model\"", "{"), "body-not-keyed"),
    ] {
        let question = json!({ "url": url, "method": "POST", "headers": { "Content-Type": "application/json" }, "data": data });
        let mut client = Client::connect(larder.admin_address()).await?;
        let fields = [("Content-Type", "application/json"), ("Connection", "close")];
        let answer = client.exchange("POST", "/explain", &fields, &question.to_string()).await?;
        let said: Value = serde_json::from_slice(&answer.body)?;
        assert_eq!(said["decision"]["reason"], reason, "{said:#}");
    }
    Ok(())
}

#[tokio::test]
async fn explain_says_that_another_form_is_stored() -> Result<()> {
    let origin = Origin::start().await?;
    let whole = CHAT_ANSWER
        .replace("{\"model\"", "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\"")
        .replace("{\"content\"", "{\"role\":\"assistant\",\"content\"");
    origin.always("POST", "/v1/chat/completions", provided("application/json", &whole));
    let config = format!("[cache]\nconvert = true\n{}", CONFIG.replacen("key = {", "share = \"everyone\"\nkey = {", 1));
    let larder = Larder::before(&origin, &config).await?;
    assert_eq!(ask(&larder, "/v1/chat/completions", &[], CHAT).await?.x_cache(), "MISS");
    let streamed = CHAT.replace("}]", "}],\"stream\":true");
    let url = format!("http://{}/v1/chat/completions", larder.address());
    let question = json!({ "url": url, "method": "POST", "headers": { "Content-Type": "application/json" }, "data": streamed });
    let mut client = Client::connect(larder.admin_address()).await?;
    let fields = [("Content-Type", "application/json"), ("Connection", "close")];
    let said: Value = serde_json::from_slice(&client.exchange("POST", "/explain", &fields, &question.to_string()).await?.body)?;
    assert_eq!(said["decision"]["reason"], "converted", "{said:#}");
    let read = ask(&larder, "/v1/chat/completions", &[], &streamed).await?;
    assert!(
        read.x_cache() == "HIT" && read.cache_status().contains("detail=converted") && read.text().ends_with("data: [DONE]\n\n"),
        "{read:?}"
    );
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn tokens_are_counted_as_they_are_spent_and_saved() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/v1/chat/completions", Answer::ok().header("Content-Type", "application/json").body(CHAT_ANSWER));
    let prices = "[prices]\n\"gpt*\" = { input = 1000000, output = 2e6 }\n";
    let larder = Larder::before(&origin, &format!("{prices}{CONFIG}")).await?;
    for (request, expected) in [
        (CHAT.to_owned(), "MISS"),
        (CHAT.to_owned(), "HIT"),
        (CHAT.to_owned(), "HIT"),
        (CHAT.replace("\"temperature\":0", "\"temperature\":1"), "BYPASS"),
    ] {
        assert_eq!(ask(&larder, "/v1/chat/completions", &[], &request).await?.x_cache(), expected);
    }
    for (outcome, tokens, price) in [("spent", [16.0, 4.0], 24.0), ("saved", [16.0, 4.0], 24.0)] {
        let outcome = format!("outcome=\"{outcome}\"");
        for (direction, tokens) in ["input", "output"].into_iter().zip(tokens) {
            let labels = ["model=\"gpt\"", &outcome, &format!("direction=\"{direction}\"")];
            larder.metric_reaches("larder_model_tokens_total", &labels, tokens).await?;
        }
        assert_eq!(larder.metric("larder_model_price_total", &["model=\"gpt\"", &outcome]).await?, price);
    }
    Ok(())
}

/// A chat completion with this text.
fn saying(text: &str) -> Answer {
    provided("application/json", &CHAT_ANSWER.replace("Hi", text))
}

#[tokio::test]
async fn several_answers_to_one_request_are_given_in_turn_to_each_who_asks() -> Result<()> {
    let origin = Origin::start().await?;
    for text in ["one", "two", "three", "four", "five", "six"] {
        origin.once("POST", "/v1/chat/completions", saying(text));
    }
    let larder = Larder::before(&origin, &CONFIG.replacen("ttl = \"1h\"", "ttl = \"1h\"\nanswers = 3", 1)).await?;
    let mut said = Vec::new();
    for token in ["Bearer 1", "Bearer 2"] {
        for _ in 0..6 {
            let read = ask(&larder, "/v1/chat/completions", &[("Authorization", token)], CHAT).await?;
            said.push((
                read.x_cache().to_owned(),
                serde_json::from_slice::<Value>(&read.body)?["choices"][0]["message"]["content"].clone(),
            ));
        }
    }
    let expected = [
        ("MISS", ["one", "two", "three"]),
        ("HIT", ["one", "two", "three"]),
        ("MISS", ["four", "five", "six"]),
        ("HIT", ["four", "five", "six"]),
    ];
    let expected: Vec<_> = expected.into_iter().flat_map(|(result, texts)| texts.map(|text| (result.to_owned(), json!(text)))).collect();
    assert_eq!(said, expected);
    origin.check()
}

/// With what a request says to Larder, and whether that counts.
async fn controlled(rest: &str, counts: bool) -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/v1/chat/completions", saying("Hi"));
    let larder = Larder::before(&origin, &format!("{rest}{CONFIG}")).await?;
    let ask_in = async |namespace: &str, ttl: &str| {
        let fields = [("Authorization", "a"), ("larder-cache-namespace", namespace), ("larder-cache-ttl", ttl)];
        ask(&larder, "/v1/chat/completions", &fields, CHAT).await
    };
    let first = ask_in("one", "600").await?;
    assert_eq!(first.x_cache(), "MISS");
    let again = ask_in("one", "7").await?;
    assert!(again.x_cache() == "HIT" && again.cache_status().contains(if counts { "ttl=600" } else { "ttl=3600" }), "{again:?}");
    assert_eq!(ask_in("two", "0").await?.x_cache(), if counts { "MISS" } else { "HIT" });
    assert_eq!(ask_in("two", "0").await?.x_cache(), if counts { "MISS" } else { "HIT" }, "for no time at all");
    assert_eq!(ask_in("three", "99999").await?.x_cache(), if counts { "MISS" } else { "HIT" });
    let bounded = ask_in("three", "x").await?;
    assert!(bounded.cache_status().contains(if counts { "ttl=7200" } else { "ttl=3600" }), "no longer than max_ttl: {bounded:?}");
    for request in origin.received() {
        assert_eq!(
            (request.header("larder-cache-ttl"), request.header("larder-cache-namespace")),
            (None, None),
            "the provider gets neither"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_request_says_how_long_its_answer_is_kept_where_its_client_is_trusted() -> Result<()> {
    let bounded = "[cache]\nmax_ttl = \"2h\"\n";
    controlled(bounded, false).await?;
    controlled(&format!("[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n{bounded}"), true).await?;
    controlled(&format!("{bounded}client_controls = true\n"), true).await
}

#[tokio::test]
async fn where_a_route_knows_no_controls_they_are_fields_like_others() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("x"));
    let larder = Larder::before(&origin, "").await?;
    larder.request("GET", "/a", &[("larder-cache-ttl", "0")], "").await?;
    assert_eq!(larder.request("GET", "/a", &[("larder-cache-namespace", "b")], "").await?.x_cache(), "HIT");
    assert_eq!(origin.received()[0].header("larder-cache-ttl"), Some("0"));
    Ok(())
}
