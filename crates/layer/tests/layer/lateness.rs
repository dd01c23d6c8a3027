//! The bound on what replicas cost each other: nobody is later than without a shared tier by more than the tier's `timeout`, and the origin
//! gets no more requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use larder_tower::{CacheService, EffectiveTarget, FailedElsewhere};

use crate::common::{self, Origin, get, read, response, streaming};
use crate::shared_tier::{BODY_PATIENCE, Shared, TIMEOUT, now, replicas};

const CLIENTS: usize = 20;

/// The origin's answer, after a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Answer,
    HangUp,
    /// The head comes, and so many milliseconds later the body ends.
    Stream(u64),
    /// The head comes, and a moment later the body breaks off.
    BreakOff,
    Fail(u16),
    /// An answer for one client only.
    Personal,
}

fn origin(does: Does, after: Duration) -> Origin {
    Origin::waiting(move |_| async move {
        tokio::time::sleep(after).await;
        match does {
            Does::Answer => Ok(response(200, "x").header("cache-control", "max-age=60").build()),
            Does::HangUp => Err(io::Error::other("hung up")),
            Does::Stream(millis) => {
                let (mut sender, body) = common::channel();
                tokio::spawn(async move {
                    sender.send_data("x".into()).await.expect("a reader");
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    sender.send_data("y".into()).await.expect("a reader");
                });
                Ok(streaming(200, body).header("cache-control", "max-age=60").build())
            }
            Does::BreakOff => {
                let (mut sender, body) = common::channel();
                tokio::spawn(async move {
                    sender.send_data("x".into()).await.expect("a reader");
                    tokio::time::sleep(BODY_PATIENCE / 3).await;
                    sender.abort(io::Error::other("hung up").into());
                });
                Ok(streaming(200, body).header("cache-control", "max-age=60").header("content-length", "2").build())
            }
            Does::Fail(status) => Ok(response(status, "sorry").header("retry-after", "7").build()),
            Does::Personal => Ok(response(200, "x").header("cache-control", "private").build()),
        }
    })
}

/// The end of one client's wait.
#[derive(Debug)]
struct End {
    replica: usize,
    /// When the head was there, and when the end was.
    head: Duration,
    after: Duration,
    /// The status; `None` for no answer or a body that broke off.
    status: Option<StatusCode>,
    word: Option<String>,
}

/// All clients ask within a few milliseconds, each replica's a little later than those of the one before.
async fn all_ask(replicas: &[CacheService<Origin>]) -> Vec<End> {
    let start = now();
    let clients = replicas.iter().enumerate().flat_map(|(replica, cache)| (0..CLIENTS).map(move |client| (replica, cache, client)));
    let asking = clients.map(async |(replica, cache, client)| {
        tokio::time::sleep_until(start + Duration::from_millis((5 * replica + client / 4) as u64)).await;
        let served = cache.serve(get("/a"), EffectiveTarget::default(), |_| ()).await;
        let head = start.elapsed();
        let word = served.as_ref().err().and_then(|error| error.downcast_ref::<FailedElsewhere>());
        let word = word.map(|error| error.word().to_owned());
        let status = match served {
            Ok(served) => {
                let answer = read(served.response, served.outcome).await;
                answer.body.is_ok().then(|| answer.response.status())
            }
            Err(_) => None,
        };
        End { replica, head, after: start.elapsed(), status, word }
    });
    let mut ends = futures_util::future::join_all(asking).await;
    ends.sort_by_key(|end| (end.replica, end.after));
    ends
}

async fn compare(does: Does, seconds: f64) -> (Vec<(End, End)>, [usize; 2]) {
    let (alone, together) = (origin(does, Duration::from_secs_f64(seconds)), origin(does, Duration::from_secs_f64(seconds)));
    let without = all_ask(&replicas(&alone, None)).await;
    let with = all_ask(&replicas(&together, Some(&Arc::default()))).await;
    (with.into_iter().zip(without).collect(), [together.count(), alone.count()])
}

#[tokio::test(start_paused = true)]
async fn no_request_is_later_than_without_other_replicas_by_more_than_the_timeout() {
    for does in [Does::Answer, Does::HangUp, Does::Fail(503)] {
        // The last one is slower than requests are willing to wait for each other.
        for seconds in [0.02, 0.3, 2.0, 6.0, 12.0] {
            let (ends, [together, alone]) = compare(does, seconds).await;
            let story = format!("{does:?} after {seconds} s");
            for (with, without) in ends {
                assert!(with.after <= without.after + TIMEOUT, "{story}: {with:?} instead of {without:?}");
                assert_eq!(with.status, without.status, "{story}");
            }
            assert!(together <= alone, "{story}: {together} instead of {alone}");
            if (0.3..10.0).contains(&seconds) {
                assert_eq!(together, 1, "{story}");
            }
        }
    }
}

