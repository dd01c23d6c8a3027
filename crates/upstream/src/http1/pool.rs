//! The HTTP/1.1 connections of one upstream: idle ones are kept for a while and used again, the last one first.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Response, Uri};
use larder_tower::BoxError;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::connection::{Connection, Lost};
use super::{Late, ResponseBody, Upload};
use crate::connect::Connector;
use crate::error::ClosedIdle;
use crate::observe::UpstreamStats;
use crate::request::interim::InterimSink;

/// Cheap to clone; clones share the connections.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    connector: Connector,
    origin: Uri,
    max_idle: usize,
    idle_timeout: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The longest unused first, each with the number of sweeps before it was put here.
    connections: Vec<(u32, Connection)>,
    /// Sweeps so far, one every half idle timeout. An idle connection is closed after two sweeps, so idle time needs no clock.
    sweep: u32,
    /// Whether a task sweeps.
    is_swept: bool,
}

/// Sweeps after which an idle connection is closed.
const SWEEPS: u32 = 2;

impl Pool {
    /// Connects to `origin`, and keeps at most `max_idle` unused connections, none of them for longer than `idle_timeout`.
    pub(crate) fn new(connector: Connector, origin: Uri, max_idle: usize, idle_timeout: Duration) -> Self {
        Self(Arc::new(Shared { connector, origin, max_idle, idle_timeout, idle: Mutex::default() }))
    }

    /// Sends a request and waits for the response head.
    ///
    /// A connection that turns out to be closed before anything was written is passed over. One may also be closed by the origin at the very
    /// moment a request is written to it. Such a request is sent once more if it is safe (RFC 9110 §9.2.1, §9.2.2), has no content, was
    /// written to a reused connection, and not one byte came back; and on a new connection, because the others that lie idle may have died
    /// with that one. With `fresh` it goes out on a new connection in the first place. Where the head is not there by the `deadline`, the
    /// exchange fails with [`Late`].
    pub(crate) async fn request(
        &self,
        method: &Method,
        mut upload: Upload,
        fresh: bool,
        (interim, stats): (&InterimSink, &UpstreamStats),
        deadline: Option<Instant>,
    ) -> Result<Response<ResponseBody>, BoxError> {
        let mut may_repeat = method.is_safe() && upload.is_text();
        let mut idle = if fresh { None } else { poll_fn(|cx| Poll::Ready(self.idle(cx))).await };
        loop {
            let mut connection = match idle.take() {
                Some(connection) => connection,
                // A future of several kilobytes, for the rare case: not to be moved about with every exchange.
                None => Box::pin(self.connect_by(deadline)).await?,
            };
            match connection.ask(method, &mut upload, interim, deadline).await {
                Ok(head) => {
                    let mut response = Response::new(ResponseBody::new(&head, connection, upload, self));
                    (*response.status_mut(), *response.version_mut(), *response.headers_mut()) = (head.status, head.version, head.headers);
                    return Ok(response);
                }
                Err(Lost { died_idle: true, .. }) if may_repeat => {
                    may_repeat = false;
                    stats.retried();
                    upload.rewind();
                }
                Err(Lost { died_idle: true, error }) => return Err(ClosedIdle(error).into()),
                Err(Lost { error, .. }) => return Err(error),
            }
        }
    }

    /// A connection that has received nothing since its last exchange.
    fn idle(&self, cx: &mut Context<'_>) -> Option<Connection> {
        std::iter::from_fn(|| self.0.take()).find_map(|mut connection| (!connection.has_ended(cx)).then_some(connection))
    }

    async fn connect_by(&self, deadline: Option<Instant>) -> Result<Connection, BoxError> {
        match deadline {
            Some(deadline) => timeout_at(deadline, self.connect()).await.unwrap_or_else(|_elapsed| Err(Late.into())),
            None => self.connect().await,
        }
    }

    async fn connect(&self) -> Result<Connection, BoxError> {
        let stream = self.0.connector.clone().call(self.0.origin.clone()).await?;
        Ok(Connection::new(stream.into_inner()))
    }

    /// Takes back a connection whose exchange is over.
    pub(crate) fn put(&self, mut connection: Connection) {
        connection.rest();
        self.0.put(connection);
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Connection> {
        self.idle().connections.pop().map(|(_, connection)| connection)
    }

    fn put(self: &Arc<Self>, connection: Connection) {
        let mut idle = self.idle();
        if idle.connections.len() >= self.max_idle {
            return;
        }
        let sweep = idle.sweep;
        idle.connections.push((sweep, connection));
        if !idle.is_swept {
            idle.is_swept = true;
            tokio::spawn(sweep_idle(Arc::downgrade(self), self.idle_timeout / SWEEPS));
        }
    }

    /// Closes the connections that have been idle for too long. Whether any are left.
    fn sweep(&self) -> bool {
        let mut idle = self.idle();
        idle.sweep = idle.sweep.wrapping_add(1);
        let sweep = idle.sweep;
        let due = idle.connections.partition_point(|(put, _)| sweep.wrapping_sub(*put) >= SWEEPS);
        let ended: Vec<_> = idle.connections.drain(..due).collect();
        idle.is_swept = !idle.connections.is_empty();
        let left = idle.is_swept;
        drop(idle);
        drop(ended);
        left
    }
}

/// Closes unused connections as they become due, until there are none.
async fn sweep_idle(pool: Weak<Shared>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if !pool.upgrade().is_some_and(|pool| pool.sweep()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::BodyExt;

    use super::*;
    use crate::connect::{Offer, tls_config};
    use crate::http1::HeadWriter;
    use crate::request::content::WatchedBody;
    use crate::tests::origin::{options, origin};
    use crate::url;

    #[tokio::test]
    async fn a_connection_that_waits_keeps_nothing_of_the_room_that_a_long_body_took() {
        let length = 1 << 20;
        let address = origin(move |_, mut connection| async move {
            connection.head().await;
            connection.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length))).await;
            connection.closed().await;
        })
        .await;
        let (options, stats) = (options(&format!("http://{address}")), Arc::<UpstreamStats>::default());
        let tls = tls_config(&options.config).expect("settings");
        let server = &options.config.servers[0].url;
        let connector = Connector::new((server, None), &tls, &options, Arc::clone(&stats), Offer::Http1);
        let pool = Pool::new(connector, url::base(server), 1, Duration::from_secs(4));
        let upload = Upload::new(HeadWriter::new(&Method::GET, "/"), &HeaderMap::new(), WatchedBody::empty());
        let response = pool.request(&Method::GET, upload, false, (&InterimSink::default(), &stats), None).await.expect("response");
        let mut body = response.into_body();
        let mut largest = 0;
        while let Some(frame) = body.frame().await {
            largest = largest.max(frame.expect("frame").into_data().expect("data").len());
        }
        assert!(largest > 8 * 1024, "the room has grown: {largest}");
        let idle = pool.0.idle();
        assert_eq!(idle.connections.iter().map(|(_, connection)| connection.kept()).collect::<Vec<_>>(), [(0, 8 * 1024)]);
    }
}
