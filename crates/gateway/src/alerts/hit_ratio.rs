//! A hit ratio that fell by half: the last minutes against the hour before them.

use super::alert::Alert;
use crate::config::AlertKind;
use crate::stats::Point;

/// The newest points, which are compared with those before: five minutes.
const RECENT: usize = 60;

/// Fewer requests say nothing, lately and before.
const MIN_RECENT: u64 = 100;
const MIN_BEFORE: u64 = 500;

/// It is over once this share of what it was is reached again.
const ENOUGH: f64 = 0.75;

const REMEDY: &str = "was something purged, deployed or restarted? `larder stats` shows which route it is, `larder tail --result miss` why";

/// What the ratio was before it fell; `None` while it has not.
#[derive(Debug, Default)]
pub(super) struct HitRatio(Option<f64>);

impl HitRatio {
    pub(super) fn look(&mut self, points: &[Point]) -> Option<Alert> {
        let (before, recent) = points.split_at(points.len().saturating_sub(RECENT));
        let lately = ratio(recent, MIN_RECENT)?;
        let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
        match self.0 {
            None => {
                let usual = ratio(before, MIN_BEFORE).filter(|usual| lately < usual / 2.0)?;
                self.0 = Some(usual);
                let message = format!("the hit ratio has fallen to {} in five minutes; before it was {}", percent(lately), percent(usual));
                Some(Alert::firing(AlertKind::HitRatio, "hit ratio", message, REMEDY))
            }
            Some(usual) if lately >= usual * ENOUGH => {
                self.0 = None;
                Some(Alert::resolved(AlertKind::HitRatio, "hit ratio", format!("the hit ratio is {} again", percent(lately))))
            }
            Some(_) => None,
        }
    }
}

fn ratio(points: &[Point], min: u64) -> Option<f64> {
    let (hits, fetches) = points.iter().fold((0, 0), |(hits, fetches), point| (hits + point.hits, fetches + point.fetches));
    (hits + fetches >= min).then(|| hits as f64 / (hits + fetches) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn points(parts: &[(usize, u64, u64)]) -> Vec<Point> {
        let point = |hits, fetches| Point { hits, fetches, ..Point::default() };
        parts.iter().flat_map(|(count, hits, fetches)| std::iter::repeat_n(point(*hits, *fetches), *count)).collect()
    }

    #[test]
    fn a_ratio_that_falls_by_half_is_told_and_so_is_its_return() {
        let mut ratio = HitRatio::default();
        let mut states = |parts: &[(usize, u64, u64)]| ratio.look(&points(parts)).map(|alert| alert.state);
        assert_eq!(states(&[(600, 9, 1)]), None);
        assert_eq!(states(&[(600, 9, 1), (60, 5, 5)]), None, "it is more than half of what it was");
        assert_eq!(states(&[(600, 9, 1), (60, 4, 6)]), Some(State::Firing));
        assert_eq!(states(&[(600, 9, 1), (60, 1, 9)]), None, "it is known");
        assert_eq!(states(&[(600, 9, 1), (60, 6, 4)]), None);
        assert_eq!(states(&[(600, 9, 1), (60, 7, 3)]), Some(State::Resolved));
    }

    #[test]
    fn a_few_requests_say_nothing() {
        let mut ratio = HitRatio::default();
        assert_eq!(ratio.look(&points(&[(600, 9, 1), (9, 0, 11)])), None, "the newest five minutes are judged together");
        assert_eq!(ratio.look(&points(&[(10, 9, 1), (60, 0, 10)])), None, "nothing is known of before");
        assert_eq!(ratio.look(&points(&[(600, 9, 1), (60, 0, 1)])), None, "there is next to no traffic");
        assert_eq!(ratio.look(&[]), None);
    }
}
