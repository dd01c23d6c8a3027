//! Certificates from a real ACME authority.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Authority, Client, Larder, Origin, Pebble, Redis, Result, connect_tls};
use rustix::process::Signal;
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::upgrade::Successor;

const HOST: &str = "a.example";

/// A listener for certificates of the authority at the port where that looks for proofs, and one that sends clients to it.
fn settings(tls: SocketAddr, http: SocketAddr, acme: &str) -> String {
    format!(
        "[[listeners]]\naddress = \"{tls}\"\ntls = {{ acme = true }}\n\
         [[listeners]]\naddress = \"{http}\"\nredirect = \"https\"\n[acme]\ndomains = [\"{HOST}\"]\n{acme}"
    )
}

/// The certificate that a host is answered with, once there is one.
async fn certificate(larder: &Larder, address: SocketAddr, client: &Arc<ClientConfig>) -> Result<Vec<u8>> {
    let shown = || async {
        let Ok(stream) = connect_tls(address, HOST, client).await else { return Ok(None) };
        Ok(stream.get_ref().1.peer_certificates().and_then(|chain| Some(chain.first()?.to_vec())))
    };
    eventually("waiting for a certificate", shown).await.map_err(|error| larder.process().explain(error))
}

fn files_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { files.extend(files_in(&entry)) } else { files.push(entry) }
    }
    files
}

async fn orders(larder: &Larder, outcome: &str) -> Result<f64> {
    larder.metric("larder_acme_orders_total", &[&format!("outcome=\"{outcome}\"")]).await
}

