//! The servers of one upstream, and the choice among them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use larder_config::{Balance, PerMille, UpstreamUrl};
use larder_tower::clock::monotonic;
use smallvec::SmallVec;

use super::draw::Draw;
pub(crate) use super::hash::HashInput;
use super::hash::key_of;
use super::policy::{Candidate, least_requests, least_time, nearest, round_robin};
use super::server::Server;
use crate::names::look_up::Found;
use crate::options::UpstreamOptions;

/// All servers: one at least.
pub(crate) struct Servers {
    first: Arc<Server>,
    /// All of them.
    all: Box<[Arc<Server>]>,
    /// What round-robin owes each of them.
    turns: Mutex<Box<[f64]>>,
    draw: Draw,
    /// Held while it is decided whether one more may be left out.
    ejecting: Mutex<()>,
}

type Candidates<'a> = SmallVec<[Candidate<'a>; 8]>;

impl Servers {
    /// `None` where there are none.
    pub(crate) fn new(all: Vec<Arc<Server>>) -> Option<Self> {
        let first = Arc::clone(all.first()?);
        let turns = Mutex::new(vec![0.0; all.len()].into());
        Some(Self { first, all: all.into(), turns, draw: Draw::default(), ejecting: Mutex::default() })
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn all(&self) -> &[Arc<Server>] {
        &self.all
    }

    /// What the name in this URL of the section was last found to stand for.
    pub(crate) fn found(&self, url: &UpstreamUrl) -> BTreeSet<Found> {
        self.all.iter().filter(|server| server.endpoint.url == *url).filter_map(|server| server.found).collect()
    }

    /// Whether there is a choice.
    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The server that has the next exchange, of those that were not `tried` for it.
    pub(crate) fn pick(&self, options: &UpstreamOptions, input: HashInput<'_>, tried: &[Arc<Server>]) -> Arc<Server> {
        if !self.are_several() {
            return Arc::clone(&self.first);
        }
        let config = &options.config;
        let now = monotonic();
        let candidates = self.candidates(tried, |server| server.share(config.warm_up, now));
        let chosen = match &config.balance {
            Balance::LeastTime => None,
            Balance::RoundRobin => round_robin(&candidates, &mut self.turns.lock().unwrap_or_else(PoisonError::into_inner)),
            Balance::LeastRequests => least_requests(&candidates, &self.draw),
            Balance::Hash(key) => key_of(key, input).and_then(|key| nearest(&candidates, key)),
        };
        let chosen = chosen.or_else(|| least_time(&candidates, &self.draw, now));
        chosen.map_or(&self.first, |chosen| chosen.server).clone()
    }

    /// Those that may be asked: the usual ones, or else the backups. If all are down, each of them is asked all the same (the panic rule): more
    /// of them work than is known, or nothing is lost.
    fn candidates(&self, tried: &[Arc<Server>], share: impl Fn(&Server) -> f64) -> Candidates<'_> {
        let of = |wanted: &dyn Fn(&Server) -> bool| -> Candidates<'_> {
            let all = self.all.iter().enumerate();
            let open = all.filter(|(_, server)| wanted(server) && !tried.iter().any(|tried| tried.is(server)));
            open.map(|(place, server)| Candidate { server, share: share(server), place }).collect()
        };
        let rules: [&dyn Fn(&Server) -> bool; 3] =
            [&|server| !server.is_backup && server.standing.is_up(), &|server| server.standing.is_up(), &|_| true];
        rules.into_iter().map(of).find(|candidates| !candidates.is_empty()).unwrap_or_default()
    }

    /// Whether one that was not `tried` is left.
    pub(crate) fn has_untried(&self, tried: &[Arc<Server>]) -> bool {
        self.all.iter().any(|server| !tried.iter().any(|tried| tried.is(server)))
    }

    /// Leaves a server out by `eject`, unless too many are: at most `max_share` of all, but always one.
    pub(crate) fn leave_out(&self, max_share: PerMille, eject: impl FnOnce()) {
        let _deciding = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = (self.all.len() * usize::from(max_share.0) / 1000).max(1);
        let out = self.all.iter().filter(|server| server.standing.is_ejected()).count();
        if self.are_several() && out < allowed {
            eject();
        }
    }
}
