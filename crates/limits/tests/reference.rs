//! Each algorithm against a slow reference that looks at every use since the beginning, over random schedules. Nothing is rounded: the two agree
//! to the microsecond.

use larder_limits::{Algorithm, Rate, Usage};
use proptest::prelude::*;

/// Everything that was taken so far: when, and how many units.
type History = Vec<(u64, u64)>;

fn rate(algorithm: Algorithm) -> impl Strategy<Value = Rate> {
    (1..12_u64, 1..5_000_u64, 1..20_u64).prop_map(move |(max, per, burst)| Rate { algorithm, max, per, burst })
}

/// Waits and units.
fn schedule() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((prop_oneof![4 => 0..400_u64, 1 => 0..20_000_u64], 1..4_u64), 1..80)
}

/// Runs a schedule through both, where the reference says whether so many units may be had at a time.
fn agree(rate: Rate, schedule: &[(u64, u64)], may: impl Fn(&Rate, &History, u64, u64) -> bool) -> Result<(), TestCaseError> {
    let (mut usage, mut history, mut now) = (Usage::default(), History::new(), 7);
    for (wait, units) in schedule {
        now += wait;
        let expected = may(&rate, &history, now, *units);
        let before = rate.look(&mut usage, now, 1);
        prop_assert_eq!(before.remaining > 0, may(&rate, &history, now, 1), "one of {:?} at {}", history, now);
        prop_assert!(before.remaining == 0 || may(&rate, &history, now, before.remaining), "remaining at {}", now);
        prop_assert!(!may(&rate, &history, now, before.remaining + 1), "no more than remaining at {}", now);
        let standing = rate.take(&mut usage, now, *units);
        prop_assert_eq!(standing.allowed, expected, "{} of {:?} at {}", units, history, now);
        if standing.allowed {
            history.push((now, *units));
            prop_assert_eq!(standing.retry_after, 0);
        } else if *units <= rate.capacity() {
            let then = now + standing.retry_after;
            prop_assert!(may(&rate, &history, then, *units), "{} units after {} of {:?}", units, standing.retry_after, history);
            prop_assert!(!may(&rate, &history, then - 1, *units), "sooner than {} of {:?}", standing.retry_after, history);
        }
        // After `reset` everything may be had again.
        let later = now + standing.reset;
        prop_assert!(may(&rate, &history, later, rate.capacity()), "all after {} of {:?}", standing.reset, history);
    }
    Ok(())
}

/// The theoretical arrival time of ITU-T I.371, times `max`, from all that was taken.
fn bucket(rate: &Rate, history: &History, now: u64, units: u64) -> bool {
    let scaled = |time: u64| u128::from(time) * u128::from(rate.max);
    let cost = |units: u64| u128::from(units) * u128::from(rate.per);
    let arrival = history.iter().fold(0, |arrival: u128, (at, units)| arrival.max(scaled(*at)) + cost(*units));
    arrival.max(scaled(now)) + cost(units) <= scaled(now) + cost(rate.burst)
}

fn fixed_window(rate: &Rate, history: &History, now: u64, units: u64) -> bool {
    let mut window: Option<(u64, u64)> = None;
    for (at, taken) in history {
        window = match window {
            Some((start, sum)) if *at < start + rate.per => Some((start, sum + taken)),
            _ => Some((*at, *taken)),
        };
    }
    let taken = window.filter(|(start, _)| now < start + rate.per).map_or(0, |(_, sum)| sum);
    taken + units <= rate.max
}

fn sliding_window(rate: &Rate, history: &History, now: u64, units: u64) -> bool {
    // Beginning, units before, units within.
    let step = |window: Option<(u64, u64, u64)>, at: u64| match window {
        Some((start, before, within)) if at < start + rate.per => (start, before, within),
        Some((start, _, within)) if at < start + 2 * rate.per => (start + rate.per, within, 0),
        _ => (at, 0, 0),
    };
    let mut window = None;
    for (at, taken) in history {
        let (start, before, within) = step(window, *at);
        window = Some((start, before, within + taken));
    }
    let (start, before, within) = step(window, now);
    let (per, left) = (u128::from(rate.per), u128::from(rate.per - (now - start)));
    u128::from(before) * left + u128::from(within + units) * per <= u128::from(rate.max) * per
}

