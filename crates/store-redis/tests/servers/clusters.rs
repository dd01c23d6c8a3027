use std::sync::Arc;
use std::time::Duration;

use larder_redis::{RedisOptions, RedisServers, RedisStore, RedisUrl, WriteMode};
use larder_store::{Ledger, Loaded, Published, RemoteError, RemoteStore};
use larder_testkit::wait::eventually;
use larder_testkit::{RedisCluster, Result};
use rustix::process::Signal;

use crate::support::{CLOCKS, MINUTE, Replica, ask_for_lease, commit, granted, has_read_the_log, pattern, response, text};

pub(crate) fn replica(cluster: &RedisCluster, seeds: usize, ledger: Arc<Ledger>) -> RedisStore {
    let urls = cluster.urls();
    let seeds = urls.iter().take(seeds).map(|url| RedisUrl::parse(url).unwrap()).collect();
    let mut options = RedisOptions::new(RedisServers::Cluster(seeds));
    options.write = WriteMode::Through;
    options.timeout = Duration::from_secs(5);
    RedisStore::start(options, CLOCKS, ledger, None).unwrap()
}

fn paths() -> impl Iterator<Item = String> {
    (0..30).map(|n| format!("/{n}"))
}

#[tokio::test]
async fn entries_lie_on_all_nodes_and_each_is_found_with_its_lease_and_its_chunks() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let (one, other) = (replica(&cluster, 1, Arc::default()), replica(&cluster, 3, Arc::default()));
    has_read_the_log(&one).await?;
    has_read_the_log(&other).await?;
    // Half of them with a name before the hash tag.
    for replica in [&one, &other] {
        replica.name_keys(Some(Arc::new(|key| key.url().ends_with(['0', '2', '4', '6', '8']).then(|| "even:number".to_owned()))));
    }
    for path in paths() {
        let lease = granted(ask_for_lease(&one, &path, MINUTE).await);
        assert!(matches!(ask_for_lease(&other, &path, MINUTE).await, Ok(Loaded::Awaited(_))));
        commit(&one, response(&path, 7, path.as_bytes()), Some(lease)).await;
        assert_eq!(text(&other, &path).await.as_deref(), Some(path.as_str()));
    }
    let large = pattern(3 * larder_store::SEGMENT + 1);
    commit(&one, response("/large", 7, &large), None).await;
    assert_eq!(text(&other, "/large").await.map(|text| text.len()), Some(String::from_utf8_lossy(&large).len()));
    for node in cluster.nodes() {
        assert!(node.count(&["DBSIZE"]).await? > 3, "every node has some");
    }
    let all = || async { Ok((one.servers().len() == 3 && one.servers().iter().all(|server| !server.address.is_empty())).then_some(())) };
    eventually("waiting for the word of every node", all).await?;
    Ok(())
}