#[tokio::test]
async fn rfc8737_a_certificate_is_ordered_at_the_first_start_and_found_at_the_next() -> Result<()> {
    let (origin, pebble, folder) = (Origin::start().await?, Pebble::start().await?, TempDir::new()?);
    origin.always("GET", "/a", Answer::ok().body("a"));
    let acme = format!("store = {:?}\nchallenges = [\"tls-alpn-01\"]\n{}", folder.path().join("acme"), pebble.in_config());
    let text = config(&origin.url(), &settings(pebble.tls_address(), pebble.http_address(), &acme));
    let client = pebble.client().await?;
    let larder = Larder::start(&text).await?;
    let first = certificate(&larder, pebble.tls_address(), &client).await?;
    let mut over_tls = Client::connect_tls(pebble.tls_address(), HOST, &client).await?;
    assert_eq!(over_tls.exchange("GET", "/a", &[("Host", HOST)], "").await?.text(), "a");
    assert_eq!((orders(&larder, "issued").await?, orders(&larder, "failed").await?), (1.0, 0.0));
    larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"challenge\""], 1.0).await?;
    assert!(larder.metric("larder_acme_next_order_seconds", &["domain=\"a.example\""]).await? > 1_700_000_000.0);
    let files = files_in(&folder.path().join("acme"));
    assert!(
        files.iter().any(|file| file.ends_with("a.example.pem")) && files.iter().any(|file| file.ends_with("account.json")),
        "{files:?}"
    );
    for file in &files {
        assert_eq!(std::fs::metadata(file)?.permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    larder.terminate()?;
    larder.exited().await?;
    let larder = Larder::start(&text).await?;
    // It is there when the listener is: nobody has to wait for it.
    let stream = connect_tls(pebble.tls_address(), HOST, &client).await?;
    assert_eq!(stream.get_ref().1.peer_certificates().and_then(|chain| Some(chain.first()?.to_vec())), Some(first));
    assert_eq!(orders(&larder, "issued").await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn rfc8555_8_3_a_proof_over_http_is_answered_and_other_requests_go_where_they_went() -> Result<()> {
    let (origin, pebble, folder) = (Origin::start().await?, Pebble::start().await?, TempDir::new()?);
    let theirs = "/.well-known/acme-challenge/a-token-of-the-origin-itself";
    origin.always("GET", theirs, Answer::ok().body("theirs"));
    let acme = format!("store = {:?}\nchallenges = [\"http-01\"]\ncontact = \"ops@example.com\"\n{}", folder.path(), pebble.in_config());
    let text = config(&origin.url(), &settings(pebble.tls_address(), pebble.http_address(), &acme));
    let larder = Larder::start(&text).await?;
    certificate(&larder, pebble.tls_address(), &pebble.client().await?).await?;
    let mut clear = Client::connect(pebble.http_address()).await?;
    assert_eq!(clear.exchange("GET", theirs, &[("Host", HOST)], "").await?.text(), "theirs", "what is no proof of ours is the origin's");
    let sent = clear.exchange("GET", "/a", &[("Host", HOST)], "").await?;
    assert_eq!((sent.status, sent.header("location")), (308, Some(format!("https://{HOST}:{}/a", pebble.tls_address().port()).as_str())));
    Ok(())
}

#[tokio::test]
async fn replicas_share_one_certificate_through_redis() -> Result<()> {
    let (origin, pebble, redis) = (Origin::start().await?, Pebble::start().await?, Redis::start().await?);
    origin.always("GET", "/a", Answer::ok().body("a"));
    let acme = format!("store = \"redis\"\n{}[store.redis]\nurl = \"{}\"\ntimeout = \"2s\"\n", pebble.in_config(), redis.url());
    let client = pebble.client().await?;
    let one = Larder::start(&config(&origin.url(), &settings(pebble.tls_address(), pebble.http_address(), &acme))).await?;
    let first = certificate(&one, pebble.tls_address(), &client).await?;
    let other = Larder::start(&config(&origin.url(), &settings("127.0.0.1:0".parse()?, "127.0.0.1:0".parse()?, &acme))).await?;
    let address = other.addresses(2).await?[0];
    assert_eq!(certificate(&other, address, &client).await?, first);
    assert_eq!((orders(&one, "issued").await?, orders(&other, "issued").await?), (1.0, 0.0));
    Ok(())
}

#[tokio::test]
async fn what_fails_is_told_with_its_reason_and_harms_nothing_else() -> Result<()> {
    let (origin, pebble, folder) = (Origin::start().await?, Pebble::start().await?, TempDir::new()?);
    origin.always("GET", "/a", Answer::ok().body("a"));
    let acme = format!("store = {:?}\n{}", folder.path(), pebble.in_config());
    // The authority looks at another port.
    let text = config(&origin.url(), &settings("127.0.0.1:0".parse()?, "127.0.0.1:0".parse()?, &acme));
    let larder = Larder::start(&text).await?;
    let is_told = |line: &str| line.contains("there is no certificate for a.example: the authority refuses the proof by tls-alpn-01");
    let line = larder.process().line("the failure", |line| is_told(line).then(|| line.to_owned())).await?;
    assert!(line.contains("the next attempt is in 2 minutes"), "{line}");
    let ready = larder.admin("/readyz").await?;
    assert!(ready.status == 200 && ready.text().contains("\"acme\"") && ready.text().contains("a.example"), "{}", ready.text());
    assert_eq!(larder.metric("larder_acme_failures", &["domain=\"a.example\""]).await?, 1.0);
    let addresses = larder.addresses(2).await?;
    assert!(connect_tls(addresses[0], HOST, &pebble.client().await?).await.is_err(), "there is nothing to show");
    let mut clear = Client::connect(addresses[1]).await?;
    assert_eq!(clear.exchange("GET", "/a", &[("Host", HOST)], "").await?.status, 308);
    // A reload without the section ends it.
    larder.write_config(&text.replace("acme = true", "acme = false"))?;
    larder.hang_up()?;
    larder.process().line("the refusal", |line| line.contains("the new configuration was refused").then_some(())).await?;
    assert_eq!(orders(&larder, "failed").await?, 1.0, "a configuration that is refused changes nothing");
    Ok(())
}

#[tokio::test]
async fn a_reload_takes_no_certificate_from_clients_before_there_is_another() -> Result<()> {
    let (origin, pebble, folder) = (Origin::start().await?, Pebble::start().await?, TempDir::new()?);
    let store = format!("store = {:?}\n", folder.path());
    let text = |rest: &str| config(&origin.url(), &settings(pebble.tls_address(), pebble.http_address(), rest));
    let acme = format!("{store}{}", pebble.in_config());
    let client = pebble.client().await?;
    let larder = Larder::start(&text(&acme)).await?;
    let first = certificate(&larder, pebble.tls_address(), &client).await?;
    let shown = async || {
        let stream = connect_tls(pebble.tls_address(), HOST, &client).await?;
        Ok::<_, larder_testkit::Error>(stream.get_ref().1.peer_certificates().and_then(|chain| Some(chain.first()?.to_vec())))
    };
    // Another authority, of which there is nothing in the store, and which issues nothing.
    larder.write_config(&text(&acme.replace("/dir\"", "/none\"")))?;
    larder.hang_up()?;
    larder.process().line("the failure", |line| line.contains("there is no certificate for a.example").then_some(())).await?;
    assert_eq!(shown().await?, Some(first.clone()));
    // Another store, which is there after a restart only.
    let redis = "[store.redis]\nurl = \"redis://127.0.0.1:1\"\n";
    larder.write_config(&text(&(acme.replace(&store, "store = \"redis\"\n") + redis)))?;
    larder.hang_up()?;
    larder.process().line("the restart", |line| line.contains("takes effect at the next start").then_some(())).await?;
    larder.metric_reaches("larder_acme_failures", &["domain=\"a.example\""], 1.0).await?;
    assert_eq!(shown().await?, Some(first));
    Ok(())
}

/// The authority would be answered by the new process, which knows nothing of the order.
#[tokio::test]
async fn a_process_that_another_has_taken_over_from_gives_its_order_up() -> Result<()> {
    let (origin, folder, authority) = (Origin::start().await?, TempDir::new()?, Authority::new()?);
    origin.once("GET", "/slow", Answer::ok().chunk("first ").wait("middle").chunk("second"));
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let directory = format!("directory = \"https://{}/dir\"\nca_file = {:?}\n", silent.local_addr()?, authority.ca_file());
    let acme = format!("store = {:?}\n{directory}[[listeners]]\naddress = \"127.0.0.1:0\"\n", folder.path());
    let any = "127.0.0.1:0".parse()?;
    let larder = Larder::start(&config(&origin.url(), &settings(any, any, &acme))).await?;
    let (mut order, _) = silent.accept().await?;
    let mut slow = Client::connect(larder.addresses(3).await?[2]).await?;
    slow.send("GET", "/slow", &[], "").await?;
    slow.read_until("first ").await?;
    larder.process().signal(Signal::USR2)?;
    let _successor = Successor::of(&larder).await?;
    larder.process().line("the succession", |line| line.contains("has taken over").then_some(())).await?;
    let mut sent = Vec::new();
    tokio::time::timeout(Duration::from_secs(15), order.read_to_end(&mut sent)).await??;
    origin.gate("middle").open();
    slow.read_until("first second").await?;
    Ok(())
}
