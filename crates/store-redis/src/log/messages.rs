//! Messages on the channel that applications publish on. Every replica receives each of them, and the log needs it once.
//!
//! The replicas that receive it are in an order. The first one puts a message into the log at once; each of the others waits for it there,
//! a little longer than the one before it, and puts it in itself if it does not come.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How much longer each replica waits than the one before it.
pub(crate) const RANK_DELAY: Duration = Duration::from_millis(250);

/// The maximum that any replica waits.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(2);

/// How long a message is remembered that the log had before it was received here. Published again later, it is another one.
const REMEMBERED_FOR: Duration = Duration::from_secs(2);

/// Messages that this replica has received, and those that it has seen in the log.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    messages: Mutex<State>,
    /// Notified whenever the log has another one.
    logged: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Received, and not seen in the log yet: how often each.
    awaited: HashMap<u64, u32>,
    /// Seen in the log before they were received, and when.
    early: Vec<(u64, Instant)>,
}

impl Messages {
    /// These were received just now.
    pub(crate) fn receive(&self, marks: &[u64], now: Instant) {
        let mut messages = self.lock();
        messages.forget_early(now);
        for mark in marks {
            match messages.early.iter().position(|(early, _)| early == mark) {
                Some(at) => _ = messages.early.remove(at),
                None => *messages.awaited.entry(*mark).or_default() += 1,
            }
        }
    }

    /// The log has these.
    pub(crate) fn logged(&self, marks: impl Iterator<Item = u64>, now: Instant) {
        let mut messages = self.lock();
        messages.forget_early(now);
        for mark in marks {
            if !messages.take(mark) {
                messages.early.push((mark, now));
            }
        }
        drop(messages);
        self.logged.notify_waiters();
    }

    /// These will not come in the log: they were put in without their marks, or are kept until the log can be reached.
    pub(crate) fn forget(&self, marks: &[u64]) {
        let mut messages = self.lock();
        marks.iter().for_each(|mark| _ = messages.take(*mark));
    }

    /// Waits until the log has all of these, at most for `time_limit`; returns those that it lacks then.
    pub(crate) async fn not_logged(&self, marks: &[u64], time_limit: Duration) -> Vec<u64> {
        let all = async {
            loop {
                // Made before the look, so that none is missed in between.
                let logged = self.logged.notified();
                if self.awaited(marks).is_empty() {
                    return;
                }
                logged.await;
            }
        };
        let _ = tokio::time::timeout(time_limit, all).await;
        self.awaited(marks)
    }

    fn awaited(&self, marks: &[u64]) -> Vec<u64> {
        let messages = self.lock();
        marks.iter().copied().filter(|mark| messages.awaited.contains_key(mark)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the log had long ago was of other messages.
    fn forget_early(&mut self, now: Instant) {
        self.early.retain(|(_, logged)| now.saturating_duration_since(*logged) < REMEMBERED_FOR);
    }

    /// One less is awaited; `false` if none is.
    fn take(&mut self, mark: u64) -> bool {
        let Some(count) = self.awaited.get_mut(&mark) else { return false };
        *count -= 1;
        if *count == 0 {
            self.awaited.remove(&mark);
        }
        true
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "instants of a test's own")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_invalidation_that_the_log_has_is_not_published() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.receive(&[1, 2], now);
        messages.logged([1].into_iter(), now);
        assert_eq!(messages.not_logged(&[1, 2], RANK_DELAY).await, [2]);
        messages.logged([2].into_iter(), now);
        assert_eq!(messages.not_logged(&[1, 2], RANK_DELAY).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_may_have_it_before_it_is_heard() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.logged([1].into_iter(), now);
        messages.receive(&[1], now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, [0; 0]);
        messages.receive(&[1], now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, [1], "said again, it is another one");
    }

    #[tokio::test(start_paused = true)]
    async fn an_equal_message_much_later_is_another_one() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.logged([1].into_iter(), now);
        messages.logged([2].into_iter(), now + REMEMBERED_FOR);
        messages.receive(&[1], now + REMEMBERED_FOR);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_equal_message_is_another_one_however_quiet_the_log_was_meanwhile() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.logged([1].into_iter(), now);
        messages.receive(&[1], now + REMEMBERED_FOR);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_invalidation_is_not_waited_for() {
        let messages = Messages::default();
        messages.receive(&[1, 1], Instant::now());
        messages.forget(&[1]);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, [1]);
        messages.forget(&[1]);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, [0; 0]);
    }
}
