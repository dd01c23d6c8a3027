//! Messages on the channel that applications publish on, which every replica hears: the log needs each of them once.
//!
//! The replicas that hear it are in an order. The first one puts a message into the log at once; each of the others looks whether it is
//! there, a little longer than the one before it, and puts it in itself if it is not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How much longer each replica waits than the one before it.
pub(crate) const TURN: Duration = Duration::from_millis(250);

/// The longest that any replica waits.
pub(crate) const LONGEST: Duration = Duration::from_secs(2);

/// How long a message that the log had before it was heard here is remembered. Said again later, it is another one.
const EARLY: Duration = Duration::from_secs(2);

/// Messages that this replica has heard, and those that it has met in the log.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    messages: Mutex<Messages>,
    /// Told whenever the log has another one.
    logged: Notify,
}

#[derive(Debug, Default)]
struct Messages {
    /// Heard, and not met in the log yet: how often each.
    awaited: HashMap<u64, u32>,
    /// Met in the log before they were heard, and when.
    early: Vec<(u64, Instant)>,
}

impl Heard {
    /// These were heard just now.
    pub(crate) fn hear(&self, marks: &[u64]) {
        let mut messages = self.lock();
        for mark in marks {
            match messages.early.iter().position(|(early, _)| early == mark) {
                Some(at) => _ = messages.early.remove(at),
                None => *messages.awaited.entry(*mark).or_default() += 1,
            }
        }
    }

    /// The log has these.
    pub(crate) fn met(&self, marks: impl Iterator<Item = u64>, now: Instant) {
        let mut messages = self.lock();
        messages.early.retain(|(_, met)| now.saturating_duration_since(*met) < EARLY);
        for mark in marks {
            if !messages.take(mark) {
                messages.early.push((mark, now));
            }
        }
        drop(messages);
        self.logged.notify_waiters();
    }

    /// These will not be met: they were put in without their marks, or are kept until the log can be reached.
    pub(crate) fn forget(&self, marks: &[u64]) {
        let mut messages = self.lock();
        marks.iter().for_each(|mark| _ = messages.take(*mark));
    }

    /// Waits until the log has all of these, at most for so long; what it lacks then.
    pub(crate) async fn missing(&self, marks: &[u64], patience: Duration) -> Vec<u64> {
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
        let _ = tokio::time::timeout(patience, all).await;
        self.awaited(marks)
    }

    fn awaited(&self, marks: &[u64]) -> Vec<u64> {
        let messages = self.lock();
        marks.iter().copied().filter(|mark| messages.awaited.contains_key(mark)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Messages {
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
    async fn what_the_log_has_need_not_be_put_in() {
        let (heard, now) = (Heard::default(), Instant::now());
        heard.hear(&[1, 2]);
        heard.met([1].into_iter(), now);
        assert_eq!(heard.missing(&[1, 2], TURN).await, [2]);
        heard.met([2].into_iter(), now);
        assert_eq!(heard.missing(&[1, 2], TURN).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_may_have_it_before_it_is_heard() {
        let (heard, now) = (Heard::default(), Instant::now());
        heard.met([1].into_iter(), now);
        heard.hear(&[1]);
        assert_eq!(heard.missing(&[1], TURN).await, [0; 0]);
        heard.hear(&[1]);
        assert_eq!(heard.missing(&[1], TURN).await, [1], "said again, it is another one");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_met_long_ago_is_another_message() {
        let (heard, now) = (Heard::default(), Instant::now());
        heard.met([1].into_iter(), now);
        heard.met([2].into_iter(), now + EARLY);
        heard.hear(&[1]);
        assert_eq!(heard.missing(&[1], TURN).await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_kept_is_not_waited_for() {
        let heard = Heard::default();
        heard.hear(&[1, 1]);
        heard.forget(&[1]);
        assert_eq!(heard.missing(&[1], TURN).await, [1]);
        heard.forget(&[1]);
        assert_eq!(heard.missing(&[1], TURN).await, [0; 0]);
    }
}
