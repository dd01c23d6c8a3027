//! Decisions, added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_semantics::Reason;

use crate::decision::{Decision, Verdict};
use crate::log::{LineCounts, LogRecord};
use crate::report::{Figures, NotStored, OriginLoad, Report, RouteReport, StaleServed, Writes};
use crate::split::Splits;

/// Routes that are named at a reason.
const MAX_ROUTES_OF_REASON: usize = 3;

/// Adds up what was decided about the records of a log, in the order of time.
#[derive(Debug)]
pub struct Account {
    names: Vec<Arc<str>>,
    /// By route; the last is for requests without one.
    routes: Vec<RouteAccount>,
    origin: OriginLoad,
    writes: Writes,
    stale: BTreeMap<Reason, u64>,
    splits: Splits,
    from_ms: Option<u64>,
    to_ms: u64,
}

#[derive(Debug, Default)]
struct RouteAccount {
    figures: Figures,
    /// Requests and bytes that were not stored, by reason.
    not_stored: BTreeMap<Reason, (u64, u64)>,
    /// Requests of which the origin's time is known, and that time.
    timed: (u64, u64),
}

impl Account {
    /// For the routes with these names.
    pub fn new(names: Vec<Arc<str>>) -> Self {
        let routes = (0..=names.len()).map(|_| RouteAccount::default()).collect();
        Self {
            names,
            routes,
            origin: OriginLoad::default(),
            writes: Writes::default(),
            stale: BTreeMap::new(),
            splits: Splits::default(),
            from_ms: None,
            to_ms: 0,
        }
    }

    /// Adds a record and what was decided about it.
    pub fn add(&mut self, record: &LogRecord, decision: &Decision) {
        let index = decision.route.filter(|route| *route < self.names.len()).unwrap_or(self.names.len());
        let time = record.time.as_millis();
        self.from_ms.get_or_insert(time);
        self.to_ms = time;
        let second = time / 1000;
        let reaches_origin = u64::from(decision.verdict != Verdict::Refused);
        self.origin.without.add(second, reaches_origin);
        self.origin.with.add(second, decision.origin_requests.into());
        self.routes[index].add(record, decision);
        if decision.is_write {
            self.writes.writes += 1;
            self.writes.with_targets += u64::from(decision.invalidates > 0);
        }
        self.writes.refetched += u64::from(decision.reason == Reason::Purged);
        if decision.stale {
            *self.stale.entry(decision.reason).or_default() += 1;
        }
        self.splits.add(index, record, decision);
    }

    /// The report so far; what else was found out is added by the caller.
    pub fn report(&self, lines: LineCounts) -> Report {
        let name = |index: usize| self.names.get(index).map_or("(no route)", |name| name).to_owned();
        let mut routes: Vec<RouteReport> = Vec::new();
        let mut total = Figures::default();
        for (index, route) in self.routes.iter().enumerate().filter(|(_, route)| route.figures.requests > 0) {
            total.add(&route.figures);
            routes.push(RouteReport { route: name(index), figures: route.figures });
        }
        routes.sort_by_key(|route| std::cmp::Reverse(route.figures.requests));
        let stale = self.stale.iter().map(|(reason, requests)| StaleServed { reason: reason.as_str(), requests: *requests });
        Report {
            lines,
            from_ms: self.from_ms.unwrap_or_default(),
            to_ms: self.to_ms,
            total,
            routes,
            origin: self.origin,
            not_stored: self.not_stored(name),
            splits: self.splits.worst(name),
            writes: self.writes,
            stale: stale.collect(),
            ..Report::default()
        }
    }

    fn not_stored(&self, name: impl Fn(usize) -> String) -> Vec<NotStored> {
        /// Requests, their bytes, and the requests of each route.
        type OfReason = (u64, u64, Vec<(u64, usize)>);
        let mut by_reason: BTreeMap<Reason, OfReason> = BTreeMap::new();
        for (index, route) in self.routes.iter().enumerate() {
            for (reason, (requests, bytes)) in &route.not_stored {
                let entry = by_reason.entry(*reason).or_default();
                entry.0 += requests;
                entry.1 += bytes;
                entry.2.push((*requests, index));
            }
        }
        let mut reasons: Vec<NotStored> = Vec::new();
        for (reason, (requests, bytes, mut routes)) in by_reason {
            routes.sort_by_key(|(requests, index)| (std::cmp::Reverse(*requests), *index));
            let routes = routes.into_iter().take(MAX_ROUTES_OF_REASON).map(|(_, index)| name(index)).collect();
            reasons.push(NotStored { reason: reason.as_str(), meaning: reason.meaning(), requests, bytes, routes });
        }
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.requests));
        reasons
    }
}

impl RouteAccount {
    fn add(&mut self, record: &LogRecord, decision: &Decision) {
        let figures = &mut self.figures;
        figures.requests += 1;
        figures.bytes += record.bytes;
        figures.origin_requests += u64::from(decision.origin_requests);
        match decision.verdict {
            Verdict::Hit => {
                figures.hits += 1;
                figures.hit_bytes += record.bytes;
            }
            Verdict::Revalidated => figures.revalidated += 1,
            Verdict::Miss => figures.misses += 1,
            Verdict::Bypass => figures.bypassed += 1,
            Verdict::Refused => figures.refused += 1,
        }
        // The time of a hit in another cache is not that of the origin.
        let known = record.origin_time.filter(|_| record.was_hit != Some(true)).map(|time| time.as_micros() as u64);
        if let Some(time) = known {
            self.timed.0 += 1;
            self.timed.1 += time;
        }
        let mean = self.timed.1.checked_div(self.timed.0).unwrap_or_default();
        let time = known.unwrap_or(mean);
        self.figures.origin_us += time;
        self.figures.saved_us += if decision.is_hit() { time } else { 0 };
        let not_stored = matches!(decision.verdict, Verdict::Miss | Verdict::Bypass) && !decision.stored && !decision.is_write;
        if not_stored {
            let entry = self.not_stored.entry(decision.reason).or_default();
            entry.0 += 1;
            entry.1 += record.bytes;
        }
    }
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.hits += other.hits;
        self.revalidated += other.revalidated;
        self.misses += other.misses;
        self.bypassed += other.bypassed;
        self.refused += other.refused;
        self.bytes += other.bytes;
        self.hit_bytes += other.hit_bytes;
        self.origin_us += other.origin_us;
        self.saved_us += other.saved_us;
        self.origin_requests += other.origin_requests;
    }
}
