//! The time that an exchange spends on a new connection, for who observes it.
//!
//! Connections are made deep inside of the pools, for whoever comes next; so the time is left where the task that waits for one finds it.

use std::cell::Cell;
use std::future::Future;
use std::time::Instant;

tokio::task_local! {
    static CONNECT: Cell<Option<Times>>;
}

/// When something began and ended.
type Times = (Instant, Instant);

/// Runs an exchange, and returns with its outcome the times of the connection that was made for it, if one was.
pub(crate) async fn with_connect_times<T>(exchange: impl Future<Output = T>) -> (T, Option<(Instant, Instant)>) {
    let exchange = async {
        let outcome = exchange.await;
        (outcome, CONNECT.with(Cell::take))
    };
    CONNECT.scope(Cell::new(None), exchange).await
}

/// A connection was made in these times. Where nobody observes the exchange, nothing is done.
pub(super) fn connected(times: impl FnOnce() -> Times) {
    let _ = CONNECT.try_with(|connect| connect.set(Some(times())));
}
