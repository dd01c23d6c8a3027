//! Which requests have a line.

use larder_config::{Log, LogCondition};
use larder_tower::CacheResult;

use super::line::{Sent, Transfer};
use crate::random::Share;

/// `[log] only` and `sample`.
#[derive(Debug)]
pub(super) struct Selection {
    only: Box<[LogCondition]>,
    always: Box<[LogCondition]>,
    share: Option<Share>,
}

impl Selection {
    pub(super) fn of(log: &Log) -> Self {
        let always = log.sample.iter().flat_map(|sample| sample.always.iter().copied());
        let share = log.sample.as_ref().map(|sample| Share::new(sample.share));
        Self { only: log.only.as_slice().into(), always: always.collect(), share }
    }

    /// Whether a request that begins may have a line. Where nothing that comes later can change it, chance decides here, and a request that is not
    /// drawn costs no line.
    pub(super) fn may_take(&self) -> bool {
        !self.always.is_empty() || self.share.is_none_or(Share::draw)
    }

    /// Whether a request that has ended, and that [`Self::may_take`] let through, has a line.
    pub(super) fn takes(&self, sent: &Sent) -> bool {
        if !self.only.is_empty() && !any(&self.only, sent) {
            return false;
        }
        self.always.is_empty() || any(&self.always, sent) || self.share.is_none_or(Share::draw)
    }
}

fn any(conditions: &[LogCondition], sent: &Sent) -> bool {
    conditions.iter().any(|condition| applies(*condition, sent))
}

fn applies(condition: LogCondition, sent: &Sent) -> bool {
    let status = sent.status.map(|status| status.as_u16());
    match condition {
        LogCondition::Errors => status.is_some_and(|status| status >= 500),
        LogCondition::Aborted => sent.transfer == Transfer::Aborted,
        LogCondition::Status(wanted) => status == Some(wanted),
        LogCondition::StatusClass(class) => status.is_some_and(|status| status / 100 == class),
        LogCondition::Slow(than) => sent.duration > than,
        LogCondition::Result(wanted) => sent.result.map(CacheResult::logged) == Some(wanted),
        LogCondition::Reason(wanted) => sent.reason == Some(wanted),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use larder_config::LogSample;
    use larder_semantics::Reason;

    use super::*;

    fn sent(status: u16) -> Sent {
        Sent { status: StatusCode::from_u16(status).ok(), transfer: Transfer::Complete, ..Sent::default() }
    }

    #[test]
    fn a_condition_applies_to_what_it_names_and_to_nothing_else() {
        let slow = LogCondition::Slow(Duration::from_secs(1));
        let of = |status, result, reason, seconds| Sent { result, reason, duration: Duration::from_secs(seconds), ..sent(status) };
        let miss = of(200, Some(CacheResult::Miss), Some(Reason::Absent), 2);
        let hit = of(404, Some(CacheResult::Hit), Some(Reason::Fresh), 1);
        let failed = of(503, None, None, 0);
        let left = Sent::default();
        for (condition, expected) in [
            (LogCondition::Errors, [false, false, true, false]),
            (LogCondition::Aborted, [false, false, false, true]),
            (LogCondition::Status(404), [false, true, false, false]),
            (LogCondition::StatusClass(2), [true, false, false, false]),
            (slow, [true, false, false, false]),
            (LogCondition::Result("HIT"), [false, true, false, false]),
            (LogCondition::Reason(Reason::Absent), [true, false, false, false]),
        ] {
            assert_eq!([&miss, &hit, &failed, &left].map(|sent| applies(condition, sent)), expected, "{condition:?}");
        }
    }

    #[test]
    fn conditions_choose_and_chance_thins_out_what_is_not_always_logged() {
        let log = |only: &[LogCondition], sample: Option<(f64, &[LogCondition])>| {
            let sample = sample.map(|(share, always)| LogSample { share, always: always.to_vec() });
            Selection::of(&Log { only: only.to_vec(), sample, ..Log::default() })
        };
        let all = log(&[], None);
        assert!(all.may_take() && all.takes(&sent(200)));
        let errors = log(&[LogCondition::Errors], None);
        assert!(errors.may_take() && errors.takes(&sent(500)) && !errors.takes(&sent(200)));
        let none = log(&[], Some((0.0, &[])));
        assert!(!none.may_take(), "nothing is formatted for it");
        let rest = log(&[], Some((0.0, &[LogCondition::Errors])));
        assert!(rest.may_take() && rest.takes(&sent(500)) && !rest.takes(&sent(200)));
        let both = log(&[LogCondition::StatusClass(4)], Some((0.0, &[LogCondition::Errors, LogCondition::Status(404)])));
        assert!(both.takes(&sent(404)) && !both.takes(&sent(403)) && !both.takes(&sent(500)), "`only` comes first");
    }
}
