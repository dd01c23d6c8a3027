//! Clients that have used so much of a quota that people are warned.

use larder_semantics::Timestamp;

use super::alert::{Alert, QuotaFacts};
use crate::config::AlertKind;
use crate::limits::Warning;
use crate::telemetry::access_log::timestamp;

/// Clients whose windows end with a word; others end in silence.
const KEPT: usize = 1000;

const REMEDY: &str = "`larder limits` shows who uses how much; `larder limits LIMIT CLIENT --give-back` begins anew";

/// Those that were warned of, until their windows end.
#[derive(Debug, Default)]
pub(crate) struct QuotaWarnings(Vec<(u64, String)>);

impl QuotaWarnings {
    /// The alert for a client.
    pub(crate) fn begin(&mut self, warning: Warning) -> Alert {
        let Warning { quota, limit, count, key, used, max, ends_at } = warning;
        let subject = format!("quota {limit} of {key}");
        let share = u128::from(used) * 100 / u128::from(max.max(1));
        let (used, max) = (count.as_people_count(used), count.as_people_count(max));
        let resets_at = timestamp(Timestamp::from_millis(ends_at.saturating_mul(1000)));
        let message = format!("{subject}: {used} of {max} {} are used ({share} %) before {resets_at}", count.as_str());
        let ends = self.0.len() < KEPT;
        if ends {
            self.0.push((ends_at, subject.clone()));
        }
        let (name, limit) = (quota.to_string(), limit.to_string());
        let facts = QuotaFacts { name, limit, count: count.as_str(), key, used, max, resets_at };
        Alert { quota: Some(facts), ends, ..Alert::firing(AlertKind::Quota, subject, message, REMEDY) }
    }

    /// Those whose windows have ended, at a time in seconds since 1970.
    pub(crate) fn ended(&mut self, now: u64) -> Vec<Alert> {
        let ended = self.0.extract_if(.., |(ends_at, _)| *ends_at <= now);
        let resolved = |(_, subject): (u64, String)| {
            let message = format!("{subject}: a new window has begun");
            Alert::resolved(AlertKind::Quota, subject, message)
        };
        ended.map(resolved).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::config::LimitCount;

    #[test]
    fn a_warning_says_how_much_of_what_is_used_and_ends_with_its_window() {
        let mut warnings = QuotaWarnings::default();
        let warning = Warning {
            quota: "llm".into(),
            limit: "llm.cost.month".into(),
            count: LimitCount::Cost,
            key: "team-7".to_owned(),
            used: 20_500_000_000,
            max: 25_000_000_000,
            ends_at: 86_400,
        };
        let alert = warnings.begin(warning);
        assert_eq!((alert.kind, alert.state), (AlertKind::Quota, State::Firing));
        assert_eq!(alert.message, "quota llm.cost.month of team-7: 20.5 of 25 cost are used (82 %) before 1970-01-02T00:00:00.000Z");
        let facts = serde_json::to_value(alert.quota).expect("plain data");
        assert_eq!(
            facts,
            serde_json::json!({ "name": "llm", "limit": "llm.cost.month", "count": "cost", "key": "team-7", "used": 20.5, "max": 25.0, "resets_at": "1970-01-02T00:00:00.000Z" })
        );
        assert_eq!(warnings.ended(86_399), []);
        let ended = warnings.ended(86_400);
        assert_eq!((ended.len(), ended[0].state, &*ended[0].subject), (1, State::Resolved, "quota llm.cost.month of team-7"));
        assert_eq!(warnings.ended(99_999), []);
    }
}