/// The window of the calendar at a time: such as months, they are not all of the same length.
fn calendar_window(now: u64) -> (u64, u64) {
    const LENGTHS: [u64; 3] = [31, 28, 30];
    let (mut begins, mut month) = (0, 0);
    loop {
        let per = LENGTHS[month % LENGTHS.len()];
        if now < begins + per {
            return (begins, per);
        }
        (begins, month) = (begins + per, month + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_token_bucket_admits_what_the_theoretical_arrival_time_admits(rate in rate(Algorithm::TokenBucket), schedule in schedule()) {
        agree(rate, &schedule, bucket)?;
    }

    #[test]
    fn a_fixed_window_admits_what_a_count_of_all_uses_admits(rate in rate(Algorithm::FixedWindow), schedule in schedule()) {
        agree(rate, &schedule, fixed_window)?;
    }

    #[test]
    fn a_sliding_window_admits_what_a_count_of_all_uses_admits(rate in rate(Algorithm::SlidingWindow), schedule in schedule()) {
        agree(rate, &schedule, sliding_window)?;
    }

    #[test]
    fn a_calendar_admits_what_a_count_of_all_uses_in_the_same_month_admits(
        max in 1..12_u64,
        schedule in proptest::collection::vec((0..40_u64, 1..4_u64), 1..80),
    ) {
        let table = larder_limits::Table::new(Rate { algorithm: Algorithm::Calendar { begins: 0 }, max, per: 0, burst: max }, 10);
        let (mut history, mut now) = (History::new(), 0);
        for (wait, units) in schedule {
            now += wait;
            let (begins, per) = calendar_window(now);
            table.turn(begins, per);
            let used: u64 = history.iter().filter(|(at, _)| *at >= begins).map(|(_, units)| units).sum();
            let standing = table.take("a", now, units);
            prop_assert_eq!(standing.allowed, used + units <= max, "{} of {:?} at {}", units, history, now);
            if standing.allowed {
                history.push((now, units));
            } else {
                prop_assert_eq!(standing.retry_after, if units > max { u64::MAX } else { begins + per - now });
            }
        }
    }

    /// However a clock jumps, a client that waits as long as it was told gets what it was refused, and nobody gets more than there is at one moment.
    #[test]
    fn a_clock_that_jumps_locks_no_client_out(
        algorithm in prop_oneof![Just(Algorithm::TokenBucket), Just(Algorithm::FixedWindow), Just(Algorithm::SlidingWindow)],
        (max, per, burst) in (1..12_u64, 1..5_000_u64, 1..20_u64),
        jumps in proptest::collection::vec((any::<u32>(), 0..30_u64), 1..60),
    ) {
        let rate = Rate { algorithm, max, per, burst };
        let mut usage = Usage::default();
        for (now, takes) in jumps {
            let now = u64::from(now);
            let had = (0..takes).filter(|_| rate.take(&mut usage, now, 1).allowed).count() as u64;
            prop_assert!(had <= rate.capacity());
            let standing = rate.look(&mut usage, now, 1);
            prop_assert!(standing.retry_after <= 2 * per && rate.look(&mut usage.clone(), now + standing.retry_after, 1).allowed);
        }
    }

    #[test]
    fn what_is_given_back_is_as_if_it_had_not_been_taken(
        algorithm in prop_oneof![Just(Algorithm::TokenBucket), Just(Algorithm::FixedWindow), Just(Algorithm::SlidingWindow)],
        (max, per, burst) in (1..12_u64, 1..5_000_u64, 1..20_u64),
        units in 1..4_u64,
    ) {
        let rate = Rate { algorithm, max, per, burst };
        let mut usage = Usage::default();
        if rate.take(&mut usage, 5, units).allowed {
            rate.give_back(&mut usage, units);
            prop_assert_eq!(rate.look(&mut usage, 5, 1).remaining, rate.capacity());
            prop_assert!(rate.is_unused(&mut usage, 5));
        }
    }

    /// Units that are taken ahead are there one after the other.
    #[test]
    fn what_is_taken_ahead_is_had_when_it_is_there(
        (max, per, burst) in (1..12_u64, 1..5_000_u64, 1..20_u64),
        (takes, max_wait) in (1..60_u64, 0..8_000_u64),
    ) {
        let rate = Rate { algorithm: Algorithm::TokenBucket, max, per, burst };
        let mut usage = Usage::default();
        for take in 1..=takes {
            let there = (take.saturating_sub(burst) * per).div_ceil(max);
            let standing = rate.take_within(&mut usage, 5, 1, max_wait);
            prop_assert_eq!((standing.retry_after, standing.allowed), (there, there <= max_wait));
            if !standing.allowed {
                break;
            }
        }
    }

    /// The largest numbers that a configuration can name, and debts beyond them.
    #[test]
    fn no_number_overflows(
        algorithm in prop_oneof![Just(Algorithm::TokenBucket), Just(Algorithm::FixedWindow), Just(Algorithm::SlidingWindow)],
        max in prop_oneof![1..3_u64, Just(1 << 50), Just(u64::MAX)],
        per in prop_oneof![1..3_u64, Just(31_536_000_000_000_u64)],
        burst in prop_oneof![1..3_u64, Just(u64::MAX)],
        uses in proptest::collection::vec((0..1_u64 << 52, prop_oneof![0..3_u64, Just(u64::MAX)]), 1..20),
    ) {
        let rate = Rate { algorithm, max, per, burst };
        let mut usage = Usage::default();
        for (now, units) in uses {
            rate.take(&mut usage, now, units);
            rate.charge(&mut usage, now, units);
            rate.used(&mut usage, now);
            rate.give_back(&mut usage, units);
        }
    }
}
