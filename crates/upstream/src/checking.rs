//! The task that asks the servers of one upstream whether they work. A server that is left out so is asked by clients' requests all the same where
//! no other is left ([`crate::balance::servers::Servers`]).

use std::sync::{Arc, Weak};

use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use larder_config::HealthCheck;

use crate::balance::server::Server;
use crate::check::shared::CheckLease;
use crate::check::streak::Streak;
use crate::error::UpstreamError;
use crate::exchange::body::{Source, UpstreamBody};
use crate::request::content::WatchedBody;
use crate::request::interim::InterimSink;
use crate::request::pace::HeadTimeout;
use crate::upstream::Upstream;

/// Bytes of an answer that are read, so that its connection can be used again.
const MAX_ANSWER: usize = 64 << 10;

/// Asks all servers now and after each `every`, for as long as the upstream is configured.
pub(crate) async fn keep_checking(upstream: Weak<Upstream>) {
    loop {
        let Some(configured) = upstream.upgrade().filter(|upstream| !upstream.is_retired()) else { return };
        let Some(check) = configured.options.config.health.clone() else { return };
        for server in configured.servers.load().all() {
            tokio::spawn(check_once(Arc::clone(&configured), Arc::clone(server), check.clone()));
        }
        drop(configured);
        tokio::time::sleep(check.every).await;
    }
}

/// Asks a server, or takes over what another replica has found.
async fn check_once(upstream: Arc<Upstream>, server: Arc<Server>, check: HealthCheck) {
    let shared = upstream.options.shared_checks.as_ref().filter(|_| check.shared);
    let name = name_of(&server, &check);
    let turn = match shared {
        // Somewhat less than the time between two questions, or every second turn would be left out.
        Some(shared) => shared.turn(&name, check.every * 9 / 10).await,
        None => None,
    };
    let standing = &server.standing;
    let own = || standing.streak();
    let asked = async |before| {
        let answer = ask(&upstream, &server, &check).await;
        (Streak::then(before, answer.is_ok()), answer.err())
    };
    let (streak, reason) = match turn {
        Some(CheckLease { known: Some(known), is_own: false }) => (known, Some("another replica says so".to_owned())),
        // The one that asks has not told yet.
        Some(CheckLease { known: None, is_own: false }) => return,
        Some(CheckLease { known, is_own: true }) => asked(known.or_else(own)).await,
        None => asked(own()).await,
    };
    if let (Some(shared), Some(CheckLease { is_own: true, .. })) = (shared, turn) {
        shared.tell(&name, streak, check.every * 3).await;
    }
    standing.checked(streak, streak.verdict(&check), reason.as_deref().unwrap_or_default(), || upstream.is_retired());
}

/// What replicas with the same check of the same server call it.
fn name_of(server: &Server, check: &HealthCheck) -> String {
    let (from, to) = check.status;
    format!("{} {} {from}-{to} {:?} {:?}", server.standing.label, check.path, check.every, check.timeout)
}

/// Asks the server; an error says, for people, why its answer is no good one in time.
async fn ask(upstream: &Upstream, server: &Server, check: &HealthCheck) -> Result<(), String> {
    let answer = tokio::time::timeout(check.timeout, exchange(upstream, server, check)).await;
    match answer {
        Ok(Ok(status)) if (check.status.0..=check.status.1).contains(&status) => Ok(()),
        Ok(Ok(status)) => Err(format!("it answered {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err("it did not answer in time".to_owned()),
    }
}

/// The status of the answer, once as much of it has been read as matters.
async fn exchange(upstream: &Upstream, server: &Server, check: &HealthCheck) -> Result<u16, UpstreamError> {
    let outgoing = server.outgoing(question(check), WatchedBody::empty(), None, false);
    let interim = InterimSink::default();
    let timeout = HeadTimeout { timeout: check.timeout, min_rate: 0 };
    let response: Response<Source> = outgoing.send(&interim, None, (timeout, &server.standing.stats)).await?;
    let status = response.status().as_u16();
    let body = UpstreamBody::new(response.into_body(), upstream.unlimited(server), None);
    // What is longer, or breaks off, has a status all the same.
    let _ = Limited::new(body, MAX_ANSWER).collect().await;
    Ok(status)
}

fn question(check: &HealthCheck) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = check.path.parse::<Uri>().unwrap_or(Uri::from_static("/"));
    parts.headers.insert(header::USER_AGENT, HeaderValue::from_static("larder"));
    parts
}
