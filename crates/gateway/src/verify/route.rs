//! The verification of one route.

use std::sync::Arc;

use larder_store::InvalidationTarget;
use larder_tower::{Cache, Invalidation};

use super::report::VerifyReport;
use super::state::{Judgement, State};
use crate::config::{OnLeak, Route, Verify, VerifyMode};
use crate::telemetry::Share;
use crate::telemetry::snapshot::{LabelledCount, VerifySnapshot};

/// `verify` of a route, with what was found.
#[derive(Debug)]
pub(crate) struct RouteVerify {
    pub(super) settings: Verify,
    pub(super) route: Arc<str>,
    pub(super) state: Arc<State>,
    share: Share,
}

impl RouteVerify {
    /// `None` where a route has none. What `before` has found of the same route goes on.
    pub(crate) fn of(route: &Route, before: Option<&Self>) -> Option<Self> {
        let settings = route.settings.verify.clone()?;
        let state = before.map_or_else(Arc::default, |before| Arc::clone(&before.state));
        Some(Self { share: Share::new(settings.sample), settings, route: Arc::clone(&route.name), state })
    }

    /// The name of its route.
    pub(crate) fn route(&self) -> &Arc<str> {
        &self.route
    }

    /// Whether a hit is one of the sample.
    pub(crate) fn draws(&self) -> bool {
        self.settings.mode == VerifyMode::Check && self.share.draw()
    }

    /// Whether nothing is to be served from the cache.
    pub(crate) fn is_shadow(&self) -> bool {
        self.settings.mode == VerifyMode::Shadow
    }

    /// Whether nothing is to be cached, since answers depend on who asks.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.is_stopped()
    }

    /// Caches again. Whether that was stopped.
    pub(crate) fn resume(&self) -> bool {
        let was_stopped = self.state.resume();
        if was_stopped {
            tracing::info!(route = %self.route, "answers are cached again, though they were found to depend on who asks");
        }
        was_stopped
    }

    /// Answers depend on who asks. Where the route says so, nothing of it is cached any more, and what is stored is gone.
    pub(super) async fn leaked(&self, cache: &Cache, url: &str) {
        let stops = self.settings.on_leak == OnLeak::Stop;
        if stops && self.state.stop() {
            let told = cache.invalidate(&Invalidation::from(InvalidationTarget::Route(self.route.to_string()))).await;
            tracing::error!(
                route = %self.route, url, position = told.position.0,
                "answers under one key depend on who asks: the route is not cached any more, until `larder verify resume`; give it scope = \"identity\", or put into the key what they depend on"
            );
        } else if self.state.counted(Judgement::Leak) == 1 {
            tracing::error!(
                route = %self.route, url,
                "answers under one key depend on who asks, and one client is served another's: give the route scope = \"identity\", or put into the key what they depend on; further ones are only counted"
            );
        }
    }

    pub(crate) fn report(&self) -> VerifyReport {
        let count = |judgement| self.state.counted(judgement);
        let (agreed, differed, leaks) = (count(Judgement::Agreed), count(Judgement::Differed), count(Judgement::Leak));
        let (judged, found) = (agreed + differed + leaks, self.state.found());
        VerifyReport {
            route: self.route.to_string(),
            mode: self.settings.mode.as_str().to_owned(),
            sample: self.settings.sample,
            judged,
            agreed,
            differed,
            leaks,
            not_judged: count(Judgement::NotJudged),
            skipped: count(Judgement::Skipped),
            agreement: (judged > 0).then(|| agreed as f64 / judged as f64),
            safe_lifetime: found.changed_after,
            oldest_agreed: found.oldest_agreed,
            stalest: found.stalest,
            stopped: self.is_stopped(),
            noise: found.noise.known().into_iter().collect(),
            examples: found.examples(),
        }
    }

    pub(crate) fn snapshot(&self) -> VerifySnapshot {
        let counted = |(label, judgement): (&'static str, Judgement)| LabelledCount { label, count: self.state.counted(judgement) };
        VerifySnapshot {
            route: self.route.to_string(),
            hits: Judgement::ALL.into_iter().map(counted).collect(),
            safe_lifetime: self.state.found().changed_after,
            stopped: self.is_stopped(),
        }
    }
}