/// An answer that is of use to one request only is known by its head, so replicas cannot be quicker than one replica with all clients: nobody is
/// later than the last one without other replicas.
#[tokio::test(start_paused = true)]
async fn an_answer_for_one_request_makes_no_other_later_than_a_follower_of_the_same_replica() {
    for does in [Does::Fail(500), Does::Fail(403), Does::Personal] {
        for seconds in [0.02, 0.3, 2.0, 3.0] {
            let (ends, [together, alone]) = compare(does, seconds).await;
            let last = ends.iter().map(|(_, without)| without.after).max().unwrap();
            for (with, without) in &ends {
                assert!(with.after <= last + TIMEOUT, "{does:?} after {seconds} s: {with:?} instead of {without:?}");
                assert_eq!(with.status, without.status, "{does:?} after {seconds} s");
            }
            assert!(together <= alone, "{does:?} after {seconds} s: {together} instead of {alone}");
        }
    }
}

/// Other replicas read a body while it arrives, from the head on.
#[tokio::test(start_paused = true)]
async fn a_slow_head_and_a_slow_body_are_fetched_once_and_make_no_request_late() {
    for seconds in [0.0, 0.02, 0.5, 2.0, 6.0] {
        for millis in [40, 500, 4_000] {
            let (ends, [together, alone]) = compare(Does::Stream(millis), seconds).await;
            let story = format!("a head after {seconds} s, and the end {millis} ms later");
            for (with, without) in ends {
                let is_late = with.head > without.head + TIMEOUT || with.after > without.after + TIMEOUT;
                assert!(!is_late, "{story}: {with:?} instead of {without:?}");
                assert_eq!(with.status, without.status);
            }
            assert!(together <= alone, "{story}: {together} instead of {alone}");
            assert_eq!(together, 1, "{story}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_there_soon_after_its_head_is_fetched_once_for_all_replicas() {
    for seconds in [0.02, 2.0] {
        let (_, [together, _]) = compare(Does::Stream(10), seconds).await;
        assert_eq!(together, 1, "head after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_shared_as_a_failure_by_requests_that_have_waited() {
    let (ends, [together, _]) = compare(Does::BreakOff, 2.0).await;
    for (with, without) in ends {
        assert!(with.after <= without.after + TIMEOUT, "{with:?} instead of {without:?}");
        assert_eq!(with.word.as_deref(), (with.replica > 0).then_some("hung_up"), "{with:?}");
    }
    assert_eq!(together, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_what_it_was_where_it_is_shared() {
    let origin = origin(Does::HangUp, Duration::from_secs(2));
    for end in all_ask(&replicas(&origin, Some(&Arc::default()))).await {
        assert_eq!((end.status, end.word.as_deref()), (None, (end.replica > 0).then_some("hung_up")), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_costs_others_the_timeout() {
    let (shared, origin) = (Arc::<Shared>::default(), origin(Does::Answer, Duration::from_secs(6)));
    shared.deadly.store(true, Ordering::SeqCst);
    let replicas = replicas(&origin, Some(&shared));
    let dies = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shared.silence(0);
    };
    let ((), ends) = tokio::join!(dies, all_ask(&replicas));
    for end in ends.iter().filter(|end| end.replica > 0) {
        assert!(end.after <= Duration::from_secs(7) + TIMEOUT, "{end:?}");
    }
    assert_eq!(origin.count(), 2, "one of the others fetches instead");
}

#[tokio::test(start_paused = true)]
async fn a_slow_heartbeat_of_a_holder_makes_no_request_late() {
    let (shared, origin) = (Arc::<Shared>::default(), origin(Does::Answer, Duration::from_secs(6)));
    let replicas = replicas(&origin, Some(&shared));
    let falls_silent = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        shared.silence(0);
    };
    let ((), ends) = tokio::join!(falls_silent, all_ask(&replicas));
    for end in ends {
        assert!(end.after <= Duration::from_secs(6) + TIMEOUT, "{end:?}");
    }
    assert_eq!(origin.count(), 2);
}
