//! The end of an exchange without client and follower, where other requests wait for its place.

use std::future::pending;
use std::time::Duration;

use tokio::sync::oneshot;

use super::pump::Pump;
use super::state::Fetch;
use crate::body::log::LogWriter;
use crate::collapse::flight::{Landed, Permit};
use crate::collapse::outcome::Reply;
use crate::task::pressure::{GivenUp, Pressure};
use crate::upstream::Upstream;

/// Waits for an answer; `None`: its client has left, it has no followers, and other requests wait for its place.
pub(super) async fn unless_given_up<T, B>(
    answer: impl Future<Output = T>,
    fetch: &Fetch,
    reply: &mut oneshot::Sender<Reply<B>>,
    pressure: &Pressure,
) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = unattended(fetch, reply, pressure), if !fetch.in_background => None,
    }
}

/// Ready when its client has left, it has no followers, and other requests wait for its place.
async fn unattended<B>(fetch: &Fetch, reply: &mut oneshot::Sender<Reply<B>>, pressure: &Pressure) {
    reply.closed().await;
    loop {
        let followed = fetch.permit.as_ref().map(Permit::followed);
        let given_up = pressure.unattended_exchange(move || followed.as_ref().is_some_and(|followed| followed()));
        tokio::select! {
            biased;
            () = given_up => return,
            // A request may wait already, which found that it was followed.
            () = deserted(fetch.permit.as_ref()) => {}
        }
    }
}

/// Ready when there may be no followers any more.
async fn deserted(permit: Option<&Permit>) {
    match permit {
        Some(permit) => permit.deserted().await,
        None => pending().await,
    }
}

/// Ready when the last reader of a body has left, unless that is known (`has_left`), or the last request that waits for its end.
pub(super) async fn left(writer: &LogWriter, has_left: bool, permit: Option<&Permit>) {
    tokio::select! {
        () = writer.left(), if !has_left => {}
        () = deserted(permit) => {}
    }
}

/// Ready when an exchange is given up that can be.
pub(super) async fn given_up(exchange: &mut Option<GivenUp>) {
    match exchange {
        Some(given_up) => given_up.await,
        None => pending().await,
    }
}

/// A body is wanted by its readers, and by the requests that wait for its end where that has to be judged before anybody else gets it.
impl<S: Upstream> Pump<S> {
    /// Ready when nobody wants the body, and other requests wait for the place that the exchange takes.
    pub(super) fn unattended(&self) -> GivenUp {
        let (read, followed) = (self.writer.read(), self.fetch.permit.as_ref().map(Permit::followed));
        let is_wanted = move || read() || followed.as_ref().is_some_and(|followed| followed());
        self.service.route.pressure.unattended_exchange(is_wanted)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.writer.has_readers() || self.fetch.is_followed()
    }

    /// For how long it has had no readers; `None` while somebody wants it.
    pub(super) fn left_for(&self) -> Option<Duration> {
        if self.fetch.is_followed() { None } else { self.writer.left_for() }
    }

    /// Whether a request came between the decision to give up and the end of the flight, which is now: after that none can.
    pub(super) fn is_wanted_after_all(&mut self) -> bool {
        // It was used; another one stands for the place that the exchange still takes.
        self.given_up = None;
        let followed = self.landed.take().is_some_and(Landed::leave);
        followed || self.is_wanted()
    }
}
