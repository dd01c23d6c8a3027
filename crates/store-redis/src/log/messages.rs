//! Messages on the channel that applications publish on. Every replica receives each of them, and the log needs it once.
//!
//! The replicas that receive it are in an order. The first one puts a message into the log at once; each of the others waits for it there,
//! a little longer than the one before it, and puts it in itself if it does not come. Two that take themselves for the first one do no harm:
//! `scripts/publish.lua` leaves out what is in the log already.
//!
//! Equal messages cannot be told apart, so they are counted, here and in the log. A count that is too high there would be taken for the next
//! equal message, and that one would be in no log.

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

/// How long a message may still come in the log that this replica has given up: the last of the others waits so long, and has to put it in.
const GIVEN_UP_FOR: Duration = Duration::from_secs(4);

/// Messages that this replica has received, and those that it has seen in the log.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    messages: Mutex<State>,
    /// Notified whenever the log has another one.
    logged: Notify,
}

/// Received messages that the log may lack.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unlogged {
    pub(crate) marks: Vec<u64>,
    /// Equal to some of them, perhaps, and others: entries that are not read yet have these, or may.
    pub(crate) expected: Vec<u64>,
    /// The marks of the entries up to this one are counted already.
    pub(crate) after: u64,
}

#[derive(Debug, Default)]
struct State {
    /// The last entry whose marks are counted.
    read: u64,
    /// Entries up to this one are of messages from before this replica listened.
    unheard: u64,
    /// Received, and not seen in the log yet: how often each.
    awaited: HashMap<u64, u32>,
    /// No longer waited for, and not seen in the log yet.
    expected: Vec<(u64, Expected)>,
    /// Seen in the log before they were received, and when.
    early: Vec<(u64, Instant)>,
}

/// Where in the log a message is that is not waited for.
#[derive(Debug)]
enum Expected {
    /// In one of the entries up to this one.
    By(u64),
    /// This replica gave it up then, and it may come all the same: the answer was lost, or another replica puts it in.
    GivenUp(Instant),
}

impl Messages {
    /// From now on everything is received. What is in the log up to entry `last` was published before.
    pub(crate) fn listen(&self, last: u64) {
        let mut messages = self.lock();
        messages.unheard = last;
        messages.early.clear();
        messages.expected.retain(|(_, expected)| !matches!(expected, Expected::By(number) if *number <= last));
    }

    /// These were received just now.
    pub(crate) fn receive(&self, marks: &[u64], now: Instant) {
        let mut messages = self.lock();
        messages.forget(now);
        for mark in marks {
            match messages.early.iter().position(|(early, _)| early == mark) {
                Some(at) => _ = messages.early.remove(at),
                None => *messages.awaited.entry(*mark).or_default() += 1,
            }
        }
    }

    /// The log's next entry has these.
    pub(crate) fn logged(&self, number: u64, marks: impl Iterator<Item = u64>, now: Instant) {
        let mut messages = self.lock();
        messages.forget(now);
        if number > messages.unheard {
            for mark in marks {
                if !messages.take(mark) {
                    messages.early.push((mark, now));
                }
            }
        }
        messages.read_up_to(number);
        drop(messages);
        self.logged.notify_waiters();
    }

    /// The log is read on after this entry, whatever came before.
    pub(crate) fn start_over_at(&self, number: u64) {
        self.lock().read_up_to(number);
    }

    /// These are in the log, in entries up to `number`.
    pub(crate) fn published(&self, marks: &[u64], number: u64) {
        let mut messages = self.lock();
        let is_read = messages.read >= number;
        for mark in marks {
            if messages.take_awaited(*mark) && !is_read {
                messages.expected.push((*mark, Expected::By(number)));
            }
        }
    }

    /// These are not waited for any more: they are kept until the log can be reached, and go there without their marks.
    pub(crate) fn give_up(&self, marks: &[u64], now: Instant) {
        let mut messages = self.lock();
        for mark in marks {
            if messages.take_awaited(*mark) {
                messages.expected.push((*mark, Expected::GivenUp(now)));
            }
        }
    }

    /// Waits until the log has all of these, at most for `time_limit`; returns those that it lacks then, as far as it is read.
    pub(crate) async fn not_logged(&self, marks: &[u64], time_limit: Duration) -> Unlogged {
        let all = async {
            loop {
                // Made before the look, so that none is missed in between.
                let logged = self.logged.notified();
                if self.unlogged(marks).marks.is_empty() {
                    return;
                }
                logged.await;
            }
        };
        let _ = tokio::time::timeout(time_limit, all).await;
        self.unlogged(marks)
    }

