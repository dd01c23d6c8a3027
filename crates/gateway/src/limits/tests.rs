//! Limits as the gateway's doors ask them, by a clock that tests move.

use std::sync::Arc;

use http::Request;
use larder_redis::{Clocks, LimitGrant, RedisOptions, RedisServers, RedisStore, RedisUrl};
use larder_semantics::Timestamp;
use larder_testkit::alloc::{CountingAllocator, allocations};
use larder_tower::clock::{Clock, ClockHand, monotonic};

use super::shared::Telling;
use super::{Answers, Limits, Over, UnderLimits};
use crate::config::{self, Config};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn config(text: &str) -> Config {
    let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:1\"\n{text}");
    let (config, _) = config::parse("test", text.as_bytes(), &config::Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
    config
}

fn limits(text: &str, now: u64) -> (Limits, Clock, ClockHand) {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(now * 1000));
    (Limits::new(&config(text), None, &clock, None).expect("limits"), clock, hand)
}

/// A Redis that is not there.
pub(super) fn absent_redis() -> RedisStore {
    let options = RedisOptions::new(RedisServers::Single(RedisUrl::parse("redis://127.0.0.1:1").expect("a URL")));
    let clocks = Clocks { monotonic, wall: None };
    RedisStore::start(options, clocks, Arc::default(), None).expect("nothing is connected yet")
}

/// Asks for one request; seconds until it may come again where it may not.
fn enter(limits: &Limits) -> Result<(), u32> {
    let of_route = limits.of_route(0).expect("limits of the route");
    let keys = of_route.keys(&Request::new(()), CLIENT);
    of_route.enter(&keys, &Answers::default()).map(drop).map_err(|Over { retry_after, .. }| retry_after)
}

const DAY: &str = "[[quotas]]\nname = \"q\"\ntimezone = \"Europe/Berlin\"\nlimits = [{ count = \"requests\", max = 1, per = \"PER\" }]";
const HOUR: u64 = 3600;

#[test]
fn a_day_without_an_hour_ends_after_23_and_the_next_one_begins() {
    // Midnight of 29 March 2026 in Berlin.
    let (limits, _, hand) = limits(&DAY.replace("PER", "day"), 1_774_738_800);
    assert_eq!((enter(&limits), enter(&limits)), (Ok(()), Err(23 * 3600)));
    hand.advance(23 * HOUR - 1);
    assert_eq!(enter(&limits), Err(1));
    hand.advance(1);
    assert_eq!((enter(&limits), enter(&limits)), (Ok(()), Err(24 * 3600)));
}

#[test]
fn a_month_ends_with_its_last_day_and_a_clock_that_jumps_ahead_begins_another() {
    // Midnight of 1 February 2026 in Berlin.
    let (limits, _, hand) = limits(&DAY.replace("PER", "month"), 1_769_900_400);
    assert_eq!((enter(&limits), enter(&limits)), (Ok(()), Err(28 * 86_400)));
    hand.advance(200 * 86_400);
    assert_eq!(enter(&limits), Ok(()));
    assert!(enter(&limits).is_err());
}

#[test]
fn a_budget_that_is_raised_by_a_reload_goes_on_with_what_was_used() {
    let (before, clock, _hand) = limits(&DAY.replace("PER", "month"), 1_769_900_400);
    assert_eq!((enter(&before).is_ok(), enter(&before).is_ok()), (true, false));
    let reloaded = |text: &str, before: &Limits| Limits::new(&config(text), None, &clock, Some(before)).expect("limits");
    let same = reloaded(&DAY.replace("PER", "month"), &before);
    assert!(enter(&same).is_err());
    let more = reloaded(&DAY.replace("PER", "month").replace("max = 1", "max = 3"), &same);
    assert_eq!((enter(&more).is_ok(), enter(&more).is_ok(), enter(&more).is_ok()), (true, true, false), "one of three was used");
}

#[test]
fn a_quota_that_a_reload_gives_room_for_other_numbers_of_clients_goes_on_with_what_was_used() {
    let text = |max_keys: u32| DAY.replace("PER", "month") + &format!("\nmax_keys = {max_keys}");
    let (before, clock, _hand) = limits(&text(1000), 1_769_900_400);
    assert_eq!((enter(&before).is_ok(), enter(&before).is_ok()), (true, false));
    for max_keys in [100_000, 2000] {
        let reloaded = Limits::new(&config(&text(max_keys)), None, &clock, Some(&before)).expect("limits");
        let table = |limits: &Limits| limits.all()[0].table().max_keys();
        assert_eq!(table(&before), table(&reloaded), "the reload may still be refused");
        reloaded.take_place();
        assert_eq!(table(&reloaded), max_keys as usize);
        assert!(enter(&reloaded).is_err());
    }
}

#[tokio::test]
async fn units_that_redis_is_owed_are_told_by_one_question_and_owed_again_where_that_has_no_answer() {
    let text = "[store.redis]\nurl = \"redis://127.0.0.1:1\"\n\
         [[limits]]\nname = \"requests\"\nmax = 10\nper = \"1h\"\ncount = \"requests\"\nshared = true";
    let (clock, _hand) = Clock::manual(Timestamp::from_secs(1_774_738_800));
    let limits = Limits::new(&config(text), Some(&absent_redis()), &clock, None).expect("limits");
    let of_route = limits.of_route(0).expect("limits of the route");
    let keys = of_route.keys(&Request::new(()), CLIENT);
    let unanswered = Answers::about(of_route, keys.clone(), [(0, None)]);
    (0..4).for_each(|_| assert!(of_route.enter(&keys, &unanswered).is_ok()));
    let (limit, key) = (of_route.at(0), keys.get(0));
    let ask = || limit.together().expect("it is shared").ask(limit, key);
    let (first, telling) = ask();
    assert_eq!((first.owed, ask().0.owed), (4, 0), "another one meanwhile");
    // The client left, or Redis did.
    drop(telling);
    let (again, telling) = ask();
    assert_eq!(again.owed, 4);
    telling.into_iter().for_each(Telling::settled);
    assert_eq!(ask().0.owed, 0);
}

