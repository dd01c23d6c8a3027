//! Folding: where there are too many records, the older half becomes coarser, or everything from before is invalid.

use std::collections::HashMap;

use super::covers::{Cover, LEVELS};
use super::stamp::Stamp;
use super::{MAX_REGEXES, Record, Records};
use crate::ledger::Position;

/// Minimum number of records that become one: folding fewer is not worth the responses that are invalidated besides.
const WORTH_FOLDING: u32 = 16;

impl Records {
    /// Folds records once there are too many.
    pub(super) fn fold(&mut self, max: usize, max_patterns: usize) {
        let regexes = self.patterns.iter().filter(|(pattern, _)| pattern.is_regex());
        let regexes: Vec<Position> = regexes.map(|(_, stamp)| stamp.last()).collect();
        let all: Vec<Position> = self.patterns.iter().map(|(_, stamp)| stamp.last()).collect();
        for (list, max) in [(all, max_patterns), (regexes, MAX_REGEXES)] {
            if list.len() > max {
                self.drop_everything_before(list[list.len() / 2]);
            }
        }
        if self.targets() > max {
            self.fold_targets(max);
        }
    }

    /// Folds the older half at the finest level that makes enough room.
    fn fold_targets(&mut self, max: usize) {
        let records = self.tags.values().chain(self.prefixes.values().map(|(record, _)| record));
        let mut positions: Vec<Position> = records.map(|record| record.stamp).chain(self.folded.stamps()).map(Stamp::last).collect();
        let middle = positions.len() / 2;
        let (_, half, _) = positions.select_nth_unstable(middle);
        let half = *half;
        for level in 0..LEVELS {
            self.fold_into(level, half);
            if self.targets() <= max - max / 4 {
                self.folds.coarser += 1;
                return;
            }
        }
        self.drop_everything_before(half);
    }

    /// Folds the records from before `half` into their covers at a level, where that is worth it.
    fn fold_into(&mut self, level: usize, half: Position) {
        let cover = |record: &Record| record.covers.at(level).filter(|_| record.stamp.last() <= half);
        let mut groups: HashMap<Cover, u32> = HashMap::new();
        let records = self.tags.values().chain(self.prefixes.values().map(|(record, _)| record));
        records.filter_map(cover).for_each(|cover| *groups.entry(cover).or_default() += 1);
        groups.retain(|_, members| *members >= WORTH_FOLDING);
        let folded = &mut self.folded;
        let mut keep = |record: &Record| match cover(record).filter(|cover| groups.contains_key(cover)) {
            Some(cover) => {
                folded.add(cover, record.stamp);
                false
            }
            None => true,
        };
        self.tags.retain(|_, record| keep(record));
        self.prefixes.retain(|_, (record, _)| keep(record));
        self.join_depths();
    }

    fn drop_everything_before(&mut self, floor: Position) {
        self.folds.everything += 1;
        self.raise_floor(floor);
    }
}
