//! Polls a connection to its end, beside what hyper does: idle and head deadlines, and the shutdown of the server.

use std::future::Future;
use std::pin::{Pin, pin};

use tokio::sync::watch;

use crate::connection::activity::Deadlines;
use crate::connection::peer::Peer;
use crate::http2::streams::Streams;

/// The server's state, for all its connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerState {
    pub(crate) phase: Phase,
    /// Grows with every tick. Connections count how many of them they wait, so no connection needs a timer.
    pub(crate) ticks: u32,
}

/// How far the server has shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    #[default]
    Serving,
    /// No new connections. HTTP/2 clients get GOAWAY. HTTP/1.1 has no such message, and closing an idle connection may lose a request that is
    /// on its way, so the next response says `Connection: close`.
    GoingAway,
    /// Requests under way finish; idle connections close.
    Draining,
    /// Everything ends now.
    Aborting,
}

/// Drives one connection.
pub(crate) struct Driver<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) deadlines: Deadlines,
    /// The streams of an HTTP/2 connection.
    pub(crate) streams: Option<Streams>,
    /// Ticks since one of these streams was busy.
    pub(crate) idle_ticks: u32,
}

/// The effect of a tick on a connection.
enum TickAction {
    Continue,
    /// It has been idle for too long: it takes no more requests.
    ShutDown,
    /// Its client is late.
    Close,
}

impl Driver<'_> {
    /// Polls a connection to its end, shuts it down with the server, and closes it when its client is late. `shut_down` lets requests under
    /// way finish and takes no others.
    pub(crate) async fn drive<C>(mut self, connection: C, shut_down: impl Fn(Pin<&mut C>), mut state: watch::Receiver<ServerState>)
    where
        C: Future<Output = Result<(), hyper::Error>>,
    {
        let mut connection = pin!(connection);
        // The server may have begun to shut down before this connection watched it.
        let phase = state.borrow_and_update().phase;
        match phase {
            Phase::Serving => {}
            Phase::GoingAway => self.go_away(|| shut_down(connection.as_mut())),
            Phase::Draining => shut_down(connection.as_mut()),
            Phase::Aborting => return,
        }
        let result = loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => break result,
                changed = state.changed() => match (changed, state.borrow_and_update().phase) {
                    (Ok(()), Phase::Serving) => match self.tick() {
                        TickAction::Continue => {}
                        TickAction::ShutDown => shut_down(connection.as_mut()),
                        TickAction::Close => return self.peer.set_late(),
                    },
                    (Ok(()), Phase::GoingAway) => self.go_away(|| shut_down(connection.as_mut())),
                    (Ok(()), Phase::Draining) => shut_down(connection.as_mut()),
                    (Ok(()), Phase::Aborting) | (Err(_), _) => return,
                },
            }
        };
        // Set before the connection is dropped: what the socket does then depends on it.
        if result.is_err_and(|error| error.is_parse()) {
            self.peer.set_lingering();
        }
    }

    /// Streams of HTTP/2 overlap, so their connection is idle while none is busy. It gets GOAWAY then (RFC 9113 §6.8), and is closed if its
    /// client has not left within the time of a head.
    fn tick(&mut self) -> TickAction {
        let Some(streams) = &self.streams else {
            return if self.peer.activity().tick(self.deadlines) { TickAction::Close } else { TickAction::Continue };
        };
        let Deadlines { head, idle } = self.deadlines;
        self.idle_ticks = if streams.were_busy() { 0 } else { self.idle_ticks.saturating_add(1) };
        match self.idle_ticks {
            ticks if ticks > idle.saturating_add(head) => TickAction::Close,
            ticks if ticks > idle => TickAction::ShutDown,
            _ => TickAction::Continue,
        }
    }

    /// HTTP/2 can announce the end of a connection without losing a request (RFC 9113 §6.8); HTTP/1.1 can only do so in a response.
    fn go_away(&self, shut_down: impl FnOnce()) {
        if self.streams.is_some() { shut_down() } else { self.peer.close_after_response() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::connection::peer::tests::peer;

    #[tokio::test]
    async fn a_connection_that_begins_while_the_server_drains_or_aborts_ends() {
        for (phase, finishes) in [(Phase::Draining, true), (Phase::Aborting, false)] {
            let (_server, watched) = watch::channel(ServerState { phase, ticks: 0 });
            let (peer, is_shut_down) = (peer(false), Cell::new(false));
            let driver = Driver { peer: &peer, deadlines: Deadlines { head: 1, idle: 1 }, streams: None, idle_ticks: 0 };
            let connection = poll_fn(|_| if is_shut_down.get() { Poll::Ready(Ok(())) } else { Poll::Pending });
            let mut driven = pin!(driver.drive(connection, |_| is_shut_down.set(true), watched));
            let ended = poll_fn(|cx| Poll::Ready(driven.as_mut().poll(cx).is_ready())).await;
            assert_eq!((ended, is_shut_down.get()), (true, finishes), "{phase:?}");
        }
    }
}
