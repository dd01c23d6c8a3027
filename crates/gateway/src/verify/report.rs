//! What verification has found, as `GET /verify` tells it and the command line reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Examples of a route that is told of by several replicas.
const MAX_EXAMPLES: usize = 20;

/// One route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerifyReport {
    pub(crate) route: String,
    /// `check` or `shadow`.
    pub(crate) mode: String,
    /// The share of hits that is compared.
    pub(crate) sample: f64,
    /// Hits that were compared, since the start.
    pub(crate) judged: u64,
    pub(crate) agreed: u64,
    /// Those where the origin said something else.
    pub(crate) differed: u64,
    /// Those whose answer depends on who asks.
    pub(crate) leaks: u64,
    /// Those that could not be compared, since the origin failed or the answer was too long.
    pub(crate) not_judged: u64,
    /// Those that were left out, since the upstream had no place to spare.
    pub(crate) skipped: u64,
    /// The share of what was compared that agreed; `None`: nothing was compared.
    pub(crate) agreement: Option<f64>,
    /// The age, in seconds, from which on answers had changed: a shorter lifetime would have been safe. `None`: none had.
    pub(crate) safe_lifetime: Option<u32>,
    /// The greatest age at which an answer still agreed, in seconds.
    pub(crate) oldest_agreed: u32,
    /// The greatest age at which an answer differed, in seconds.
    pub(crate) stalest: u32,
    /// Whether the route is not cached, since its answers depend on who asks.
    pub(crate) stopped: bool,
    /// Members of answers that differ each time, and are left out.
    pub(crate) noise: Vec<String>,
    /// The last ones that differed, the newest first.
    pub(crate) examples: Vec<Example>,
}

/// An answer that differed. None of its values is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Example {
    /// When, as of RFC 3339.
    pub(crate) at: String,
    /// Secrets in it are masked.
    pub(crate) url: String,
    /// How old what is stored was, in seconds.
    pub(crate) age: u32,
    /// Whether it depends on who asks.
    pub(crate) leak: bool,
    /// Where it differed: `status`, `header NAME`, `body` or members of JSON.
    pub(crate) places: Vec<String>,
}

impl VerifyReport {
    /// Adds what another replica has found about the same route.
    fn add(&mut self, other: Self) {
        self.judged += other.judged;
        self.agreed += other.agreed;
        self.differed += other.differed;
        self.leaks += other.leaks;
        self.not_judged += other.not_judged;
        self.skipped += other.skipped;
        self.agreement = (self.judged > 0).then(|| self.agreed as f64 / self.judged as f64);
        self.safe_lifetime = self.safe_lifetime.into_iter().chain(other.safe_lifetime).min();
        self.oldest_agreed = self.oldest_agreed.max(other.oldest_agreed);
        self.stalest = self.stalest.max(other.stalest);
        self.stopped |= other.stopped;
        self.noise.extend(other.noise);
        self.noise.sort_unstable();
        self.noise.dedup();
        self.examples.extend(other.examples);
        // Leaks first, the newest of each first: RFC 3339 in UTC sorts as text.
        self.examples.sort_by(|one, another| (another.leak, &another.at).cmp(&(one.leak, &one.at)));
        self.examples.truncate(MAX_EXAMPLES);
    }
}

/// What several replicas have found, by route.
pub(crate) fn merged(reports: Vec<VerifyReport>) -> Vec<VerifyReport> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut merged: Vec<VerifyReport> = Vec::new();
    for report in reports {
        match places.get(&report.route) {
            Some(place) => merged[*place].add(report),
            None => {
                places.insert(report.route.clone(), merged.len());
                merged.push(report);
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_several_replicas_are_one_by_route() {
        let example = |at: &str, leak| Example { at: at.to_owned(), leak, ..Example::default() };
        let report = |route: &str, agreed, differed, safe_lifetime, examples: &[Example]| VerifyReport {
            route: route.to_owned(),
            judged: agreed + differed,
            agreed,
            differed,
            safe_lifetime,
            noise: vec!["$.id".to_owned()],
            examples: examples.to_vec(),
            ..VerifyReport::default()
        };
        let merged = merged(vec![
            report("a", 3, 0, None, &[]),
            report("b", 1, 0, None, &[example("2026-01-01", false)]),
            VerifyReport { stopped: true, ..report("a", 0, 1, Some(40), &[example("2026-01-02", false), example("2026-01-01", true)]) },
            report("a", 0, 0, Some(50), &[example("2026-01-03", false)]),
        ]);
        let [a, b] = &merged[..] else { panic!("{merged:?}") };
        assert_eq!((a.judged, a.agreement, a.safe_lifetime, a.stopped), (4, Some(0.75), Some(40), true));
        assert_eq!((b.judged, &*a.noise), (1, &["$.id".to_owned()][..]));
        let order: Vec<(&str, bool)> = a.examples.iter().map(|example| (example.at.as_str(), example.leak)).collect();
        assert_eq!(order, [("2026-01-01", true), ("2026-01-03", false), ("2026-01-02", false)]);
    }
}
