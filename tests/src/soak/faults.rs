//! What happens to the replicas and to Redis, one thing after the other.

use std::time::Duration;

use larder_testkit::Result;
use larder_testkit::faults::Fault;
use rustix::process::Signal;
use tokio::time::sleep;

use super::defect::Defect;
use super::site::Site;

/// Longer than a stall that anybody notices, shorter than time-outs of clients.
const SHORT: Duration = Duration::from_millis(300);

/// Shorter than a replica counts after it was last heard of.
const CUT_OFF: Duration = Duration::from_millis(1_500);

/// Longer than replicas serve without the log.
const AWAY: Duration = Duration::from_secs(4);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A replica reads another configuration.
    Reload,
    /// It refuses one that is wrong.
    BrokenReload,
    /// It stands still for a moment.
    ReplicaStalled,
    /// Its connections to Redis are cut, and new ones too.
    CutOff,
    /// Nothing comes from Redis any more.
    Blackholed,
    /// Answers of Redis are late, cut, ended or nonsense.
    Slow,
    Reset,
    Truncated,
    Garbage,
    /// Redis stands still.
    RedisStalled,
    /// It has lost everything.
    RedisEmptied,
    /// It ends, and another begins empty in its place.
    RedisRestarted,
    /// The same, later than replicas serve without it.
    RedisAway,
}

impl Kind {
    pub(super) const ALL: [Self; 13] = [
        Self::Reload,
        Self::RedisStalled,
        Self::CutOff,
        Self::BrokenReload,
        Self::Slow,
        Self::RedisEmptied,
        Self::Blackholed,
        Self::Reset,
        Self::ReplicaStalled,
        Self::RedisRestarted,
        Self::Truncated,
        Self::Garbage,
        Self::RedisAway,
    ];

    /// Lets it happen to this replica, and waits until everything is as before. `number` tells configurations apart.
    pub(super) async fn happen(self, site: &mut Site, replica: usize, number: usize) -> Result<()> {
        match self {
            Self::Reload => reload(site, replica, &site.config(replica, number), "applied").await?,
            Self::BrokenReload => reload(site, replica, "[nonsense]\n", "refused").await?,
            Self::ReplicaStalled => {
                site.nodes[replica].larder.process().signal(Signal::STOP)?;
                sleep(SHORT).await;
                site.nodes[replica].larder.process().signal(Signal::CONT)?;
            }
            Self::CutOff => between(site, replica, Fault::Refused, CUT_OFF).await,
            Self::Blackholed => between(site, replica, Fault::Blackholed, CUT_OFF).await,
            Self::Slow => between(site, replica, Fault::Slow(Duration::from_millis(20)), CUT_OFF).await,
            Self::Reset => between(site, replica, Fault::ResetMidway, SHORT).await,
            Self::Truncated => between(site, replica, Fault::Truncated, SHORT).await,
            Self::Garbage => between(site, replica, Fault::Garbage, SHORT).await,
            Self::RedisStalled => {
                site.redis.signal(Signal::STOP)?;
                sleep(SHORT).await;
                site.redis.signal(Signal::CONT)?;
            }
            Self::RedisEmptied => drop(site.redis.command(&["FLUSHALL"]).await?),
            Self::RedisRestarted => restart(site, SHORT).await?,
            Self::RedisAway => restart(site, AWAY).await?,
        }
        // The next one begins when this one is over for everybody: two at once may be more than anybody promises.
        site.is_well().await
    }
}

async fn between(site: &Site, replica: usize, fault: Fault, time: Duration) {
    site.nodes[replica].proxy.set(fault);
    sleep(time).await;
    let stays = site.defect == Some(Defect::RedisStaysAway);
    site.nodes[replica].proxy.set(if stays { Fault::Refused } else { Fault::None });
}

async fn restart(site: &mut Site, time: Duration) -> Result<()> {
    site.redis.kill().await?;
    sleep(time).await;
    site.redis.restart().await
}

/// Reads the file anew, and waits for what comes of it.
async fn reload(site: &Site, replica: usize, text: &str, result: &str) -> Result<()> {
    let larder = &site.nodes[replica].larder;
    let label = format!("result=\"{result}\"");
    let before = larder.metric("larder_config_reloads_total", &[&label]).await?;
    larder.write_config(text)?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &[&label], before + 1.0).await
}
