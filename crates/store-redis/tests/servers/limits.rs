//! Limits that replicas share: the script against the arithmetic of one process, and replicas that take at the same time.

use std::sync::Arc;

use larder_limits::{Algorithm, Rate, Usage};
use larder_redis::{LimitAsk, LimitGrant, RedisStore};
use larder_testkit::{Redis, RedisCluster, Result};

use crate::clusters::replica;
use crate::support::{Setup, another};

/// So long that the time that a test takes is nothing in it; and a power of two, whose parts add up.
const PER: u64 = 1 << 45;

fn rate(algorithm: Algorithm, max: u64, burst: u64) -> Rate {
    Rate { algorithm, max, per: PER, burst }
}

fn ask(rate: Rate, units: u64) -> LimitAsk<'static> {
    LimitAsk { limit: "l", client: "c", rate, least: units, most: units, owed: 0, max_wait: 0, told_at: 0 }
}

async fn take(store: &RedisStore, ask: LimitAsk<'_>) -> LimitGrant {
    store.limit(&[ask]).await.expect("Redis answers").remove(0)
}

/// Lets time pass, as far as the script can tell.
async fn pass(redis: &Redis, word: &str, micros: u64) -> Result<()> {
    let shift = "for _, key in ipairs(redis.call('KEYS', '*limit:*:' .. ARGV[1])) do \
                 redis.call('HSET', key, 'a', string.format('%.0f', redis.call('HGET', key, 'a') - ARGV[2])) end return 0";
    redis.command(&["EVAL", shift, "0", word, &micros.to_string()]).await.map(drop)
}

