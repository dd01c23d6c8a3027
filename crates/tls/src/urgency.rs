//! How soon a certificate has to be renewed.

const DAY: u64 = 86_400;

/// How soon a certificate has to be renewed. Later variants are more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// More than 30 days are left.
    None,
    /// 30 days or fewer are left: what renews it should have done so (most renew when a third of 90 days is left).
    Month,
    /// 7 days or fewer are left: it needs someone.
    Week,
    /// It has ended, and clients refuse it.
    Expired,
}

impl Urgency {
    /// Both times in seconds since 1970.
    pub fn of(not_after: u64, now: u64) -> Self {
        match not_after.saturating_sub(now) {
            0 => Self::Expired,
            left if left <= 7 * DAY => Self::Week,
            left if left <= 30 * DAY => Self::Month,
            _ => Self::None,
        }
    }
}

/// Whole days from `now` to `not_after`, both in seconds since 1970.
pub fn days_left(not_after: u64, now: u64) -> u64 {
    not_after.saturating_sub(now) / DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_becomes_urgent_30_and_7_days_before_its_end() {
        let end = 100 * DAY;
        for (now, urgency, days) in [
            (0, Urgency::None, 100),
            (70 * DAY - 1, Urgency::None, 30),
            (70 * DAY, Urgency::Month, 30),
            (93 * DAY - 1, Urgency::Month, 7),
            (93 * DAY, Urgency::Week, 7),
            (end - 1, Urgency::Week, 0),
            (end, Urgency::Expired, 0),
            (end + 1, Urgency::Expired, 0),
        ] {
            assert_eq!((Urgency::of(end, now), days_left(end, now)), (urgency, days), "{now}");
        }
        assert!(Urgency::Month < Urgency::Week && Urgency::Week < Urgency::Expired);
    }
}
