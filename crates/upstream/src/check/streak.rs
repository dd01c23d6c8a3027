//! Answers of the same kind in a row.

use std::fmt;
use std::str::FromStr;

use larder_config::HealthCheck;

/// So many good or bad answers in a row, the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streak {
    /// Whether they were good.
    pub good: bool,
    /// How many.
    pub count: u32,
}

impl Streak {
    /// With one more answer.
    pub(crate) fn then(before: Option<Self>, good: bool) -> Self {
        let count = before.filter(|before| before.good == good).map_or(0, |before| before.count);
        Self { good, count: count.saturating_add(1) }
    }

    /// Whether the server is to be asked by clients' requests; `None`: as before.
    pub(crate) fn verdict(self, check: &HealthCheck) -> Option<bool> {
        let enough = if self.good { check.rise } else { check.fall };
        (self.count >= enough).then_some(self.good)
    }
}

/// `good 3`, as replicas tell each other.
impl fmt::Display for Streak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.good { "good" } else { "bad" }, self.count)
    }
}

impl FromStr for Streak {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, count) = text.split_once(' ').ok_or(())?;
        let good = match word {
            "good" => true,
            "bad" => false,
            _ => return Err(()),
        };
        Ok(Self { good, count: count.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_answers_of_a_kind_in_a_row_are_a_verdict() {
        let check = HealthCheck::new("/");
        let mut streak = None;
        let mut verdicts = Vec::new();
        for good in [false, false, true, false, false, false, true, true] {
            let next = Streak::then(streak, good);
            verdicts.push(next.verdict(&check));
            streak = Some(next);
        }
        assert_eq!(verdicts, [None, None, None, None, None, Some(false), None, Some(true)]);
    }

    #[test]
    fn a_streak_is_text_and_back_and_other_text_is_none() {
        for streak in [Streak { good: true, count: 1 }, Streak { good: false, count: u32::MAX }] {
            assert_eq!(streak.to_string().parse(), Ok(streak));
        }
        for text in ["", "good", "good -1", "better 1", "good 99999999999"] {
            assert_eq!(text.parse::<Streak>(), Err(()), "{text}");
        }
    }
}