#[tokio::test]
async fn the_script_takes_what_one_process_would_take() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let mut random = 7_u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for (algorithm, word) in [(Algorithm::TokenBucket, "b"), (Algorithm::FixedWindow, "f"), (Algorithm::SlidingWindow, "s")] {
        for round in 0..12 {
            let client = format!("{round}");
            let rate = rate(algorithm, 1 + next(10), 1 + next(10));
            let (mut usage, mut now) = (Usage::default(), PER);
            for step in 0..25 {
                let (units, wait) = (1 + next(3), next(4) * (PER / 8));
                now += wait;
                pass(&redis, word, wait).await?;
                let expected = rate.take(&mut usage, now, units);
                let grant = take(&store, LimitAsk { client: &client, ..ask(rate, units) }).await;
                let what = format!("step {step} of {rate:?}: {units} units, {expected:?}, {grant:?}");
                assert_eq!((grant.granted > 0, grant.remaining), (expected.allowed, expected.remaining), "{what}");
                // The seconds that the test has taken.
                assert!(expected.reset.abs_diff(grant.reset) < PER / 1000, "{what}");
                if !expected.allowed && units <= rate.capacity() {
                    assert!(expected.retry_after.abs_diff(grant.retry_after) < PER / 1000, "{what}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn replicas_that_take_at_the_same_time_get_what_there_is_and_no_more() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let replicas = [store, another(&redis, |_| ()).await?, another(&redis, |_| ()).await?];
    for (algorithm, batch) in [(Algorithm::TokenBucket, 1), (Algorithm::FixedWindow, 7), (Algorithm::SlidingWindow, 3)] {
        let ask = LimitAsk { least: 1, most: batch, ..ask(rate(algorithm, 50, 50), 1) };
        let all = (0..90).map(|turn| take(&replicas[turn % 3], ask));
        let granted: u64 = futures_util::future::join_all(all).await.iter().map(|grant| grant.granted).sum();
        assert_eq!(granted, 50, "{algorithm:?}");
    }
    Ok(())
}

#[tokio::test]
async fn one_question_is_about_several_limits_each_by_itself() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let narrow = LimitAsk { limit: "narrow", ..ask(rate(Algorithm::FixedWindow, 1, 1), 1) };
    let wide = LimitAsk { limit: "wide", ..ask(rate(Algorithm::TokenBucket, 5, 5), 1) };
    for (first, second) in [((1, 0), (1, 4)), ((0, 0), (1, 3))] {
        let grants = store.limit(&[narrow, wide]).await.expect("Redis answers");
        let of = |grant: LimitGrant| (grant.granted, grant.remaining);
        assert_eq!((of(grants[0]), of(grants[1])), (first, second));
    }
    let counted = redis.count(&["EVAL", "return #redis.call('KEYS', '*limit:*')", "0"]).await?;
    let lasting = redis.count(&["EVAL", "local n = 0 for _, key in ipairs(redis.call('KEYS', '*limit:*')) do if redis.call('PTTL', key) < 0 then n = n + 1 end end return n", "0"]);
    assert_eq!((counted, lasting.await?), (2, 0), "each key ends by itself");
    Ok(())
}

#[tokio::test]
async fn what_is_owed_counts_in_any_case_and_what_may_be_waited_for_is_granted() -> Result<()> {
    let Setup { redis: _redis, store } = Setup::start().await?;
    let bucket = ask(rate(Algorithm::TokenBucket, 8, 2), 1);
    let grant = take(&store, LimitAsk { least: 0, most: 0, owed: 3, ..bucket }).await;
    assert_eq!((grant.granted, grant.remaining), (0, 0));
    let refused = take(&store, bucket).await;
    assert!(refused.granted == 0 && refused.retry_after.abs_diff(PER / 4) < PER / 1000, "two units are missing: {refused:?}");
    let later = take(&store, LimitAsk { max_wait: PER / 2, ..bucket }).await;
    assert!(later.granted == 1 && later.retry_after.abs_diff(PER / 4) < PER / 1000, "{later:?}");
    Ok(())
}

#[tokio::test]
async fn in_a_cluster_limits_of_one_client_lie_in_one_slot() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let store = replica(&cluster, 3, Arc::default());
    let rate = rate(Algorithm::FixedWindow, 1, 1);
    let asks = ["a", "b", "c"].map(|client| ["one", "two"].map(|limit| LimitAsk { limit, client, ..ask(rate, 1) })).concat();
    for expected in [1, 0] {
        let grants = store.limit(&asks).await.expect("the cluster answers");
        assert!(grants.len() == 6 && grants.iter().all(|grant| grant.granted == expected), "{grants:?}");
    }
    Ok(())
}

/// Microseconds since 1970, as the server has them.
async fn now_of(redis: &Redis) -> Result<u64> {
    let now = redis.count(&["EVAL", "local time = redis.call('TIME') return time[1] * 1000000 + time[2]", "0"]).await?;
    Ok(now.unsigned_abs())
}

#[tokio::test]
async fn a_window_of_the_calendar_ends_for_all_and_its_key_with_it() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let now = now_of(&redis).await?;
    let day = 86_400_000_000;
    let of = |begins: u64, units: u64| {
        let rate = Rate { algorithm: Algorithm::Calendar { begins }, max: 5, per: day, burst: 5 };
        LimitAsk { least: units, most: units, ..ask(rate, units) }
    };
    let today = now - day / 2;
    let grant = take(&store, of(today, 4)).await;
    assert_eq!((grant.granted, grant.remaining, grant.used), (4, 1, 4));
    assert!(grant.reset <= day / 2 && grant.reset > day / 2 - 60_000_000, "until the end of the day: {grant:?}");
    let refused = take(&store, of(today, 2)).await;
    assert_eq!((refused.granted, refused.retry_after), (0, refused.reset), "{refused:?}");
    let left = redis.count(&["EVAL", "return redis.call('PTTL', redis.call('KEYS', '*limit:*')[1])", "0"]).await?;
    assert!(left.unsigned_abs() <= day / 2000 + 2000, "the key ends with the window: {left}");
    // A replica whose clock is behind counts in the window that others have begun; one that is ahead begins the next.
    assert_eq!(take(&store, of(today - day, 1)).await.remaining, 0);
    let next = take(&store, of(today + day / 4, 1)).await;
    assert_eq!((next.granted, next.remaining, next.used), (1, 4, 1));
    Ok(())
}

#[tokio::test]
async fn one_replica_is_told_once_in_a_window_that_a_share_of_it_is_used() -> Result<()> {
    let Setup { redis, store } = Setup::start().await?;
    let replicas = [store, another(&redis, |_| ()).await?];
    let begins = now_of(&redis).await? - 1_000_000;
    let charge = |begins: u64, owed: u64| {
        let rate = Rate { algorithm: Algorithm::Calendar { begins }, max: 100, per: 3_600_000_000, burst: 100 };
        LimitAsk { least: 0, most: 0, owed, told_at: 80, ..ask(rate, 1) }
    };
    let mut told = Vec::new();
    for turn in 0..12 {
        let grant = take(&replicas[turn % 2], charge(begins, 10)).await;
        told.extend(grant.is_reached.then_some(grant.used));
    }
    assert_eq!(told, [80]);
    assert_eq!(take(&replicas[0], charge(begins, 0)).await.used, 120, "more was used than there is");
    let next = take(&replicas[0], charge(begins + 500_000, 90)).await;
    assert!(next.is_reached && next.used == 90, "the next window is told of too: {next:?}");
    Ok(())
}
