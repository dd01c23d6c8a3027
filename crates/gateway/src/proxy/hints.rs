//! What an operator may want to say about a route, told in the log once the route's traffic shows it.

use std::sync::atomic::{AtomicBool, Ordering};

use larder_semantics::CookiePolicy;

use crate::config::Route;

/// What has been told already, by route; a new configuration begins anew.
#[derive(Debug)]
pub(crate) struct Hints {
    cookies: Box<[AtomicBool]>,
}

impl Hints {
    /// For so many routes.
    pub(crate) fn new(routes: usize) -> Self {
        Self { cookies: (0..routes).map(|_| AtomicBool::new(false)).collect() }
    }

    /// A request of this route did without the store for its cookies.
    pub(crate) fn see_cookies(&self, index: usize, route: &Route) {
        if route.settings.policy.cookies != CookiePolicy::Private {
            return;
        }
        let is_first = self.cookies.get(index).is_some_and(|told| !told.load(Ordering::Relaxed) && !told.swap(true, Ordering::Relaxed));
        if is_first {
            tracing::info!(
                route = %route.name,
                "answers to requests with cookies are not shared here, since the backend does not say how long they are fresh; name cookies \
                 that it does not look at in `ignore_cookies`, those that it answers by in `key.cookies`, or set `cookies = \"ignore\"` where \
                 answers are the same for everyone"
            );
        }
    }
}
