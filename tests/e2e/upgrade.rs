//! SIGUSR2: a new process takes over the sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_testkit::larder::config;
use larder_testkit::{Answer, Authority, Client, Larder, Origin, Redis, Result, wait};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

/// The process that took over. It is killed with the test.
pub(crate) struct Successor(Pid);

impl Successor {
    /// The one that the log tells of.
    pub(crate) async fn of(larder: &Larder) -> Result<Self> {
        let id = larder.process().line("the new process", |line| {
            let rest = line.split_once("process ")?.1;
            rest.split_once(" was started to take over")?.0.parse().ok().and_then(Pid::from_raw)
        });
        id.await.map(Self)
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[tokio::test]
async fn no_connection_is_refused_while_a_new_process_takes_over() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    origin.once("GET", "/slow", Answer::ok().chunk("first ").wait("middle").chunk("second"));
    let authority = Authority::new()?;
    let certificate = authority.issue("a", &["a.example"])?.in_config();
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{certificate}] }}\n\
         [cache]\nttl = \"1h\""
    );
    let larder = Larder::before(&origin, &text).await?;
    let addresses = larder.addresses(2).await?;
    let (clear, secure, trusting) = (addresses[0], addresses[1], authority.client(&[], None)?);
    let mut slow = Client::connect(clear).await?;
    slow.send("GET", "/slow", &[], "").await?;
    slow.read_until("first ").await?;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..4 {
        let (stop, asked, trusting) = (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&trusting));
        clients.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let mut client = match number % 2 {
                    0 => Client::connect(clear).await?,
                    _ => Client::connect_tls(secure, "a.example", &trusting).await?,
                };
                let response = client.exchange("GET", "/a", &[("Host", "a.example"), ("Connection", "close")], "").await?;
                assert_eq!(response.status, 200);
                asked.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, larder_testkit::Error>(())
        });
    }
    let further = async |count: usize| {
        let reached = asked.load(Ordering::SeqCst) + count;
        let more = || async { Ok((asked.load(Ordering::SeqCst) >= reached).then_some(())) };
        wait::eventually("waiting for further requests", more).await
    };
    further(20).await?;
    larder.process().signal(Signal::USR2)?;
    let successor = Successor::of(&larder).await?;
    larder.process().line("the succession", |line| line.contains("has taken over").then_some(())).await?;
    further(40).await?;
    origin.gate("middle").open();
    assert!(slow.finish().await?.text().ends_with("second"), "what was under way ends in the old process");
    assert_eq!(larder.exited().await?.code(), Some(0));
    further(40).await?;
    stop.store(true, Ordering::SeqCst);
    while let Some(client) = clients.join_next().await {
        client??;
    }
    // Admin and public addresses are the new process's.
    assert_eq!(larder.admin("/readyz").await?.status, 200);
    // It can be replaced in its turn, and stops as any other.
    kill_process(successor.0, Signal::TERM)?;
    let closed = || async { Ok(Client::connect(clear).await.err()) };
    wait::eventually("waiting for the new process to stop", closed).await.map(drop)
}

#[tokio::test]
async fn a_new_process_that_cannot_start_changes_nothing() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let larder = Larder::before(&origin, "").await?;
    larder.write_config(&config(&origin.url(), "[cache]\nno_such_key = 1"))?;
    larder.process().signal(Signal::USR2)?;
    larder.process().line("the failure", |line| line.contains("before it served; this one goes on").then_some(())).await?;
    assert_eq!(larder.get("/a").await?.text(), "a");
    larder.terminate()?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    assert!(Client::connect(larder.address()).await.is_err(), "no handle of its socket is left");
    Ok(())
}

/// A supervisor that knows the old one alone believes that all has stopped.
#[tokio::test]
async fn a_process_that_is_stopped_while_a_new_one_starts_leaves_none() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    larder.process().signal(Signal::USR2)?;
    let started = Successor::of(&larder).await?;
    larder.terminate()?;
    assert!(larder.exited().await?.success());
    let gone = || async { Ok(kill_process(started.0, Signal::CONT).is_err().then_some(())) };
    wait::eventually("waiting for the new process to end", gone).await?;
    tokio::net::TcpListener::bind(larder.address()).await?;
    Ok(())
}

