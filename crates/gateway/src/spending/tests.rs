//! Sums of days and months, by a clock that tests move.

use larder_semantics::Timestamp;
use larder_tower::clock::{Clock, ClockHand};

use super::*;

const DAY: u64 = 86_400;
/// Noon of 30 November 2026, in UTC.
const NOON: u64 = 1_796_040_000;

fn spending(max_rows: usize) -> (Spending, Clock, ClockHand) {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(NOON * 1000));
    let settings = config::Spending { max_rows, ..config::Spending::default() };
    (Spending::new(&settings, &clock), clock, hand)
}

fn add(spending: &Spending, (client, model): (&str, &str), outcome: UsageOutcome, price: f64) {
    let route: Arc<str> = "chat".into();
    let asked = Asked { route: &route, client: Some(client).filter(|client| !client.is_empty()), model: Some(model) };
    spending.add(asked, outcome, Sum::of_answer(8, 2, Some(price)));
}

/// Each row as its name with what was spent and saved.
fn prices(rows: &[SpendingRow]) -> Vec<String> {
    let price = |sum: &Sum| sum.price.unwrap_or_default();
    let row = |row: &SpendingRow| {
        let name = row.client.as_deref().or(row.model.as_deref()).or(row.route.as_deref()).unwrap_or_default();
        format!("{name} {}/{}", price(&row.sums.spent), price(&row.sums.saved))
    };
    rows.iter().map(row).collect()
}

fn report(spending: &Spending) -> SpendingReport {
    spending.report(&Filter::default(), usize::MAX)
}

#[test]
fn what_was_spent_and_saved_is_told_by_route_client_and_model() {
    let (spending, ..) = spending(1000);
    assert_eq!(report(&spending), SpendingReport { timezone: "UTC".to_owned(), windows: Vec::new() });
    add(&spending, ("blue", "large"), UsageOutcome::Spent, 3.0);
    add(&spending, ("blue", "small"), UsageOutcome::Saved, 0.5);
    add(&spending, ("green", "large"), UsageOutcome::Spent, 1.0);
    add(&spending, ("", "small"), UsageOutcome::Spent, 0.25);
    let report = report(&spending);
    let [day, month] = &report.windows[..] else { panic!("{report:?}") };
    assert_eq!((&*day.per, &*day.ends_at, &*month.ends_at), ("day", "2026-12-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z"));
    for window in [day, month] {
        assert_eq!(prices(&window.routes), ["chat 4.25/0.5"]);
        assert_eq!(prices(&window.clients), ["blue 3/0.5", "green 1/0", "!none 0.25/0"]);
        assert_eq!(prices(&window.models), ["large 4/0", "small 0.25/0.5"]);
        assert_eq!((window.sums.spent.answers, window.sums.spent.tokens(), window.sums.saved.tokens()), (3, 30, 10));
        assert_eq!(window.rows.len(), 4);
    }
    let blue = spending.report(&Filter { client: Some("blue".to_owned()), ..Filter::default() }, 1);
    assert_eq!((prices(&blue.windows[0].models), blue.windows[0].sums.spent.answers), (vec!["large 3/0".to_owned()], 1));
}

#[test]
fn a_day_and_a_month_end_where_the_calendar_says_so() {
    let (spending, _, hand) = spending(1000);
    add(&spending, ("blue", "m"), UsageOutcome::Spent, 1.0);
    hand.advance(DAY / 2 - 1);
    assert_eq!(report(&spending).windows[0].sums.spent.answers, 1, "the last second of the day");
    hand.advance(1);
    assert!(report(&spending).windows.is_empty(), "and of the month");
    add(&spending, ("blue", "m"), UsageOutcome::Spent, 1.0);
    hand.advance(DAY);
    add(&spending, ("blue", "m"), UsageOutcome::Spent, 1.0);
    let answers = |report: &SpendingReport| report.windows.iter().map(|window| window.sums.spent.answers).collect::<Vec<_>>();
    assert_eq!(answers(&report(&spending)), [1, 2]);
}

