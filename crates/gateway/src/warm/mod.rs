//! Warming: what is fetched before anybody asks for it, by the jobs of `[[warm]]` ([`crate::jobs`]).
//!
//! 1. [`attach`] lets the jobs run through a gateway.
//! 2. A [`run`] asks for one URL after the other ([`request`]), through the services that clients' requests take: same keys, same rules, same
//!    collapsing. It gives way to clients that wait for the same upstream, and to an origin that asks for a pause.
//! 3. Of replicas that share a Redis one runs, and the others find there what it has fetched.

mod request;
mod run;

use std::sync::{Arc, Weak};

use crate::proxy::Gateway;

/// The jobs of a gateway run through it from now on, for as long as it is there.
pub(crate) fn attach(gateway: &Arc<Gateway>) {
    let through = Arc::downgrade(gateway);
    gateway.jobs.run_by(Box::new(move |job, event| tokio::spawn(run::keep_running(Weak::clone(&through), job, event)).abort_handle()));
}
