//! Certificates that change while they are served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_testkit::{Answer, Authority, CertificateFiles, Client, Larder, Origin, Result, connect_tls, wait};
use rustls::ClientConfig;
use tokio::task::JoinSet;

use super::{Edge, HOST};

/// The certificate that a new connection is shown.
async fn shown(address: SocketAddr, trusting: &Arc<ClientConfig>) -> Result<Vec<u8>> {
    let stream = connect_tls(address, HOST, trusting).await?;
    Ok(stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|own| own.to_vec()).unwrap_or_default())
}

/// Waits until new connections are shown another certificate than this.
async fn replaced(address: SocketAddr, trusting: &Arc<ClientConfig>, before: &[u8]) -> Result<Vec<u8>> {
    let other = || async { Ok(Some(shown(address, trusting).await?).filter(|now| now != before)) };
    wait::eventually("waiting for the new certificate", other).await
}

#[tokio::test]
async fn a_certificate_is_renewed_under_load_without_a_failed_request() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let edge = Edge::start(&origin, "", "[cache]\nttl = \"1h\"").await?;
    let (address, trusting) = (edge.tls(), edge.authority.client(&[], None)?);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for keeps in [true, true, false, false] {
        let (stop, asked, trusting) = (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&trusting));
        clients.spawn(async move {
            let mut client = Client::connect_tls(address, HOST, &trusting).await?;
            while !stop.load(Ordering::SeqCst) {
                if !keeps {
                    client = Client::connect_tls(address, HOST, &trusting).await?;
                }
                assert_eq!(client.exchange("GET", "/a", &[], "").await?.status, 200);
                asked.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, larder_testkit::Error>(())
        });
    }
    let mut before = shown(address, &trusting).await?;
    for _ in 0..3 {
        edge.authority.issue("a", &[HOST])?;
        before = replaced(address, &trusting, &before).await?;
        let reached = asked.load(Ordering::SeqCst) + 20;
        let more = || async { Ok((asked.load(Ordering::SeqCst) >= reached).then_some(())) };
        wait::eventually("waiting for further requests", more).await?;
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_pair_is_refused_and_the_old_one_goes_on() -> Result<()> {
    let origin = Origin::start().await?;
    let edge = Edge::start(&origin, "", "").await?;
    let trusting = edge.authority.client(&[], None)?;
    let before = shown(edge.tls(), &trusting).await?;
    let other = edge.authority.issue("other", &[HOST])?;
    std::fs::copy(&other.key, edge.authority.folder().join("a.key"))?;
    edge.larder.hang_up()?;
    edge.larder.process().line("the refusal", |line| line.contains("was refused").then_some(())).await?;
    let output = edge.larder.process().output().join("\n");
    assert!(output.contains("does not belong to the first certificate"), "{output}");
    assert!(shown(edge.tls(), &trusting).await? == before);
    // The rest of the pair arrives.
    std::fs::copy(&other.chain, edge.authority.folder().join("a.pem"))?;
    replaced(edge.tls(), &trusting, &before).await.map(drop)
}

/// As Kubernetes mounts secrets: `tls.crt` is a link to `..data/tls.crt`, and `..data` one to a folder, which is swapped.
#[tokio::test]
async fn a_folder_that_is_swapped_by_a_link_is_noticed() -> Result<()> {
    let origin = Origin::start().await?;
    let (authority, mount) = (Authority::new()?, tempfile::TempDir::new()?);
    let at = |name: &str| mount.path().join(name);
    let fill = |version: &str| -> Result<()> {
        let issued = authority.issue(version, &[HOST])?;
        std::fs::create_dir(at(version))?;
        std::fs::copy(&issued.chain, at(version).join("tls.crt"))?;
        std::fs::copy(&issued.key, at(version).join("tls.key"))?;
        std::os::unix::fs::symlink(version, at("..new"))?;
        Ok(std::fs::rename(at("..new"), at("..data"))?)
    };
    fill("..1")?;
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), at(name))?;
    }
    let files = CertificateFiles { chain: at("tls.crt"), key: at("tls.key") }.in_config();
    let text = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{files}] }}");
    let larder = Larder::before(&origin, &text).await?;
    let trusting = authority.client(&[], None)?;
    let before = shown(larder.address(), &trusting).await?;
    fill("..2")?;
    replaced(larder.address(), &trusting, &before).await.map(drop)
}

#[tokio::test]
async fn a_certificate_that_is_about_to_expire_is_told_in_the_log_on_readyz_and_in_metrics() -> Result<()> {
    let origin = Origin::start().await?;
    let authority = Authority::new()?;
    let files = authority.issue_for_days("soon", &[HOST], 10)?;
    let text = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{}] }}", files.in_config());
    let larder = Larder::before(&origin, &text).await?;
    larder.process().line("the warning", |line| line.contains("expires in").then_some(())).await?;
    let ready = larder.admin("/readyz").await?;
    let detail: serde_json::Value = serde_json::from_str(&ready.text())?;
    assert_eq!(ready.status, 200, "it serves all the same");
    assert_eq!(detail["expiring_certificates"][0]["name"], HOST);
    let days = detail["expiring_certificates"][0]["days"].as_u64();
    assert!(days.is_some_and(|days| (8..=10).contains(&days)), "{detail}");
    let end = larder.metric("larder_tls_certificate_not_after_seconds", &["name=\"a.example\""]).await?;
    assert!(end > 1_700_000_000.0, "{end}");
    // A renewed one is no longer told of.
    authority.issue("soon", &[HOST])?;
    let gone = || async { Ok((!larder.admin("/readyz").await?.text().contains("expiring")).then_some(())) };
    wait::eventually("waiting for the new certificate", gone).await
}
