//! What is under test: two replicas with memory, disk and a shared Redis, each behind a proxy that breaks, and an origin.

use std::sync::Arc;

use larder_testkit::faults::FaultProxy;
use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Larder, Origin, Redis, Result};
use serde_json::Value;
use tempfile::TempDir;

use super::defect::Defect;
use super::subject::Family;
use super::truth::Truth;
use super::{REPLICAS, answers};

/// `capacity` of [store.memory]: less than there is to be stored, so that something is always dropped.
pub(super) const CAPACITY: usize = 2 << 20;

/// How long replicas serve without the log. A whole Redis that is away is away for longer, a replica that is cut off for less.
const MAX_LAG: &str = "2s";

/// A replica, and what lies between it and Redis.
pub(super) struct Node {
    pub(super) larder: Larder,
    pub(super) proxy: FaultProxy,
    folder: TempDir,
    namespace: String,
}

pub(super) struct Site {
    pub(super) origin: Origin,
    pub(super) redis: Redis,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) defect: Option<Defect>,
}

impl Site {
    pub(super) async fn start(truth: &Arc<Truth>, defect: Option<Defect>) -> Result<Self> {
        let told = Arc::clone(truth);
        let origin = Origin::unrecorded(move |request| answers::answer(request, &told, defect)).await?;
        let redis = Redis::start().await?;
        let mut nodes = Vec::new();
        for replica in 0..REPLICAS {
            let proxy = FaultProxy::start(redis.address()).await?;
            let namespace = if defect == Some(Defect::ReplicasApart) { format!("apart-{replica}") } else { "soak".to_owned() };
            let folder = TempDir::new()?;
            let text = config(&origin.url(), &settings(replica, &origin, &proxy, &folder, &namespace, 0));
            nodes.push(Arc::new(Node { larder: Larder::start(&text).await?, proxy, folder, namespace }));
        }
        let site = Self { origin, redis, nodes, defect };
        site.is_well().await?;
        Ok(site)
    }

    /// A configuration that differs from that of other numbers in what a reload may change.
    pub(super) fn config(&self, replica: usize, number: usize) -> String {
        let Node { proxy, folder, namespace, .. } = &*self.nodes[replica];
        config(&self.origin.url(), &settings(replica, &self.origin, proxy, folder, namespace, number))
    }

    /// Every replica has both its tiers, has read the log to its end, and told what it had to tell.
    pub(super) async fn is_well(&self) -> Result<()> {
        for node in &self.nodes {
            let well = || async {
                let detail: Value = serde_json::from_str(&node.larder.admin("/readyz").await?.text())?;
                let works = |tier: &str| detail[tier]["state"] == "ok";
                Ok((works("redis") && works("disk") && detail["redis"]["log_lag_seconds"] == 0).then_some(()))
            };
            eventually("waiting for the log of invalidations to be read", well).await?;
            let told = || async { Ok((node.larder.metric("larder_invalidations_untold", &[]).await? == 0.0).then_some(())) };
            eventually("waiting for all purges to be told", told).await?;
        }
        Ok(())
    }
}

fn settings(replica: usize, origin: &Origin, proxy: &FaultProxy, folder: &TempDir, namespace: &str, number: usize) -> String {
    let (origin, redis, disk) = (origin.url(), proxy.address(), folder.path().join("disk"));
    let (disk, ttl) = (disk.display(), 20 + number % 5);
    // One of them holds texts compressed.
    let compress = if replica == 0 { "compress = { min = \"1KiB\" }" } else { "" };
    let head = format!(
        r#"
[server]
listen = "127.0.0.1:0"
[log]
access = "off"
[cache]
namespace = "{namespace}"
ttl = "{ttl}s"
stale_while_revalidate = "20s"
stale_if_error = "60s"
collapse = {{ wait = "500ms" }}
[store.memory]
capacity = "{CAPACITY}B"
max_object = "256KiB"
{compress}
[store.disk]
path = "{disk}"
capacity = "256MiB"
write_rate = "0B"
write_queue = "8MiB"
[store.redis]
url = "redis://{redis}"
max_lag = "{MAX_LAG}"
write_queue = "8MiB"
breaker = {{ failures = 5, open = "500ms" }}
[upstreams.api]
url = "{origin}"
idle_timeout = "1s"
# Its failures are its own: they open no breaker before the other.
[upstreams.broken]
url = "{origin}"
idle_timeout = "1s"
breaker = {{ failures = 5, open = "200ms" }}
"#
    );
    Family::ALL.into_iter().fold(head, |text, family| text + &route(family))
}

/// Each resource has a tag, and a write of it purges that.
fn route(family: Family) -> String {
    let word = family.word();
    let (upstream, more) = match family {
        Family::Identity => ("api", "scope = \"identity\"\n"),
        Family::Broken => ("broken", ""),
        _ => ("api", ""),
    };
    let write = match family.is_written() {
        true => format!("[[on_write]]\npath = \"/{word}/{{n}}\"\npurge = [\"tag:{word}:{{n}}\"]\n"),
        false => String::new(),
    };
    format!("[[routes]]\nname = \"{word}\"\npath = \"/{word}/{{n}}\"\nupstream = \"{upstream}\"\ntags = [\"{word}:{{n}}\"]\n{more}{write}")
}
