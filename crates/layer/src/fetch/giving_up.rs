//! The end of an exchange without client and follower, where other requests wait for its place.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use tokio::sync::oneshot;

use super::state::Fetch;
use crate::collapse::flight::Permit;
use crate::collapse::outcome::Reply;
use crate::task::pressure::Pressure;

/// Waits for an answer; `None`: its client has left, it has no followers, and other requests wait for its place.
pub(super) async fn unless_given_up<T, B>(
    answer: impl Future<Output = T>,
    fetch: &Fetch,
    reply: &mut oneshot::Sender<Reply<B>>,
    pressure: &Pressure,
) -> Option<T> {
    let mut answer = pin!(answer);
    let mut given_up = None;
    poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        if fetch.in_background {
            return Poll::Pending;
        }
        ready!(reply.poll_closed(cx));
        let given_up = given_up.get_or_insert_with(|| {
            let followed = fetch.permit.as_ref().map(Permit::followed);
            pressure.unattended_exchange(move || followed.as_ref().is_some_and(|followed| followed()))
        });
        Pin::new(given_up).poll(cx).map(|()| None)
    })
    .await
}
