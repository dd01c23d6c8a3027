//! Changes of the origin's data, told to the replicas by writes through them and by purges.

use std::sync::Arc;
use std::time::Duration;

use larder_testkit::{Client, Error, Result};
use serde_json::{Value, json};

use super::defect::Defect;
use super::judge::{Promise, Violation};
use super::site::Node;
use super::subject::{Family, Subject};
use super::{HOST, REPLICAS, Run};
use crate::Lot;

/// The time between two changes: readers find something stored meanwhile.
const PACE: Duration = Duration::from_millis(25);

/// A write and a purge through each replica.
pub(super) async fn warm(run: &Run, nodes: &[Arc<Node>]) -> Result<()> {
    let mut lot = Lot(1);
    for (replica, node) in nodes.iter().enumerate() {
        let subject = Subject::drawn(Family::Key, &mut lot);
        write(run, node, replica, subject).await?;
        purge(run, node, replica, subject, &mut lot).await?;
    }
    Ok(())
}

/// Changes until the run is over.
pub(super) async fn change(run: Arc<Run>, nodes: Vec<Arc<Node>>, mut lot: Lot) {
    while !run.is_over() {
        tokio::time::sleep(PACE).await;
        let family =
            lot.one_of(&[Family::Key, Family::Key, Family::Language, Family::Identity, Family::Cookie, Family::Stream, Family::Large]);
        let (replica, subject) = (lot.below(REPLICAS), Subject::drawn(family, &mut lot));
        let done = match family.is_written() && lot.below(2) == 0 {
            true => write(&run, &nodes[replica], replica, subject).await,
            false => purge(&run, &nodes[replica], replica, subject, &mut lot).await,
        };
        if let Err(error) = done {
            run.found(Violation::new(Promise::AlwaysAnswered, format!("replica {replica}: changing {subject}: {error}")));
        }
    }
}

/// A write through a replica: once it is answered, this replica serves nothing older.
async fn write(run: &Run, node: &Node, replica: usize, subject: Subject) -> Result<()> {
    let response = node.larder.request("PUT", &subject.path(), &[HOST, ("Accept-Language", subject.reader)], "new").await?;
    let version = response.header("x-version").and_then(|version| version.parse().ok());
    let version = version.ok_or_else(|| Error::new(format!("a write was answered with {response:?}")))?;
    run.truth.acknowledged(replica, subject, version);
    run.counts.write();
    Ok(())
}

/// A change that only the origin knows of, and the purge that tells of it.
async fn purge(run: &Run, node: &Node, replica: usize, subject: Subject, lot: &mut Lot) -> Result<()> {
    let version = run.truth.change(subject);
    if run.defect == Some(Defect::UnsentPurges) {
        run.truth.acknowledged(replica, subject, version);
        return Ok(());
    }
    let path = subject.path();
    let body = match lot.below(40) {
        0 => json!({"all": true}),
        1..=8 => json!({"prefixes": [format!("site.example{path}")]}),
        9..=16 => json!({"patterns": [format!("*.example{path}")]}),
        17..=26 => json!({"urls": [format!("http://site.example{path}")]}),
        _ => json!({"tags": [subject.tag()]}),
    };
    let fields = [("Content-Type", "application/json")];
    let answer =
        Client::connect(node.larder.admin_address()).await?.exchange("POST", "/purge?wait=300ms", &fields, &body.to_string()).await?;
    if !matches!(answer.status, 200 | 202) {
        return Err(Error::new(format!("a purge was answered with {answer:?}")));
    }
    let said: Value = serde_json::from_str(&answer.text())?;
    let is_everywhere = said["applied"].is_u64() && said["applied"] == said["replicas"];
    for told in (0..REPLICAS).filter(|told| is_everywhere || *told == replica) {
        run.truth.acknowledged(told, subject, version);
    }
    run.counts.purge(is_everywhere);
    Ok(())
}