/// A step of the clock at midnight would otherwise cost the sums of a month.
#[test]
fn a_clock_that_is_set_back_a_little_loses_nothing() {
    let midnight = NOON + DAY / 2;
    let mut book = Book::new(&config::Spending::default(), midnight);
    let row = || Row { route: "chat".into(), client: "blue".into(), model: "m".into() };
    let mut answers = |now| {
        book.add(row(), UsageOutcome::Spent, Sum::of_answer(8, 2, None), now);
        book.rows().map(|(_, windows)| [windows.day, windows.month].map(|sums| sums.spent.answers)).collect::<Vec<_>>()
    };
    assert_eq!([answers(midnight), answers(midnight - 5), answers(midnight)], [[[1, 1]], [[2, 2]], [[3, 3]]]);
    assert_eq!(answers(midnight - 40 * DAY), [[1, 1]], "one that was set back by far is right now");
}

#[test]
fn another_time_zone_moves_the_end_of_the_day_and_loses_nothing() {
    let (spending, ..) = spending(1000);
    add(&spending, ("blue", "m"), UsageOutcome::Spent, 1.0);
    let text = b"[upstreams.api]\nurl = \"http://127.0.0.1:1\"\n[spending]\ntimezone = \"Asia/Tokyo\"";
    let (config, _) = config::parse("test", text, &config::Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
    spending.follow(&config.spending);
    let report = report(&spending);
    assert_eq!((&*report.timezone, &*report.windows[0].ends_at), ("Asia/Tokyo", "2026-11-30T15:00:00.000Z"));
    assert_eq!(report.windows[1].sums.spent.answers, 1);
}

#[test]
fn a_million_invented_clients_cost_bounded_memory_and_hide_nobody_who_spends_much() {
    let (spending, ..) = spending(1000);
    add(&spending, ("blue", "m"), UsageOutcome::Spent, 5.0);
    for number in 0..100_000 {
        add(&spending, (&format!("invented-{number}"), "m"), UsageOutcome::Spent, 0.001);
    }
    add(&spending, ("green", "m"), UsageOutcome::Saved, 3.0);
    let report = report(&spending);
    let month = &report.windows[1];
    assert!(month.rows.len() <= 1000 && spending.bytes() < 1000 * 400, "{} rows in {} bytes", month.rows.len(), spending.bytes());
    let price = |client: &str| {
        let row = month.clients.iter().find(|row| row.client.as_deref() == Some(client));
        row.map_or(0.0, |row| row.sums.spent.price.unwrap_or_default() + row.sums.saved.price.unwrap_or_default())
    };
    assert_eq!((price("blue"), price("green")), (5.0, 3.0));
    assert!(price(OTHERS) > 90.0 && (month.sums.spent.price.unwrap_or_default() - 105.0).abs() < 1e-6, "nothing is lost: {:?}", month.sums);
    assert_eq!(month.sums.spent.answers, 100_001);
    let scraped = spending.snapshot();
    assert!(scraped[1].clients.len() <= 2 * 51 && scraped[1].models.len() == 2, "{} series", scraped[1].clients.len());
}

#[test]
fn a_thousand_invented_models_become_one() {
    let (spending, ..) = spending(1000);
    (0..1000).for_each(|number| add(&spending, ("blue", &format!("model-{number}")), UsageOutcome::Spent, 1.0));
    let report = report(&spending);
    let models = prices(&report.windows[0].models);
    assert_eq!((models.len(), &*models[0]), (201, "other 800/0"));
}

#[test]
fn sums_go_on_in_another_process_as_far_as_they_are_of_its_day_and_month() {
    let (before, clock, hand) = spending(1000);
    add(&before, ("blue", "m"), UsageOutcome::Spent, 1.0);
    let kept = before.kept().expect("something");
    let sums = |after: &Spending| report(after).windows.iter().map(|window| window.sums.spent.answers).collect::<Vec<_>>();
    let after = || Spending::new(&config::Spending::default(), &clock);
    let same = after();
    assert_eq!((same.restore(&kept), sums(&same)), (1, vec![1, 1]));
    hand.advance(DAY);
    let next_month = after();
    assert_eq!((next_month.restore(&kept), sums(&next_month)), (0, vec![]));
    add(&before, ("blue", "m"), UsageOutcome::Spent, 1.0);
    let kept = before.kept().expect("something");
    hand.advance(DAY);
    let next_day = after();
    assert_eq!((next_day.restore(&kept), sums(&next_day)), (1, vec![0, 1]));
    assert!(after().kept().is_none(), "nothing has to be written");
}
