//! The registry of replicas: which of them live, how far each has applied the log, and which have not reported for a while.
//!
//! Its clock is the registry's own (`scripts/clock.lua`): it stands while the server does, so a server that stood still makes no
//! replica silent.

use std::time::Duration;

use larder_store::AppliedBy;

/// A replica that has not said anything for so long, in milliseconds, may be stopped or cut off.
const SILENT_AFTER: u64 = 3_000;

/// The last report of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    name: String,
    /// Its report as it stands in the registry.
    report: String,
    /// The entry of the log that it has applied last.
    number: u64,
    /// When it reported so.
    reported_at: u64,
    /// Milliseconds for which that counts.
    counts: u64,
    /// Whether it hears the channel on which applications publish.
    listens: bool,
}

/// One replica, for people who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Its random name in the registry.
    pub id: String,
    /// The name by which people know it; empty where it says none.
    pub name: String,
    /// Whether it is the one that was asked.
    pub own: bool,
    /// The entry of the log that it has applied last.
    pub applied: u64,
    /// How long ago it said so.
    pub silent: Duration,
    /// Whether it may be stopped or cut off.
    pub is_silent: bool,
    /// Whether it hears the channel on which applications publish.
    pub listens: bool,
}

/// The registry as it was read last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// `None` where it is lost or new.
    now: Option<u64>,
    /// Since when it does not know who was in it.
    lost: Option<u64>,
    members: Vec<Member>,
}

impl Registry {
    /// From the scripts' answer: the clock, and names and words in turn.
    pub(crate) fn read(now: i64, fields: &[String]) -> Self {
        let mut registry = Self { now: u64::try_from(now).ok(), ..Self::default() };
        for pair in fields.chunks_exact(2) {
            match (pair[0].as_str(), Member::read(&pair[0], &pair[1])) {
                ("lost", _) => registry.lost = pair[1].parse().ok(),
                (_, Some(member)) => registry.members.push(member),
                _ => {}
            }
        }
        registry
    }

    /// How many replicas have applied entry `number`, given that `own` has applied all up to `applied`. Who was in it when this replica
    /// looked last (`known`) is in it still where it was lost since.
    pub(crate) fn tally(&self, number: u64, own: &str, applied: u64, known: &Self, counts: u64) -> AppliedBy {
        let mut by = AppliedBy { applied: usize::from(applied >= number), replicas: 1, unknown: 0 };
        let now = self.now.unwrap_or_default();
        let is_lost = self.now.is_none() || self.lost.is_some();
        let gone = |member: &&Member| is_lost && !self.members.iter().any(|other| other.name == member.name);
        let forgotten = known.members.iter().filter(gone).map(|member| (member, 0));
        let there = self.members.iter().map(|member| (member, now.saturating_sub(member.reported_at)));
        for (member, silent) in there.chain(forgotten).filter(|(member, _)| member.name != own) {
            if silent > member.counts {
                continue;
            }
            by.replicas += 1;
            by.applied += usize::from(member.number >= number);
            by.unknown += usize::from(member.number < number && silent > SILENT_AFTER);
        }
        // Replicas that are not known may have been in it.
        if self.lost.is_some_and(|lost| now.saturating_sub(lost) <= counts) && known.others(own).next().is_none() {
            by.replicas += 1;
            by.unknown += 1;
        }
        by
    }

    /// All replicas, `own` first, which has applied all up to `applied`. The registry was read so long `ago`.
    pub(crate) fn replicas(&self, own: &str, applied: u64, ago: Duration) -> Vec<ReplicaInfo> {
        let now = self.now.unwrap_or_default();
        let listens = self.members.iter().any(|member| member.name == own && member.listens);
        let info = |name: &str, applied, silent: Duration, listens| {
            let (id, known_as) = name.split_once('@').unwrap_or((name, ""));
            let is_silent = silent > Duration::from_millis(SILENT_AFTER);
            ReplicaInfo { id: id.to_owned(), name: known_as.to_owned(), own: name == own, applied, silent, is_silent, listens }
        };
        let others = self.members.iter().filter(|member| member.name != own).map(|member| {
            let silent = Duration::from_millis(now.saturating_sub(member.reported_at)) + ago;
            info(&member.name, member.number, silent, member.listens)
        });
        let mut others: Vec<ReplicaInfo> = others.collect();
        others.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        std::iter::once(info(own, applied, Duration::ZERO, listens)).chain(others).collect()
    }

    /// How many replicas that hear the channel come before this one.
    pub(crate) fn rank(&self, own: &str) -> u32 {
        let now = self.now.unwrap_or_default();
        let before =
            |member: &&Member| member.listens && member.name.as_str() < own && now.saturating_sub(member.reported_at) <= SILENT_AFTER;
        self.members.iter().filter(before).count() as u32
    }

    /// Whether a replica of this name has reported lately.
    pub(crate) fn lives(&self, name: &str) -> bool {
        let now = self.now.unwrap_or_default();
        self.members.iter().any(|member| member.name == name && now.saturating_sub(member.reported_at) <= SILENT_AFTER)
    }

