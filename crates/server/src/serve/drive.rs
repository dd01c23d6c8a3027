//! What goes on beside the protocol library while it serves a connection: deadlines, and the end of the server.

use std::future::Future;
use std::pin::{Pin, pin};

use tokio::sync::watch;

use crate::connection::activity::Deadlines;
use crate::connection::peer::Peer;
use crate::http2::streams::Streams;

/// What the server tells all its connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pulse {
    pub(crate) phase: Phase,
    /// Grows with every beat, by which connections tell how long they wait.
    pub(crate) beats: u32,
}

/// Where the whole server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    #[default]
    Serving,
    /// No new connections. HTTP/2 clients are told to go; on HTTP/1.1, where closing may cross a request, the next answer says so.
    Parting,
    /// Requests under way finish; idle connections close.
    Draining,
    /// Everything ends now.
    Aborting,
}

/// How a connection goes, beside what its protocol library does.
pub(crate) struct Course<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) deadlines: Deadlines,
    /// Those of HTTP/2.
    pub(crate) streams: Option<Streams>,
    /// Beats since any of them was under way.
    pub(crate) quiet: u32,
}

/// What a beat means to a connection.
enum Due {
    Nothing,
    /// It has been idle for long enough.
    Finish,
    /// The client had its time.
    End,
}

impl Course<'_> {
    /// Polls a connection to its end, tells it when the server drains, and ends it when its client is late. `finish` lets requests under
    /// way finish and takes no others.
    pub(crate) async fn drive<C>(mut self, connection: C, finish: impl Fn(Pin<&mut C>), mut pulse: watch::Receiver<Pulse>)
    where
        C: Future<Output = Result<(), hyper::Error>>,
    {
        let mut connection = pin!(connection);
        // It may have begun when the server was about to stop.
        if pulse.borrow_and_update().phase == Phase::Parting {
            self.part(|| finish(connection.as_mut()));
        }
        let result = loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => break result,
                changed = pulse.changed() => match (changed, pulse.borrow_and_update().phase) {
                    (Ok(()), Phase::Serving) => match self.beat() {
                        Due::Nothing => {}
                        Due::Finish => finish(connection.as_mut()),
                        Due::End => return self.peer.mark_late(),
                    },
                    (Ok(()), Phase::Parting) => self.part(|| finish(connection.as_mut())),
                    (Ok(()), Phase::Draining) => finish(connection.as_mut()),
                    (Ok(()), Phase::Aborting) | (Err(_), _) => return,
                },
            }
        };
        // Before the connection is dropped: the socket's last words depend on why it ended.
        if result.is_err_and(|error| error.is_parse()) {
            self.peer.mark_lingering();
        }
    }

    /// Streams of HTTP/2 take no turns. An idle connection of theirs is told to go (RFC 9113 §6.8), and has the time of a head to do so.
    fn beat(&mut self) -> Due {
        let Some(streams) = &self.streams else {
            return if self.peer.turn().beat(self.deadlines) { Due::End } else { Due::Nothing };
        };
        let Deadlines { head, idle } = self.deadlines;
        self.quiet = if streams.were_busy() { 0 } else { self.quiet.saturating_add(1) };
        match self.quiet {
            quiet if quiet > idle.saturating_add(head) => Due::End,
            quiet if quiet > idle => Due::Finish,
            _ => Due::Nothing,
        }
    }

    /// RFC 9113 §6.8 has a way to say goodbye that crosses no request; HTTP/1.1 has none but an answer.
    fn part(&self, finish: impl FnOnce()) {
        if self.streams.is_some() { finish() } else { self.peer.mark_parting() }
    }
}