#[tokio::test]
async fn a_new_process_has_the_disk_and_the_purges_while_the_old_one_still_answers() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, tempfile::TempDir::new()?);
    origin.always("GET", "/a", Answer::ok().body("a"));
    origin.once("POST", "/a", Answer::ok().wait("written").chunk("written"));
    let text = format!(
        "[cache]\nttl = \"1h\"\n[store.disk]\npath = \"{}\"\ncapacity = \"256MiB\"\nadmit = \"all\"\ntimeout = \"10s\"\n",
        folder.path().join("cache").display()
    );
    let larder = Larder::before(&origin, &text).await?;
    larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    larder.metric_reaches("larder_disk_written_total", &[], 1.0).await?;
    let mut slow = Client::connect(larder.address()).await?;
    slow.send("POST", "/a", &[], "").await?;
    origin.wait_for_requests(2).await?;
    larder.process().signal(Signal::USR2)?;
    let successor = Successor::of(&larder).await?;
    larder.process().line("the succession", |line| line.contains("has taken over").then_some(())).await?;
    // The old process has a request under way, and the new one gets the disk; for a moment either of them may tell its figures.
    larder.process().line("the index", |line| line.contains("1 responses are on disk").then_some(())).await?;
    larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    let again = larder.get("/a").await?;
    assert_eq!(again.x_cache(), "HIT", "{again:?}");
    origin.gate("written").open();
    assert!(slow.finish().await?.text().ends_with("written"));
    let purged = || async { Ok((larder.get("/a").await?.x_cache() == "MISS").then_some(())) };
    wait::eventually("waiting for the write of the old process", purged).await?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    kill_process(successor.0, Signal::TERM)?;
    Ok(())
}

/// Without Redis the two processes know nothing of each other's purges. The disk, which the old one has, keeps the new one from serving for a moment.
#[tokio::test]
async fn a_purge_while_a_new_process_starts_reaches_the_one_that_answers() -> Result<()> {
    let (origin, folder) = (Origin::start().await?, tempfile::TempDir::new()?);
    let targets: Vec<String> = (0..16).map(|number| format!("/a/{number}")).collect();
    let text =
        format!("[cache]\nttl = \"1h\"\n[store.disk]\npath = \"{}\"\ncapacity = \"256MiB\"\n", folder.path().join("cache").display());
    let larder = Larder::before(&origin, &text).await?;
    for target in &targets {
        origin.once("GET", target, Answer::ok().body("old"));
        origin.always("GET", target, Answer::ok().body("new"));
        assert_eq!(larder.get(target).await?.text(), "old");
    }
    larder.process().signal(Signal::USR2)?;
    let _successor = Successor::of(&larder).await?;
    let admins = || larder.process().output().iter().filter(|line| line.contains("admin on http://")).count();
    wait::eventually("waiting for the new process to start", || async { Ok((admins() == 2).then_some(())) }).await?;
    for target in &targets {
        let fields = [("Content-Type", "application/json"), ("Connection", "close")];
        let purge = format!("{{\"urls\":[\"http://{}{target}\"]}}", larder.address());
        let purged = Client::connect(larder.admin_address()).await?.exchange("POST", "/purge", &fields, &purge).await?;
        assert_eq!(purged.status, 200, "{purged:?}");
        assert_eq!(larder.get(target).await?.text(), "new", "{target} was purged");
    }
    larder.process().line("the succession", |line| line.contains("has taken over").then_some(())).await?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_process_with_a_journal_is_not_replaced_although_the_file_has_none_any_more() -> Result<()> {
    let (origin, redis, folder) = (Origin::start().await?, Redis::start().await?, tempfile::TempDir::new()?);
    let text = |journal: &str| config(&origin.url(), &format!("[store.redis]\nurl = \"{}\"\n{journal}", redis.url()));
    let larder = Larder::start(&text(&format!("journal = \"{}\"", folder.path().join("journal").display()))).await?;
    larder.write_config(&text(""))?;
    larder.hang_up()?;
    larder.process().line("the reload", |line| line.contains("takes effect at the next start").then_some(())).await?;
    larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], 1.0).await?;
    larder.process().signal(Signal::USR2)?;
    larder.process().line("the refusal", |line| line.contains("which one process has to itself").then_some(())).await?;
    larder.terminate()?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    Ok(())
}
