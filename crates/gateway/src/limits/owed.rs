//! Units that were used without Redis, and that it does not know of.

/// Units, with what they have cost in this replica's table: without Redis one costs as many as there are replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) units: u64,
    cost: u64,
}

impl Owed {
    /// So many units, each of which has cost `weight`.
    pub(super) fn new(units: u64, weight: u64) -> Self {
        Self { units, cost: units.saturating_mul(weight) }
    }

    pub(super) fn is_none(self) -> bool {
        self.units == 0
    }

    pub(super) fn add(&mut self, more: Self) {
        self.units = self.units.saturating_add(more.units);
        self.cost = self.cost.saturating_add(more.cost);
    }

    /// The part that still counts, where the table has so many units as used: what time has given back to the client here is given back everywhere, and
    /// a window that has ended is owed nothing.
    pub(super) fn still(self, used: u64) -> Self {
        let cost = self.cost.min(used);
        let units = (u128::from(self.units) * u128::from(cost)).div_ceil(u128::from(self.cost.max(1)));
        Self { units: u64::try_from(units).unwrap_or(self.units), cost }
    }

    /// Takes one unit off, which was not used after all; tells what it has cost.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let cost = self.cost.checked_div(self.units)?;
        *self = Self { units: self.units - 1, cost: self.cost - cost };
        Some(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_time_has_given_back_is_owed_no_more() {
        let owed = Owed::new(6000, 3);
        assert_eq!(owed.still(18_000), owed);
        assert_eq!(owed.still(30_000), owed, "the table has what other replicas have used as well");
        assert_eq!(owed.still(30), Owed::new(10, 3));
        assert_eq!(owed.still(31).units, 11, "a unit that counts in part counts");
        assert!(owed.still(0).is_none());
        assert!(Owed::default().still(5).is_none());
    }

    #[test]
    fn a_unit_that_is_not_used_gives_back_what_it_has_cost() {
        let mut owed = Owed::new(2, 3);
        assert_eq!((owed.pop(), owed.pop(), owed.pop(), owed), (Some(3), Some(3), None, Owed::default()));
    }
}
