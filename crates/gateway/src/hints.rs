//! Hints about a route's settings, logged once its traffic shows that they may help.

use std::sync::atomic::{AtomicBool, Ordering};

use larder_semantics::CookiePolicy;

use crate::config::Route;

/// The hints that have been logged, by route. A new configuration starts over.
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
        let is_first =
            self.cookies.get(index).is_some_and(|logged| !logged.load(Ordering::Relaxed) && !logged.swap(true, Ordering::Relaxed));
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