#[tokio::test]
async fn what_redis_has_said_about_the_limits_of_before_a_reload_is_not_taken_for_others() {
    let text = |names: [&str; 2]| {
        let limit = |name| format!("[[limits]]\nname = \"{name}\"\nmax = 10\nper = \"1h\"\ncount = \"requests\"\nshared = true\n");
        format!("[store.redis]\nurl = \"redis://127.0.0.1:1\"\n{}", names.map(limit).concat())
    };
    let (clock, _hand) = Clock::manual(Timestamp::from_secs(1_774_738_800));
    let before = Limits::new(&config(&text(["a", "b"])), Some(&absent_redis()), &clock, None).expect("limits");
    let after = Limits::new(&config(&text(["b", "a"])), Some(&absent_redis()), &clock, Some(&before)).expect("limits");
    let (old, new) = [&before, &after].map(|limits| limits.of_route(0).expect("limits of the route")).into();
    let keys = || new.keys(&Request::new(()), CLIENT);
    let refused = LimitGrant { granted: 0, remaining: 0, reset: 1, retry_after: 1, used: 10, is_reached: false };
    let answers = Answers::about(old, keys(), [(0, Some(refused))]);
    assert!(new.enter(&keys(), &answers).is_ok(), "the refusal was another limit's");
    assert!(old.enter(&keys(), &answers).is_err());
    assert!(answers.are_about(old) && !answers.are_about(new), "so those in force are asked again");
}

#[tokio::test]
async fn units_that_redis_has_granted_to_a_request_which_another_limit_refuses_are_there_for_the_next() {
    let text = "[store.redis]\nurl = \"redis://127.0.0.1:1\"\n\
         [[quotas]]\nname = \"q\"\nshared = true\nlimits = [{ count = \"requests\", max = 10, per = \"day\" }, { count = \"requests\", max = 20, per = \"month\" }]";
    let (clock, _hand) = Clock::manual(Timestamp::from_secs(1_774_738_800));
    let limits = Limits::new(&config(text), Some(&absent_redis()), &clock, None).expect("limits");
    let of_route = limits.of_route(0).expect("limits of the route");
    let keys = of_route.keys(&Request::new(()), CLIENT);
    let (refused, granted) = (
        LimitGrant { granted: 0, remaining: 0, reset: 9_000_000, retry_after: 9_000_000, used: 10, is_reached: false },
        LimitGrant { granted: 3, remaining: 7, reset: 9_000_000, retry_after: 0, used: 13, is_reached: false },
    );
    assert!(!of_route.is_ready(1, 2, &keys));
    let answers = Answers::about(of_route, keys.clone(), [(0, Some(refused)), (1, Some(granted))]);
    assert!(of_route.enter(&keys, &answers).is_err(), "the day is used up");
    drop(answers);
    assert!(of_route.is_ready(0, 2, &keys), "no further unit of the month is taken for it");
    let (limit, key) = (of_route.at(1), keys.get(1));
    for _ in 0..3 {
        assert!(of_route.is_ready(1, 2, &keys) && limit.take(key, None, false).allowed);
    }
    assert!(!of_route.is_ready(1, 2, &keys), "all of them");
    // Nor are units lost of a request that no limit was asked about in the end.
    drop(Answers::about(of_route, keys.clone(), [(1, Some(granted))]));
    assert!(of_route.is_ready(1, 2, &keys));
}

#[test]
fn limits_on_hits_cost_a_hit_no_wait_and_no_allocation() {
    let text = "[[limits]]\nname = \"requests\"\nmax = 1000000\nper = \"1s\"\ncount = \"requests\"\n\
         [[limits]]\nname = \"window\"\nmax = 1000000\nper = \"1h\"\ncount = \"requests\"\nalgorithm = \"sliding-window\"\nkey = [\"header:x-team\", \"client\"]\n\
         [[limits]]\nname = \"bytes\"\nmax = \"1TiB\"\nper = \"1s\"\ncount = \"bytes\"\n\
         [[limits]]\nname = \"traffic\"\nmax = \"1TiB\"\nper = \"1h\"\ncount = \"bytes\"\nkey = [\"header:x-team\"]\n\
         [[quotas]]\nname = \"q\"\ntimezone = \"Europe/Berlin\"\nlimits = [{ count = \"requests\", max = 10000000, per = \"day\" }, { count = \"requests\", max = 10000000, per = \"month\" }]";
    let (limits, ..) = limits(text, 1_774_738_800);
    let of_route = limits.of_route(0).expect("limits of the route");
    let request = Request::builder().header("x-team", "blue").body(()).expect("a request");
    let mut told = 0;
    let mut hit = || {
        let keys = of_route.keys(&request, CLIENT);
        // Nothing here is a future: a door that would have to wait gets `None`.
        let (limited, ticket): (UnderLimits, _) = of_route.enter_at_once(&keys).expect("it fits in").begun(of_route, keys);
        assert!(ticket.is_none(), "a hit has no way to the origin");
        of_route.for_each_field(&limited, |_, value| told += value.len());
        assert!(of_route.charge(limited.bytes, Some(1234)).is_none());
    };
    hit();
    let ((), counted) = allocations(|| (0..1000).for_each(|_| hit()));
    assert_eq!(counted.count, 0);
    assert!(told > 0);
}
