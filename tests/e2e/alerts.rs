//! Alerts, as those who are told of them get them.

use larder_testkit::wait::{eventually, within};
use larder_testkit::{Answer, Error, Larder, Origin, Redis, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "0123456789abcdef-of-tests";

async fn ask(larder: &Larder) -> Result<Value> {
    Ok(serde_json::from_slice(&larder.admin("/alerts").await?.body)?)
}

/// A subscription, spoken by hand.
pub(crate) struct Channel(TcpStream);

impl Channel {
    pub(crate) async fn subscribe(redis: &Redis, channel: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(redis.address()).await?;
        stream.write_all(format!("SUBSCRIBE {channel}\r\n").as_bytes()).await?;
        let mut subscribed = Self(stream);
        subscribed.read_until(":1\r\n").await?;
        Ok(subscribed)
    }

    /// The next message, as JSON.
    pub(crate) async fn message(&mut self) -> Result<Value> {
        let text = self.read_until("}\r\n").await?;
        let json = text.find('{').map(|start| text[start..].trim_end()).unwrap_or_default();
        Ok(serde_json::from_str(json)?)
    }

    async fn read_until(&mut self, end: &str) -> Result<String> {
        let mut text = String::new();
        let reading = async {
            while !text.ends_with(end) {
                let mut bytes = [0; 4096];
                let count = self.0.read(&mut bytes).await?;
                if count == 0 {
                    return Err(Error::new(format!("the server has closed the connection after {text}")));
                }
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            Ok(())
        };
        within("waiting for a message", reading).await??;
        Ok(text)
    }
}

/// The bodies that a receiver got, with their signatures.
pub(crate) fn received(receiver: &Origin) -> Vec<(Value, String)> {
    let requests = receiver.received();
    let own = |request: &larder_testkit::origin::Received| {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        (body, request.header("x-larder-signature").unwrap_or_default().to_owned())
    };
    requests.iter().map(own).collect()
}

#[tokio::test]
async fn a_refused_reload_is_told_signed_and_again_until_it_is_heard() -> Result<()> {
    let (origin, receiver) = (Origin::start().await?, Origin::start().await?);
    // The first attempt fails, and one more does not.
    receiver.once("POST", "/hook", Answer::new(503));
    receiver.always("POST", "/hook", Answer::new(204));
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET)?;
    let alerts = format!("[alerts]\nwebhook = \"{}/hook\"\nsecret = \"file:{}\"", receiver.url(), file.display());
    let larder = Larder::before(&origin, &alerts).await?;
    larder.write_config(&larder_testkit::larder::config(&origin.url(), "[cache]\nnonsense = 1"))?;
    larder.hang_up()?;
    let told = || async { Ok((received(&receiver).len() >= 2).then(|| received(&receiver))) };
    let all = eventually("waiting for the alert", told).await?;
    let (alert, signature) = &all[1];
    assert_eq!(all[0], all[1], "each attempt is the same");
    assert_eq!((&alert["kind"], &alert["state"], &alert["subject"]), (&json!("reload"), &json!("firing"), &json!("configuration")));
    assert!(alert["message"].as_str().is_some_and(|text| text.contains("nonsense")) && alert["remedy"].as_str().is_some(), "{alert:#}");
    assert!(signature.strip_prefix("sha256=").is_some_and(|hex| hex.len() == 64), "{signature}");
    assert_eq!(ask(&larder).await?["firing"][0]["id"], alert["id"]);
    larder.write_config(&larder_testkit::larder::config(&origin.url(), &alerts))?;
    larder.hang_up()?;
    let over = || async { Ok((ask(&larder).await?["firing"] == json!([])).then_some(())) };
    eventually("waiting for its end", over).await?;
    larder.metric_reaches("larder_alerts_total", &["kind=\"reload\""], 2.0).await?;
    larder.metric_reaches("larder_alert_deliveries_total", &["outcome=\"sent\""], 2.0).await
}

#[tokio::test]
async fn an_upstream_that_is_left_alone_is_told_on_the_channel_in_redis() -> Result<()> {
    let redis = Redis::start().await?;
    let rest = format!(
        "[store.redis]\nurl = \"redis://{}\"\n[upstreams.api]\nurl = \"http://127.0.0.1:1\"\nbreaker = {{ failures = 1, open = \"1m\" }}",
        redis.address()
    );
    let larder = Larder::start(&larder_testkit::larder::config("", &rest)).await?;
    let mut heard = Channel::subscribe(&redis, "system:health_check").await?;
    larder.get("/a").await?;
    let alert = heard.message().await?;
    assert_eq!((&alert["kind"], &alert["subject"]), (&json!("breaker"), &json!("upstream api")), "{alert:#}");
    assert!(larder.admin("/").await?.text().contains("upstream api is left alone"), "the dashboard shows it");
    Ok(())
}

/// At five attempts, of ten seconds each, it would take minutes for each alert.
#[tokio::test]
async fn a_webhook_that_does_not_answer_keeps_nothing_from_the_channel() -> Result<()> {
    let (origin, redis) = (Origin::start().await?, Redis::start().await?);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let alerts = format!(
        "[store.redis]\nurl = \"redis://{}\"\ntimeout = \"5s\"\n[alerts]\nwebhook = \"http://{}/hook\"",
        redis.address(),
        silent.local_addr()?
    );
    let larder = Larder::before(&origin, &alerts).await?;
    let mut heard = Channel::subscribe(&redis, "system:health_check").await?;
    for mistake in ["first", "second"] {
        larder.write_config(&larder_testkit::larder::config(&origin.url(), &format!("[cache]\n{mistake} = 1")))?;
        larder.hang_up()?;
        let alert = heard.message().await?;
        assert!(alert["message"].as_str().is_some_and(|message| message.contains(mistake)), "{alert:#}");
    }
    Ok(())
}

#[tokio::test]
async fn only_the_kinds_that_are_named_are_sent() -> Result<()> {
    let (origin, receiver) = (Origin::start().await?, Origin::start().await?);
    receiver.always("POST", "/hook", Answer::new(204));
    let larder = Larder::before(&origin, &format!("[alerts]\non = [\"replica\"]\nwebhook = \"{}/hook\"", receiver.url())).await?;
    larder.write_config("nonsense = 1")?;
    larder.hang_up()?;
    larder.metric_reaches("larder_alerts_total", &["kind=\"reload\""], 1.0).await?;
    assert_eq!((ask(&larder).await?["last"].as_array().map(Vec::len), received(&receiver).len()), (Some(1), 0));
    Ok(())
}

/// A receiver over TLS whose certificate an authority of its own has issued.
#[tokio::test]
async fn a_webhook_over_https_is_trusted_by_the_authority_that_is_named_for_it() -> Result<()> {
    let (origin, receiver) = (Origin::start().await?, Origin::start().await?);
    receiver.always("POST", "/hook", Answer::new(204));
    let edge = super::tls::Edge::start(&receiver, "", "").await?;
    let webhook = |ca: &str| format!("[alerts]\nwebhook = \"https://127.0.0.1:{}/hook\"\n{ca}", edge.tls().port());
    let ca = format!("ca_file = {:?}", edge.authority.ca_file());
    let larder = Larder::before(&origin, &webhook(&ca)).await?;
    larder.write_config("nonsense = 1")?;
    larder.hang_up()?;
    larder.metric_reaches("larder_alert_deliveries_total", &["outcome=\"sent\""], 1.0).await?;
    assert_eq!(received(&receiver)[0].0["kind"], "reload");

    // Without the authority the system's count, which have not issued it.
    let other = Larder::before(&origin, &webhook("")).await?;
    other.write_config("nonsense = 1")?;
    other.hang_up()?;
    edge.larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"failed\""], 1.0).await?;
    assert_eq!(receiver.request_count(), 1);
    Ok(())
}

/// A redirect would hand an alert, and its signature, to a host that nobody has named.
#[tokio::test]
async fn a_webhook_that_redirects_is_not_followed_and_not_asked_again() -> Result<()> {
    let (origin, receiver, elsewhere) = (Origin::start().await?, Origin::start().await?, Origin::start().await?);
    receiver.always("POST", "/hook", Answer::new(307).header("Location", format!("{}/hook", elsewhere.url())));
    let larder = Larder::before(&origin, &format!("[alerts]\nwebhook = \"{}/hook\"", receiver.url())).await?;
    larder.write_config("nonsense = 1")?;
    larder.hang_up()?;
    larder.metric_reaches("larder_alert_deliveries_total", &["outcome=\"failed\""], 1.0).await?;
    assert_eq!((receiver.request_count(), elsewhere.request_count()), (1, 0));
    larder.process().line("why", |line| (line.contains("could not be sent to the webhook") && line.contains("307")).then_some(())).await
}
