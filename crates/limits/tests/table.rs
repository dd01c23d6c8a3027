//! The table of clients is bounded, and forgets what need not be known.

use larder_limits::{Algorithm, Rate, Table};

const RATE: Rate = Rate { algorithm: Algorithm::TokenBucket, max: 10, per: 1_000_000, burst: 10 };

#[test]
fn a_million_keys_stay_within_the_bound() {
    let table = Table::new(RATE, 10_000);
    for client in 0..1_000_000_u32 {
        assert!(table.take(&format!("10.{client}"), 0, 1).allowed);
    }
    assert!(table.len() <= table.max_keys() && table.len() > 5_000, "{}", table.len());
}

#[test]
fn a_table_that_is_given_other_room_keeps_what_is_used() {
    let table = Table::new(RATE, 100);
    table.take("a", 0, 7);
    table.set_max_keys(10_000);
    (0..5_000).for_each(|client| assert!(table.take(&client.to_string(), 0, 1).allowed));
    assert_eq!((table.used("a", 0), table.len()), (Some(7), 5_001));
    table.set_max_keys(100);
    assert!(table.len() <= 100, "{}", table.len());
}

#[test]
fn a_client_that_comes_again_and_again_is_not_forgotten_for_a_flood_of_others() {
    let table = Table::new(Rate { max: 1, per: 1 << 40, burst: 1000, ..RATE }, 1000);
    let mut had = 0;
    for client in 0..100_000_u32 {
        had += u32::from(table.take("often", 0, 1).allowed);
        table.take(&format!("once-{client}"), 0, 1);
    }
    assert_eq!(had, 1000, "its bucket was never begun anew");
}

#[test]
fn clients_that_have_everything_again_are_forgotten_and_others_are_not() {
    let table = Table::new(RATE, 100);
    table.take("early", 0, 1);
    table.take("late", 50_000, 1);
    table.forget_idle(100_000);
    assert_eq!((table.len(), table.used("early", 100_000), table.used("late", 100_000)), (1, None, Some(1)));
    table.forget_idle(150_000);
    assert!(table.is_empty());
}

#[test]
fn a_look_takes_nothing_and_makes_no_client_known() {
    let table = Table::new(RATE, 100);
    assert!(table.look("a", 0, 1).allowed && table.is_empty());
    (0..10).for_each(|_| _ = table.take("a", 0, 1));
    let standing = table.look("a", 0, 1);
    assert_eq!((standing.allowed, standing.remaining, standing.retry_after, standing.reset), (false, 0, 100_000, 1_000_000));
}

#[test]
fn the_busiest_come_first_and_can_be_given_everything_back() {
    let table = Table::new(RATE, 100);
    for (client, units) in [("a", 2), ("b", 5), ("c", 5)] {
        table.take(client, 0, units);
    }
    let busiest: Vec<_> = table.busiest(0, 2).into_iter().map(|(key, used)| (key.to_string(), used)).collect();
    assert_eq!(busiest, [("b".to_owned(), 5), ("c".to_owned(), 5)]);
    assert!(table.forget("b") && !table.forget("b"));
    assert_eq!(table.used("b", 0), None);
    table.give_back("c", 4);
    assert_eq!(table.used("c", 0), Some(1));
}

#[test]
fn a_client_can_be_charged_later_for_what_was_not_known_before() {
    let table = Table::new(RATE, 100);
    let client = table.client("a");
    assert!(table.charge_client(&client, 0, 4).allowed && !table.charge_client(&client, 0, 100).allowed);
    let standing = table.look("a", 0, 1);
    assert_eq!((standing.allowed, standing.remaining, standing.retry_after), (false, 0, 9_500_000), "it owes 94");
}

#[test]
fn threads_together_take_no_more_than_there_is() {
    let table = Table::new(Rate { max: 1, per: 1 << 40, burst: 5_000, ..RATE }, 100);
    let had: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..2_500).filter(|_| table.take("a", 0, 1).allowed).count())).collect();
        threads.into_iter().map(|thread| thread.join().expect("it counts")).sum()
    });
    assert_eq!(had, 5_000);
}

#[test]
fn a_day_begins_for_all_clients_at_once_and_is_not_had_twice() {
    let rate = Rate { algorithm: Algorithm::Calendar { begins: 0 }, max: 3, per: 0, burst: 3 };
    let table = Table::new(rate, 100);
    table.turn(1_000, 100);
    for client in ["a", "b"] {
        let had = (0..5).filter(|_| table.take(client, 1_099, 1).allowed).count();
        assert_eq!(had, 3);
    }
    let refused = table.look("a", 1_099, 1);
    assert_eq!((refused.remaining, refused.reset, refused.retry_after), (0, 1, 1), "the day ends a microsecond later");
    table.turn(1_100, 200);
    assert_eq!((table.look("a", 1_100, 1).remaining, table.used("b", 1_100)), (3, Some(0)));
    assert!(table.take("a", 1_110, 2).allowed);
    // The clock is set back into the day before, and comes again.
    table.turn(1_000, 100);
    assert_eq!(table.look("a", 1_050, 1).remaining, 1, "what was used stays used");
    table.turn(1_100, 200);
    assert_eq!(table.take("a", 1_120, 1).remaining, 0);
}

#[test]
fn a_share_is_reached_once_in_a_window() {
    let table = Table::new(Rate { algorithm: Algorithm::Calendar { begins: 0 }, max: 10, per: 0, burst: 10 }, 100);
    table.turn(1_000, 100);
    let mut reached = Vec::new();
    for turn in 0..10 {
        table.charge("a", 1_000 + turn, 1);
        reached.extend(table.reaches("a", 1_000 + turn, 8).then_some(turn));
    }
    table.turn(1_100, 100);
    table.charge("a", 1_101, 9);
    assert_eq!((reached, table.reaches("a", 1_101, 8), table.reaches("nobody", 1_101, 8)), (vec![7], true, false));
}

#[test]
fn what_others_know_replaces_what_is_known_here() {
    for algorithm in [Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Calendar { begins: 0 }] {
        let table = Table::new(Rate { algorithm, max: 10, per: 1_000_000, burst: 10 }, 100);
        table.turn(0, 1_000_000);
        table.charge("a", 600_000, 9);
        table.learn("a", 600_000, 4, 400_000);
        let standing = table.look("a", 600_000, 1);
        assert_eq!((standing.remaining, table.used("a", 600_000)), (6, Some(4)), "{algorithm:?}");
        if algorithm != Algorithm::SlidingWindow {
            assert_eq!(standing.reset, 400_000, "{algorithm:?}");
        }
    }
}

#[test]
fn another_process_goes_on_with_what_clients_have_used() {
    let rate = Rate { algorithm: Algorithm::Calendar { begins: 0 }, max: 10, per: 0, burst: 10 };
    let [before, after] = [(); 2].map(|()| {
        let table = Table::new(rate, 100);
        table.turn(1_000, 100);
        table
    });
    before.charge("a", 1_010, 12);
    assert!(before.reaches("a", 1_010, 8));
    before.charge("b", 1_010, 3);
    before.known(1_020).iter().for_each(|client| after.restore(client, 1_030));
    assert_eq!((after.used("a", 1_030), after.used("b", 1_030), after.reaches("a", 1_030, 8)), (Some(12), Some(3), false));
    after.turn(1_100, 100);
    assert!(after.known(1_100).is_empty(), "the window is over");
}
