//! The bound on every wait: a test that hangs is a test that fails, and says at what it hung.

use std::fmt::Display;
use std::time::Duration;

use crate::{Error, Result};

/// How long any single step of a test may take.
pub const MAX_WAIT: Duration = Duration::from_secs(10);

/// How long a whole scenario may take.
pub const MAX_SCENARIO: Duration = Duration::from_secs(20);

/// The future's output, or an error that names `what` was waited for.
pub async fn within<F: Future>(what: impl Display, future: F) -> Result<F::Output> {
    match tokio::time::timeout(MAX_WAIT, future).await {
        Ok(output) => Ok(output),
        Err(_) => Err(Error::new(format!("{what}: nothing happened for {} s", MAX_WAIT.as_secs()))),
    }
}

/// Asks `probe` until it answers with something, at most for [`MAX_WAIT`]. For states that only another process's counters show.
pub async fn eventually<T, F: Future<Output = Result<Option<T>>>>(what: impl Display, mut probe: impl FnMut() -> F) -> Result<T> {
    let polled = async {
        loop {
            if let Some(found) = probe().await? {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(what, polled).await?
}
