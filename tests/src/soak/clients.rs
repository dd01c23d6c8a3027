//! Clients of one replica: they read, slowly or in parts or not to the end, and have each answer judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use larder_testkit::client::H2Client;
use larder_testkit::{Client, Error, Result};

use super::judge::{Asked, Got, Promise, Violation, judge};
use super::site::Node;
use super::subject::{Family, Subject};
use super::{HOST, Run};
use crate::Lot;

/// What is read how often: a hundred in all.
const MIX: [(Family, usize); 8] = [
    (Family::Key, 56),
    (Family::Language, 12),
    (Family::Identity, 7),
    (Family::Private, 5),
    (Family::Cookie, 5),
    (Family::Stream, 6),
    (Family::Large, 2),
    (Family::Broken, 7),
];

/// What a slow client takes at once, and the pause after it.
const SIP: usize = 128 * 1024;
const SIP_PAUSE: Duration = Duration::from_millis(20);

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Whole,
    Head,
    Confirm,
    Part,
    /// Over a connection that takes little at once.
    Slowly,
    /// It leaves once the answer has begun.
    Leaves,
}

/// By lot, a hundred in all.
const MANNERS: [(Manner, usize); 6] =
    [(Manner::Whole, 76), (Manner::Head, 4), (Manner::Confirm, 7), (Manner::Part, 7), (Manner::Slowly, 2), (Manner::Leaves, 4)];

fn drawn<T: Copy>(from: &[(T, usize)], lot: &mut Lot) -> T {
    let mut left = lot.below(from.iter().map(|(_, share)| share).sum());
    for (value, share) in from {
        match left.checked_sub(*share) {
            Some(rest) => left = rest,
            None => return *value,
        }
    }
    from[0].0
}

/// A client over HTTP/1.1.
pub(super) struct Reader {
    run: Arc<Run>,
    node: Arc<Node>,
    replica: usize,
    lot: Lot,
    client: Option<Client>,
    /// What it has of each subject.
    has: BTreeMap<Subject, String>,
}

impl Reader {
    pub(super) fn new(run: Arc<Run>, node: Arc<Node>, replica: usize, lot: Lot) -> Self {
        Self { run, node, replica, lot, client: None, has: BTreeMap::new() }
    }

    /// Reads until the run is over.
    pub(super) async fn run(mut self) {
        while !self.run.is_over() {
            let (family, manner) = (drawn(&MIX, &mut self.lot), drawn(&MANNERS, &mut self.lot));
            let subject = Subject::drawn(family, &mut self.lot);
            if let Err(violation) = self.read(subject, manner).await {
                self.run.found(violation);
            }
        }
    }

    /// Reads once.
    pub(super) async fn read_whole(&mut self, subject: Subject) -> std::result::Result<(), Violation> {
        self.read(subject, Manner::Whole).await
    }

    async fn read(&mut self, subject: Subject, manner: Manner) -> std::result::Result<(), Violation> {
        let asked = self.asked(subject, manner);
        let outcome = match manner {
            Manner::Leaves => self.leave(&asked).await.map(|()| None),
            Manner::Slowly => self.sip(&asked).await.map(Some),
            _ => self.exchange(&asked).await.map(Some),
        };
        let unanswered = |error| {
            let seen = format!("replica {}: {} {subject} {manner:?}: {error}", self.replica, asked.method);
            Violation::new(Promise::AlwaysAnswered, seen)
        };
        let Some(got) = outcome.map_err(unanswered)? else { return Ok(()) };
        self.run.counts.answer(subject.family, &got);
        judge(&asked, &got)?;
        if let Some(etag) = got.etag.filter(|_| subject.family != Family::Broken) {
            self.has.insert(subject, etag);
        }
        Ok(())
    }

    fn asked(&mut self, subject: Subject, manner: Manner) -> Asked {
        let has = self.has.get(&subject).cloned().filter(|_| manner == Manner::Confirm);
        let range = (manner == Manner::Part && subject.family != Family::Broken).then(|| {
            let start = self.lot.below(subject.min_length() - 1);
            (start, start + self.lot.below(subject.min_length() - start))
        });
        let method = if manner == Manner::Head { "HEAD" } else { "GET" };
        let may_break_off = subject.family == Family::Broken || subject.family == Family::Stream && self.run.has_faults;
        Asked { subject, method, range, has, min: self.run.truth.min(self.replica, subject), may_break_off }
    }

    /// On its own connection, which it keeps.
    async fn exchange(&mut self, asked: &Asked) -> Result<Got> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.node.larder.connect().await?,
        };
        send(&mut client, asked).await?;
        let response = client.finish().await?;
        let closes = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if response.complete && !closes {
            self.client = Some(client);
        }
        Ok(response.into())
    }

    async fn sip(&self, asked: &Asked) -> Result<Got> {
        let mut client = Client::connect_narrow(self.node.larder.address()).await?;
        send(&mut client, asked).await?;
        client.head().await?;
        let length = asked.subject.min_length();
        for taken in (SIP..length).step_by(SIP) {
            // What ends before is judged as it has ended.
            if client.read_at_least(taken).await.is_err() {
                break;
            }
            tokio::time::sleep(SIP_PAUSE).await;
        }
        Ok(client.finish().await?.into())
    }

    async fn leave(&self, asked: &Asked) -> Result<()> {
        let mut client = self.node.larder.connect().await?;
        send(&mut client, asked).await?;
        client.head().await.map(drop)
    }
}

async fn send(client: &mut Client, asked: &Asked) -> Result<()> {
    let range = asked.range.map(|(start, end)| format!("bytes={start}-{end}"));
    let own = asked.subject.field();
    let mut fields = vec![HOST];
    fields.extend(own.as_ref().map(|(name, value)| (*name, value.as_str())));
    fields.extend(range.as_deref().map(|range| ("Range", range)));
    fields.extend(asked.has.as_deref().map(|tag| ("If-None-Match", tag)));
    client.send(asked.method, &asked.subject.path(), &fields, "").await
}

/// Reads keys over one HTTP/2 connection until the run is over.
pub(super) async fn read_over_http2(run: Arc<Run>, node: Arc<Node>, replica: usize, mut lot: Lot) {
    let read = async {
        let mut client = H2Client::connect(node.larder.address()).await?.for_authority(HOST.1);
        while !run.is_over() {
            let subject = Subject::drawn(Family::Key, &mut lot);
            let asked =
                Asked { subject, method: "GET", range: None, has: None, min: run.truth.min(replica, subject), may_break_off: false };
            let got = client.exchange("GET", &subject.path(), &[], "").await?.into();
            run.counts.answer(subject.family, &got);
            if let Err(violation) = judge(&asked, &got) {
                run.found(violation);
            }
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = read.await {
        run.found(Violation::new(Promise::AlwaysAnswered, format!("replica {replica}, over HTTP/2: {error}")));
    }
}
