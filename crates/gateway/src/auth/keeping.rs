//! Keys at a URL, fetched for as long as somebody needs them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use larder_tower::clock::timer_now;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout};

use super::Auth;
use crate::config::JwksUrl;
use crate::https::{HttpsClient, USER_AGENT};

/// Larger sets are not read: an issuer has two or three keys.
const MAX_KEY_SET: usize = 1 << 20;

/// Until a body is there.
const READING: Duration = Duration::from_secs(10);

/// Before the second attempt; each one after that waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps the keys of `auth` as the URL has them, until `auth` is gone.
pub(super) async fn keep_at(auth: Weak<Auth>, wanted: Arc<Notify>, url: JwksUrl) {
    let (refresh, min_refresh) = (url.refresh, url.min_refresh);
    let fetched = |document| auth.upgrade().map(|auth| auth.fetched(document));
    keep(&wanted, (refresh, min_refresh), || fetch(&url), fetched).await;
}

/// Fetches now, then every `refresh`, and sooner where a key is `wanted`, but never twice within `min_refresh`. What was fetched is handed to `fetched`, which
/// tells how many attempts in a row have failed; `None` ends it.
async fn keep<F: Future<Output = Result<Vec<u8>, String>>>(
    wanted: &Notify,
    (refresh, min_refresh): (Duration, Duration),
    fetch: impl Fn() -> F,
    fetched: impl Fn(Result<Vec<u8>, String>) -> Option<u64>,
) {
    loop {
        let began = timer_now();
        let Some(failed) = fetched(fetch().await) else { return };
        // Keys that were wanted meanwhile are there now, or will be wanted again: one request looks at its token more than once.
        tokio::select! {
            biased;
            () = wanted.notified() => {}
            () = std::future::ready(()) => {}
        }
        let due = async {
            match failed {
                0 => sleep(refresh).await,
                failed => sleep(pause(failed).max(min_refresh).min(refresh)).await,
            }
        };
        let sooner = async {
            wanted.notified().await;
            sleep_until(began + min_refresh).await;
        };
        tokio::select! {
            () = due => {}
            () = sooner => {}
        }
    }
}

fn pause(failed: u64) -> Duration {
    let doublings = u32::try_from(failed.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST_PAUSE * 2_u32.pow(doublings)
}

/// The document at a URL, or why there is none.
pub(super) async fn fetch(url: &JwksUrl) -> Result<Vec<u8>, String> {
    let client = HttpsClient::new(url.authorities.as_ref())?;
    let request = Request::builder()
        .uri(url.url.clone())
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::<Bytes>::default());
    let answer = client.ask(request.map_err(|error| error.to_string())?).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("it answered {}", answer.status()));
    }
    match timeout(READING, Limited::new(answer.into_body(), MAX_KEY_SET).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no whole answer within {} s", READING.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::ready;

    use super::*;

    /// The seconds at which keys were fetched, of which so many fail; a key is wanted at some.
    async fn fetches(failing: u64, wanted_at: &[u64], until: u64) -> Vec<u64> {
        let (began, wanted) = (timer_now(), Notify::new());
        let (times, failed) = (RefCell::new(Vec::new()), Cell::new(0));
        let fetch = || {
            times.borrow_mut().push(timer_now().duration_since(began).as_secs());
            ready(Ok(Vec::new()))
        };
        let fetched = |_| {
            failed.set(if failed.get() < failing { failed.get() + 1 } else { 0 });
            Some(failed.get())
        };
        let intervals = (Duration::from_secs(3600), Duration::from_secs(10));
        let asking = async {
            for second in wanted_at {
                sleep_until(began + Duration::from_secs(*second)).await;
                wanted.notify_one();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = keep(&wanted, intervals, fetch, fetched) => {}
            () = asking => {}
            () = sleep_until(began + Duration::from_secs(until)) => {}
        }
        times.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fetched_at_once_and_then_now_and_again() {
        assert_eq!(fetches(0, &[], 7300).await, [0, 3600, 7200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_wanted_is_fetched_at_once_and_no_flood_fetches_more_often_than_it_may() {
        assert_eq!(fetches(0, &[100], 3000).await, [0, 100]);
        let flood: Vec<u64> = (1..=35).collect();
        assert_eq!(fetches(0, &flood, 3000).await, [0, 10, 20, 30, 40]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_url_that_fails_is_asked_again_less_and_less_often() {
        assert_eq!(fetches(4, &[], 200).await, [0, 10, 20, 40, 80]);
        assert_eq!(pause(u64::MAX), FIRST_PAUSE * 65_536, "and `refresh` is the most");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_those_who_need_the_keys() {
        let wanted = Notify::new();
        let intervals = (Duration::from_secs(3600), Duration::from_secs(10));
        keep(&wanted, intervals, || ready(Ok(Vec::new())), |_| None).await;
    }
}