#[tokio::test]
async fn a_holder_that_dies_is_noticed_wherever_its_lease_lies() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let (one, other) = (replica(&cluster, 1, Arc::default()), replica(&cluster, 3, Arc::default()));
    has_read_the_log(&one).await?;
    has_read_the_log(&other).await?;
    let ask = async || match ask_for_lease(&other, "/x", MINUTE).await {
        Ok(Loaded::Awaited(holder)) => holder,
        loaded => panic!("{loaded:?}"),
    };
    let lease = granted(ask_for_lease(&one, "/x", MINUTE).await);
    let holder = ask().await;
    assert_eq!((holder.token, holder.silent), (lease.token(), false));
    // Nothing renews it any more, nor gives it back.
    drop(one);
    let silent = || async { Ok(ask().await.silent.then_some(())) };
    eventually("waiting for the holder to be silent", silent).await
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let store = replica(&cluster, 3, Arc::default());
    has_read_the_log(&store).await?;
    commit(&store, response("/x", 7, b"before"), None).await;
    let names = "return redis.call('KEYS', 'larder:{????????????????????????????????}')";
    let mut from = None;
    for (index, node) in cluster.nodes().iter().enumerate() {
        if node.count(&["EVAL", &format!("return #{}", &names[7..]), "0"]).await? == 1 {
            from = Some(index);
        }
    }
    let from = from.expect("one node has it");
    let (old, new) = (&cluster.nodes()[from], &cluster.nodes()[(from + 1) % 3]);
    let key = old.command(&["EVAL", &format!("{}[1]", names), "0"]).await?;
    let slot = old.count(&["CLUSTER", "KEYSLOT", &key]).await?.to_string();
    let (old_id, new_id) = (old.command(&["CLUSTER", "MYID"]).await?, new.command(&["CLUSTER", "MYID"]).await?);
    new.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old_id]).await?;
    old.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new_id]).await?;
    // The entry is here and the lease would be there: the server says to try again, which is a miss and no failure.
    assert_eq!(ask_for_lease(&store, "/x", MINUTE).await.unwrap_err(), RemoteError::Refused);
    assert_eq!(store.problem(), None);
    let target = new.address();
    old.command(&["MIGRATE", &target.ip().to_string(), &target.port().to_string(), &key, "0", "5000"]).await?;
    for node in [new, old] {
        node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &new_id]).await?;
    }
    assert_eq!(text(&store, "/x").await.as_deref(), Some("before"));
    commit(&store, response("/x", 8, b"after"), None).await;
    assert_eq!(text(&store, "/x").await.as_deref(), Some("after"));
    Ok(())
}

#[tokio::test]
async fn a_purge_survives_a_failover_of_the_node_with_the_log() -> Result<()> {
    let mut cluster = RedisCluster::start().await?;
    let master = cluster.master_of("larder:{log}:s").await?;
    cluster.replicate(master).await?;
    let one = Replica::with(|ledger| replica(&cluster, 3, ledger)).await?;
    let other = Replica::with(|ledger| replica(&cluster, 3, ledger)).await?;
    let before = other.ledger.position().shared();
    // The replica hears nothing any more: what is purged now is lost with its master.
    let spare = &cluster.nodes()[3];
    spare.signal(Signal::STOP)?;
    assert!(matches!(one.invalidate("issues").await, Published::Logged(_)));
    cluster.nodes()[master].kill().await?;
    spare.signal(Signal::CONT)?;
    other.has_read(other.store.stats().log_number + 1_000).await?;
    assert!(!other.vouches("issues", before));
    assert!(other.vouches("issues", other.ledger.position()));
    let tells = || async { Ok(matches!(one.invalidate("users").await, Published::Logged(_)).then_some(())) };
    eventually("waiting for the log to take invalidations", tells).await
}

#[tokio::test]
async fn a_cluster_that_is_not_there_at_the_start_is_found_when_it_comes() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    for node in cluster.nodes() {
        node.signal(Signal::STOP)?;
    }
    let store = replica(&cluster, 2, Arc::default());
    eventually("waiting for the problem to be told", || async { Ok(store.problem()) }).await?;
    for node in cluster.nodes() {
        node.signal(Signal::CONT)?;
    }
    has_read_the_log(&store).await?;
    commit(&store, response("/x", 7, b"hello"), None).await;
    let key = crate::support::key("/x");
    let request = http::HeaderMap::new();
    let ask = larder_store::LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    let found = || async { Ok(matches!(store.load(ask).await, Ok(Loaded::Response(_))).then_some(())) };
    eventually("waiting for the entry", found).await
}

#[tokio::test]
async fn a_message_published_on_any_node_arrives() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let store = replica(&cluster, 1, Arc::default());
    let (received, receiver) = tokio::sync::watch::channel(Vec::new());
    store.listen("purge".to_owned(), move |messages| {
        received.send_modify(|all: &mut Vec<Vec<u8>>| all.extend(messages.into_iter().map(|message| message.text)));
        std::future::ready(())
    });
    let all = || async {
        for (index, node) in cluster.nodes().iter().enumerate() {
            node.command(&["PUBLISH", "purge", &index.to_string()]).await?;
        }
        Ok((0..3).all(|index: u8| receiver.borrow().contains(&index.to_string().into_bytes())).then_some(()))
    };
    eventually("waiting for a message of each node", all).await
}