    /// Names and words of the other replicas, for a registry that was lost meanwhile.
    pub(crate) fn others<'a>(&'a self, own: &'a str) -> impl Iterator<Item = [&'a str; 2]> {
        self.members.iter().filter(move |member| member.name != own).map(|member| [member.name.as_str(), member.report.as_str()])
    }
}

impl Member {
    fn read(name: &str, report: &str) -> Option<Self> {
        let mut parts = report.split(' ').map(str::parse);
        let mut next = || parts.next()?.ok();
        let (number, reported_at, counts, listens) = (next()?, next()?, next()?, next()? == 1);
        Some(Self { name: name.to_owned(), report: report.to_owned(), number, reported_at, counts, listens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn registry(now: i64, fields: &[(&str, &str)]) -> Registry {
        let fields: Vec<String> = fields.iter().flat_map(|(name, report)| [(*name).to_owned(), (*report).to_owned()]).collect();
        Registry::read(now, &fields)
    }

    fn tally(registry: &Registry, known: &Registry) -> (usize, usize, usize) {
        let by = registry.tally(7, "a", 7, known, MINUTE);
        (by.applied, by.replicas, by.unknown)
    }

    #[test]
    fn a_replica_counts_as_long_as_its_word_and_is_unknown_when_it_is_silent() {
        let at = |now| registry(now, &[("a", "7 0 60000 1"), ("b", "6 1000 60000 1"), ("clock", "1000 5")]);
        for (now, expected) in [(1_000, (1, 2, 0)), (4_000, (1, 2, 0)), (4_001, (1, 2, 1)), (61_000, (1, 2, 1)), (61_001, (1, 1, 0))] {
            assert_eq!(tally(&at(now), &Registry::default()), expected, "{now}");
        }
        let applied = registry(50_000, &[("b", "7 1000 60000 1")]);
        assert_eq!(tally(&applied, &Registry::default()), (2, 2, 0), "what it has applied it has applied");
    }

    #[test]
    fn a_known_replica_still_counts_where_the_registry_was_lost() {
        let known = registry(9_000, &[("a", "6 9000 60000 1"), ("b", "6 9000 60000 1"), ("c", "6 8000 60000 1")]);
        assert_eq!(tally(&registry(-1, &[]), &known), (1, 3, 0));
        let new = registry(10, &[("b", "7 5 60000 1")]);
        assert_eq!(tally(&new, &known), (2, 2, 0), "c signed off");
        let lost = registry(10, &[("lost", "0"), ("b", "7 5 60000 1")]);
        assert_eq!(tally(&lost, &known), (2, 3, 0));
    }

    #[test]
    fn a_lost_registry_that_no_replica_remembers_is_not_confirmed() {
        let lost = |now| registry(now, &[("lost", "0"), ("a", "7 5 60000 1")]);
        assert_eq!(tally(&lost(10), &Registry::default()), (1, 2, 1));
        assert_eq!(tally(&lost(60_001), &Registry::default()), (1, 1, 0));
    }

    #[test]
    fn a_replica_lives_as_long_as_it_is_not_silent() {
        let at = |now| registry(now, &[("a", "7 1000 60000 1")]);
        assert_eq!([at(4_000).lives("a"), at(4_001).lives("a"), at(1_000).lives("b")], [true, false, false]);
    }

    #[test]
    fn those_that_hear_the_channel_are_in_one_order() {
        let registry =
            registry(9_000, &[("a", "6 9000 60000 1"), ("b", "6 9000 60000 0"), ("c", "6 1000 60000 1"), ("d", "1 9000 60000 1")]);
        assert_eq!(["a", "b", "d", "e"].map(|own| registry.rank(own)), [0, 1, 1, 2]);
    }

    #[test]
    fn people_see_each_replica_by_its_name_with_its_place_in_the_log() {
        let at = registry(9_000, &[("a@one:1", "7 8900 60000 1"), ("b", "6 2000 60000 0"), ("c@two:1", "7 9000 60000 0")]);
        let seen = at.replicas("c@two:1", 8, Duration::from_millis(200));
        let seen: Vec<_> = seen.iter().map(|one| (one.id.as_str(), one.name.as_str(), one.own, one.applied, one.is_silent)).collect();
        assert_eq!(seen, [("c", "two:1", true, 8, false), ("b", "", false, 6, true), ("a", "one:1", false, 7, false)]);
        let alone = Registry::default().replicas("x", 3, Duration::ZERO);
        assert!(alone.len() == 1 && alone[0].own && alone[0].applied == 3, "Redis was never read");
    }

    #[test]
    fn an_unreadable_entry_is_no_replica() {
        for report in ["", "7", "7 0 60000", "x 0 60000 1", "5 6"] {
            assert_eq!(Member::read("a", report), None, "{report}");
        }
    }
}
