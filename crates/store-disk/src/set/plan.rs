//! Which of several directories may be used as the last process left them. A pure decision, made once at the start.
//!
//! Each directory has a file `set`, a line of numbers: its own, that of the last start in which it took part, 1 where it has the log of
//! invalidations and 0 otherwise, and the directories of that start.
//!
//! 1. A directory that was missing when the others were last used begins empty: what it has may have been replaced or purged meanwhile.
//! 2. The log goes on where it was, if every directory of the last start is there. One that is missing may have been used alone since, with
//!    purges that no other knows: then the log begins anew, and nothing from before can be judged by it.

use std::hash::{BuildHasher, RandomState};

/// The name of the file.
pub(crate) const FILE: &str = "set";

/// What a directory says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: u64,
    /// The last start that it took part in; 0: none with others.
    pub(crate) start: u64,
    /// Whether it has the log of invalidations.
    pub(crate) has_log: bool,
    /// The directories of that start.
    pub(crate) members: Vec<u64>,
}

/// What becomes of the directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) start: u64,
    /// Those that can be used.
    pub(crate) members: Vec<u64>,
    /// Those of them that begin empty.
    pub(crate) empty: Vec<u64>,
    /// The one with the log, where these directories keep it.
    pub(crate) keeper: u64,
    /// Whether the log goes on.
    pub(crate) goes_on: bool,
}

impl Member {
    /// Of a directory that was not used together with others.
    pub(crate) fn alone(has_log: bool) -> Self {
        let id = RandomState::new().hash_one(FILE);
        Self { id, start: 0, has_log, members: vec![id] }
    }

    pub(crate) fn encode(&self) -> String {
        let members: String = self.members.iter().map(|id| format!(" {id:016x}")).collect();
        format!("{:016x} {} {}{members}\n", self.id, self.start, u8::from(self.has_log))
    }

    /// `None`: it is damaged, and the directory is as good as a new one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        let id = |word: &str| u64::from_str_radix(word, 16).ok();
        let (own, start, has_log) = (id(words.next()?)?, words.next()?.parse().ok()?, words.next()? == "1");
        Some(Self { id: own, start, has_log, members: words.map(id).collect::<Option<_>>()? })
    }
}

/// The plan for the directories that can be used, of which there is one at least.
pub(crate) fn plan(found: &[Member]) -> Plan {
    let last = found.iter().map(|member| member.start).max().unwrap_or(0);
    let current: Vec<&Member> = found.iter().filter(|member| member.start == last).collect();
    let members: Vec<u64> = found.iter().map(|member| member.id).collect();
    let known = current.iter().find(|member| member.has_log);
    let keeper = known.or(current.first()).map_or(0, |keeper| keeper.id);
    let goes_on = known.is_some_and(|keeper| {
        let is_there = |id: &u64| current.iter().any(|member| member.id == *id);
        // Two that were used without each other since, the one after the other, may count the same starts.
        let agrees = |member: &&Member| match member.start {
            0 => member.id == keeper.id || !member.has_log,
            _ => keeper.members.iter().all(|id| member.members.contains(id)),
        };
        keeper.members.iter().all(is_there) && current.iter().all(agrees)
    });
    let empty = found.iter().filter(|member| member.start < last).map(|member| member.id).collect();
    Plan { start: last + 1, members, empty, keeper, goes_on }
}

/// The directory of a key, given each one's number and weight: the one whose draw for the key is the best. Where a directory comes or goes, only its own
/// keys change places.
pub(crate) fn place(key: u64, directories: impl Iterator<Item = (u64, u64)>) -> Option<usize> {
    let draw = |(at, (id, weight)): (usize, (u64, u64))| {
        let mixed = xxhash_rust::xxh3::xxh3_64_with_seed(&key.to_le_bytes(), id);
        // From above 0 to 1; its logarithm over the weight is nearest to 0 as often as the weight says.
        let uniform = (mixed >> 11) as f64 / (1_u64 << 53) as f64 + f64::MIN_POSITIVE;
        (uniform.ln() / weight.max(1) as f64, at)
    };
    let best = directories.enumerate().map(draw).max_by(|one, other| one.0.total_cmp(&other.0));
    best.map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, start: u64, has_log: bool, members: &[u64]) -> Member {
        Member { id, start, has_log, members: members.to_vec() }
    }

    #[test]
    fn what_a_directory_says_of_itself_is_read_as_it_was_written() {
        let one = member(0xabc, 7, true, &[0xabc, u64::MAX]);
        assert_eq!(Member::parse(&one.encode()), Some(one));
        for rubbish in ["", "x", "1 2 1 5", "1 2\n", "1 x 0 1\n", "1 2 0 1 x\n"] {
            assert_eq!(Member::parse(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn directories_that_were_last_used_together_go_on_wherever_they_are_now() {
        let (one, two) = (member(1, 4, true, &[1, 2]), member(2, 4, false, &[1, 2]));
        for found in [[one.clone(), two.clone()], [two, one]] {
            let Plan { start, empty, keeper, goes_on, .. } = plan(&found);
            assert_eq!((start, empty, keeper, goes_on), (5, vec![], 1, true));
        }
    }

    #[test]
    fn a_missing_directory_may_know_purges_so_the_log_begins_anew() {
        assert!(!plan(&[member(1, 4, true, &[1, 2])]).goes_on);
        let without_log = plan(&[member(2, 4, false, &[1, 2])]);
        assert_eq!((without_log.keeper, without_log.goes_on), (2, false));
    }

    #[test]
    fn a_directory_that_was_away_or_is_new_begins_empty() {
        let found = plan(&[member(1, 4, true, &[1, 2]), member(2, 5, true, &[2]), member(3, 0, false, &[3])]);
        assert_eq!((found.start, found.empty, found.keeper, found.goes_on), (6, vec![1, 3], 2, true));
    }

    #[test]
    fn one_directory_that_gets_company_keeps_what_it_has() {
        let found = plan(&[member(7, 0, true, &[7]), member(8, 0, false, &[8])]);
        assert_eq!((found.empty, found.keeper, found.goes_on), (vec![], 7, true));
    }

    #[test]
    fn directories_that_were_used_without_each_other_may_each_lack_the_others_purges() {
        assert!(!plan(&[member(1, 2, true, &[1]), member(2, 2, true, &[2])]).goes_on);
        assert!(!plan(&[member(1, 0, true, &[1]), member(2, 0, true, &[2])]).goes_on, "each alone");
        assert!(
            plan(&[member(1, 2, true, &[1, 2]), member(2, 2, false, &[1, 2]), member(3, 2, false, &[1, 2, 3])]).goes_on,
            "one came late"
        );
    }

    #[test]
    fn keys_are_spread_by_weight_and_stay_where_they_are_when_others_come_and_go() {
        let all = [(11_u64, 100_u64), (22, 100), (33, 200)];
        let of = |directories: &[(u64, u64)], key: u64| place(key, directories.iter().copied()).map(|at| directories[at].0);
        let count = |id: u64| (0..10_000).filter(|key| of(&all, *key) == Some(id)).count();
        assert!((2_300..2_700).contains(&count(11)) && (4_700..5_300).contains(&count(33)), "{} {}", count(11), count(33));
        for key in 0..1_000 {
            let before = of(&all, key).unwrap();
            let after = of(&all[..2], key).unwrap();
            assert!(before == 33 || before == after, "{key}");
        }
        assert_eq!(of(&[], 1), None);
    }
}
