//! A Cluster of real servers.

use super::{Redis, free_address};
use crate::wait::eventually;
use crate::{Error, Result};

const SLOTS: usize = 16384;

/// The masters of a Cluster, and the one replica that one of them may have.
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three masters, each with a third of the slots.
    pub async fn start() -> Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(node().await?);
        }
        let share = SLOTS.div_ceil(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let slots: Vec<String> = (index * share..SLOTS.min((index + 1) * share)).map(|slot| slot.to_string()).collect();
            let mut add = vec!["CLUSTER", "ADDSLOTS"];
            add.extend(slots.iter().map(String::as_str));
            ok(node, &add).await?;
            ok(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await?;
        }
        let cluster = Self { nodes };
        for node in &cluster.nodes[1..] {
            cluster.meet(node).await?;
        }
        cluster.agrees().await?;
        Ok(cluster)
    }

    async fn meet(&self, node: &Redis) -> Result<()> {
        let (first, bus) = (self.nodes[0].address(), bus_port(&self.nodes[0]).await?);
        ok(node, &["CLUSTER", "MEET", &first.ip().to_string(), &first.port().to_string(), &bus]).await
    }

    /// Waits until every node knows all of them, and that every slot is served.
    async fn agrees(&self) -> Result<()> {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        for node in &self.nodes {
            let agrees = || async {
                let info = node.command(&["CLUSTER", "INFO"]).await?;
                Ok((info.contains("cluster_state:ok") && info.contains(&known)).then_some(()))
            };
            eventually("waiting for the Cluster to agree", agrees).await?;
        }
        Ok(())
    }

    /// The nodes, masters first.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The URLs of the nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// The master that serves the slot of this key.
    pub async fn master_of(&self, key: &str) -> Result<usize> {
        let slot = self.nodes[0].count(&["CLUSTER", "KEYSLOT", key]).await?;
        usize::try_from(slot).map(|slot| slot / SLOTS.div_ceil(3)).map_err(|_| Error::new("a slot below zero"))
    }

    /// Gives a master a replica, and waits until that has everything.
    pub async fn replicate(&mut self, master: usize) -> Result<()> {
        let replica = node().await?;
        self.meet(&replica).await?;
        let id = self.nodes[master].command(&["CLUSTER", "MYID"]).await?;
        let taken = || async { Ok((replica.command(&["CLUSTER", "REPLICATE", &id]).await? == "+OK").then_some(())) };
        eventually("waiting for the replica to know its master", taken).await?;
        super::replicates(&replica).await?;
        self.nodes.push(replica);
        self.agrees().await
    }
}

async fn node() -> Result<Redis> {
    // The bus's own choice, ten thousand above, may not be a port at all.
    let bus = free_address()?.port().to_string();
    Redis::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"]).await
}

async fn bus_port(node: &Redis) -> Result<String> {
    let nodes = node.command(&["CLUSTER", "NODES"]).await?;
    let bus = nodes.split_once('@').map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect());
    bus.ok_or_else(|| Error::new(format!("no bus in {nodes}")))
}

async fn ok(node: &Redis, command: &[&str]) -> Result<()> {
    match node.command(command).await?.as_str() {
        "+OK" => Ok(()),
        answer => Err(Error::new(format!("{:?} answered {answer}", &command[..2]))),
    }
}
