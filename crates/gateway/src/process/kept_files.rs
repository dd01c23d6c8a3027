//! What is counted for a day or a month, kept over a restart: files in `state_dir`, written every minute, at the end, and before another process takes over.

use std::sync::Arc;

use super::{quota_file, spending_file};
use crate::proxy::Gateway;
use crate::state_files::EVERY;

/// Takes what an earlier process has left.
pub(super) fn restore(gateway: &Gateway) {
    quota_file::restore(gateway);
    spending_file::restore(gateway);
}

/// Writes everything every minute, for as long as it is polled.
pub(super) async fn keep(gateway: &Arc<Gateway>) {
    let mut ticks = tokio::time::interval(EVERY);
    // The first one is now.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let gateway = Arc::clone(gateway);
        // A disk may hold it up.
        let _ = tokio::task::spawn_blocking(move || save(&gateway)).await;
    }
}

/// Writes everything.
pub(super) fn save(gateway: &Gateway) {
    quota_file::save(gateway);
    spending_file::save(gateway);
}