    fn unlogged(&self, marks: &[u64]) -> Unlogged {
        let messages = self.lock();
        let mut awaited = messages.awaited.clone();
        let mut is_awaited = |mark: &u64| {
            let count = awaited.get_mut(mark).filter(|count| **count > 0);
            count.map(|count| *count -= 1).is_some()
        };
        let marks = marks.iter().copied().filter(|mark| is_awaited(mark)).collect();
        let expected = messages.expected.iter().map(|(mark, _)| *mark);
        // Equal ones that are being published at the same time.
        let others = awaited.iter().flat_map(|(mark, count)| std::iter::repeat_n(*mark, *count as usize));
        let expected = expected.chain(others).collect();
        Unlogged { marks, expected, after: messages.read.max(messages.unheard) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the log had long ago was of other messages, and what was given up long ago does not come.
    fn forget(&mut self, now: Instant) {
        let is_within = |since: Instant, time: Duration| now.saturating_duration_since(since) < time;
        self.early.retain(|(_, logged)| is_within(*logged, REMEMBERED_FOR));
        self.expected.retain(|(_, expected)| !matches!(expected, Expected::GivenUp(then) if !is_within(*then, GIVEN_UP_FOR)));
    }

    fn read_up_to(&mut self, number: u64) {
        self.read = number;
        self.expected.retain(|(_, expected)| !matches!(expected, Expected::By(last) if *last <= number));
    }

    /// One less is to come in the log; `false` if there is none.
    fn take(&mut self, mark: u64) -> bool {
        match self.expected.iter().position(|(expected, _)| *expected == mark) {
            Some(at) => {
                self.expected.remove(at);
                true
            }
            None => self.take_awaited(mark),
        }
    }

    /// One less is awaited; `false` if none is.
    fn take_awaited(&mut self, mark: u64) -> bool {
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

    async fn not_logged(messages: &Messages, marks: &[u64]) -> Vec<u64> {
        messages.not_logged(marks, RANK_DELAY).await.marks
    }

    #[tokio::test(start_paused = true)]
    async fn an_invalidation_that_the_log_has_is_not_published() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.receive(&[1, 2], now);
        messages.logged(7, [1].into_iter(), now);
        assert_eq!(not_logged(&messages, &[1, 2]).await, [2]);
        messages.logged(8, [2].into_iter(), now);
        assert_eq!(not_logged(&messages, &[1, 2]).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_equal_messages_as_many_are_published_as_the_log_lacks() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.receive(&[1, 1, 1], now);
        messages.logged(7, [1].into_iter(), now);
        assert_eq!(not_logged(&messages, &[1, 1, 1]).await, [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_may_have_it_before_it_is_heard() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.logged(7, [1].into_iter(), now);
        messages.receive(&[1], now);
        assert_eq!(not_logged(&messages, &[1]).await, [0; 0]);
        messages.receive(&[1], now);
        assert_eq!(not_logged(&messages, &[1]).await, [1], "said again, it is another one");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_log_has_from_before_a_replica_listened_is_no_message_that_it_receives() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.logged(7, [1].into_iter(), now);
        messages.listen(8);
        messages.receive(&[1], now);
        messages.logged(8, [1].into_iter(), now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, Unlogged { marks: vec![1], expected: vec![], after: 8 });
        messages.logged(9, [1].into_iter(), now);
        assert_eq!(not_logged(&messages, &[1]).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_equal_message_much_later_is_another_one() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.logged(7, [1].into_iter(), now);
        messages.logged(8, [2].into_iter(), now + REMEMBERED_FOR);
        messages.receive(&[1], now + REMEMBERED_FOR);
        assert_eq!(not_logged(&messages, &[1]).await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_equal_message_is_another_one_however_quiet_the_log_was_meanwhile() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.logged(7, [1].into_iter(), now);
        messages.receive(&[1], now + REMEMBERED_FOR);
        assert_eq!(not_logged(&messages, &[1]).await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_was_given_up_and_is_in_the_log_all_the_same_is_not_the_next_one() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.receive(&[1], now);
        messages.give_up(&[1], now);
        assert_eq!(not_logged(&messages, &[1]).await, [0; 0]);
        messages.receive(&[1], now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, Unlogged { marks: vec![1], expected: vec![1], after: 0 });
        messages.logged(7, [1].into_iter(), now);
        assert_eq!(not_logged(&messages, &[1]).await, [1], "that was the first one");
        messages.logged(8, [1].into_iter(), now);
        assert_eq!(not_logged(&messages, &[1]).await, [0; 0]);
        messages.receive(&[2], now);
        messages.give_up(&[2], now);
        messages.receive(&[2], now + GIVEN_UP_FOR);
        messages.logged(9, [2].into_iter(), now + GIVEN_UP_FOR);
        assert_eq!(not_logged(&messages, &[2]).await, [0; 0], "the first one never came");
    }

    #[tokio::test(start_paused = true)]
    async fn a_published_message_whose_entry_is_not_read_yet_is_not_the_next_one() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.receive(&[1], now);
        messages.published(&[1], 7);
        messages.receive(&[1], now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, Unlogged { marks: vec![1], expected: vec![1], after: 0 });
        messages.logged(7, [1].into_iter(), now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, Unlogged { marks: vec![1], expected: vec![], after: 7 });
        messages.published(&[1], 8);
        messages.start_over_at(9);
        messages.receive(&[1], now);
        messages.logged(10, [1].into_iter(), now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, Unlogged { marks: vec![], expected: vec![], after: 10 });
    }

    #[tokio::test(start_paused = true)]
    async fn equal_messages_that_are_published_at_the_same_time_are_told_apart_by_their_number() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.receive(&[1], now);
        messages.receive(&[1], now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, Unlogged { marks: vec![1], expected: vec![1], after: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_is_read_before_its_number_is_known_is_counted_once() {
        let (messages, now) = (Messages::default(), Instant::now());
        messages.receive(&[1], now);
        messages.logged(7, [1].into_iter(), now);
        messages.published(&[1], 7);
        messages.receive(&[1], now);
        assert_eq!(messages.not_logged(&[1], RANK_DELAY).await, Unlogged { marks: vec![1], expected: vec![], after: 7 });
    }
}
