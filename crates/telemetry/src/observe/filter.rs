//! The filter of a tail.

use std::time::Duration;

use larder_semantics::Reason;
use larder_store::ledger::Glob;

use super::happening::Happened;

/// What a request has to be like; by default any will do.
#[derive(Clone, Debug, Default)]
pub struct TailFilter {
    route: Option<String>,
    result: Option<String>,
    reason: Option<Reason>,
    status: Option<Statuses>,
    url: Option<Glob>,
    slower: Option<Duration>,
    /// Of so many requests that suit, one is taken; with how many have come since.
    sample: Option<(u32, u32)>,
}

/// One status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statuses {
    One(u16),
    Class(u16),
}

/// Longer texts are slips.
const MAX_TEXT: usize = 1024;

const RESULTS: [&str; 4] = ["hit", "revalidated", "miss", "bypass"];

impl TailFilter {
    /// The names of its parts.
    pub const NAMES: [&'static str; 7] = ["route", "result", "reason", "status", "url", "slower", "sample"];

    /// From parts with their values.
    ///
    /// # Errors
    /// One sentence on what is wrong with a part.
    pub fn parse<'p>(parts: impl IntoIterator<Item = (&'p str, &'p str)>) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in parts {
            if value.is_empty() || value.len() > MAX_TEXT {
                return Err(format!("{name}: a value has 1 to {MAX_TEXT} bytes."));
            }
            match name {
                "route" => filter.route = Some(value.to_owned()),
                "result" => {
                    let word = value.to_ascii_lowercase();
                    let known = RESULTS.contains(&&*word);
                    filter.result = Some(known.then_some(word).ok_or_else(|| format!("result: there are {}.", RESULTS.join(", ")))?);
                }
                "reason" => {
                    let known = Reason::ALL.iter().find(|reason| reason.as_str() == value);
                    filter.reason = Some(*known.ok_or_else(|| format!("reason: `{value}` is none; `larder explain-reason` lists them."))?);
                }
                "status" => {
                    let wrong = || format!("status: `{value}` is neither a status like 404 nor a class like 5xx.");
                    filter.status = Some(Statuses::parse(value).ok_or_else(wrong)?);
                }
                "url" => filter.url = Some(Glob::new(value)),
                "slower" => {
                    let time = duration(value).ok_or_else(|| format!("slower: `{value}` is not a time, like 100ms."))?;
                    filter.slower = Some(time);
                }
                "sample" => {
                    let share = value.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
                    let share = share.ok_or_else(|| format!("sample: `{value}` is not a share above 0 and up to 1, like 0.01."))?;
                    filter.sample = Some(((1.0 / share).round().min(1e9) as u32, 0));
                }
                name => return Err(format!("`{name}` is not a filter: there are {}.", Self::NAMES.join(", "))),
            }
        }
        Ok(filter)
    }

    /// Whether a request suits, and is the one of so many that is taken.
    pub(super) fn takes(&mut self, happened: &Happened) -> bool {
        if !self.suits(happened) {
            return false;
        }
        let Some((every, count)) = &mut self.sample else { return true };
        *count += 1;
        if *count < *every {
            return false;
        }
        *count = 0;
        true
    }

    fn suits(&self, happened: &Happened) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found.is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        is(&self.route, happened.route.as_deref())
            && is(&self.result, happened.result)
            && self.reason.is_none_or(|reason| happened.reason == Some(reason.as_str()))
            && self.status.is_none_or(|statuses| happened.status.is_some_and(|status| statuses.has(status)))
            && self.slower.is_none_or(|slower| u128::from(happened.duration_us) > slower.as_micros())
            && self.url.as_ref().is_none_or(|glob| glob.matches(&happened.host_and_path()))
    }
}

impl Statuses {
    fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class);
        }
        text.parse().ok().filter(|status| (100..1000).contains(status)).map(Self::One)
    }

    fn has(self, status: u16) -> bool {
        match self {
            Self::One(wanted) => status == wanted,
            Self::Class(class) => status / 100 == class,
        }
    }
}

/// `100ms`, `2s`, `500us`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    Some(match &text[digits..] {
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use larder_semantics::Timestamp;

    use super::*;

    pub(in super::super) fn happened() -> Happened {
        Happened {
            timestamp: Timestamp::default(),
            client: [127, 0, 0, 1].into(),
            method: "GET".into(),
            scheme: "http",
            host: "a.example".into(),
            target: "/issues/7?a=b".into(),
            status: Some(404),
            bytes: None,
            duration_us: 150_000,
            result: Some("MISS"),
            reason: Some("absent"),
            route: Some("detail".into()),
            key: None,
            stored: None,
            collapsed: false,
            upstream: None,
            upstream_server: None,
            upstream_status: None,
            upstream_us: None,
            connect_us: None,
            attempts: None,
            request_id: None,
            trace_id: None,
            problem: None,
        }
    }

    #[test]
    fn each_part_lets_through_what_it_says() {
        for (parts, suits) in [
            (&[][..], true),
            (&[("route", "detail"), ("result", "MISS")][..], true),
            (&[("route", "other")], false),
            (&[("result", "hit")], false),
            (&[("reason", "absent")], true),
            (&[("reason", "fresh")], false),
            (&[("status", "404")], true),
            (&[("status", "4xx")], true),
            (&[("status", "5xx")], false),
            (&[("url", "a.example/issues/*")], true),
            (&[("url", "**/issues/*")], true),
            (&[("url", "**/other")], false),
            (&[("slower", "100ms")], true),
            (&[("slower", "1s")], false),
        ] {
            let mut filter = TailFilter::parse(parts.iter().copied()).expect("a filter");
            assert_eq!(filter.takes(&happened()), suits, "{parts:?}");
        }
    }

    #[test]
    fn a_sample_is_one_of_so_many() {
        let mut filter = TailFilter::parse([("sample", "0.25")]).expect("a filter");
        assert_eq!((0..12).filter(|_| filter.takes(&happened())).count(), 3);
    }

    #[test]
    fn what_is_no_filter_is_said() {
        for (name, value, said) in [
            ("result", "x", "result: there are"),
            ("reason", "x", "reason: `x` is none"),
            ("status", "6xx", "status: "),
            ("status", "99", "status: "),
            ("slower", "fast", "slower: "),
            ("slower", "18446744073709551615m", "slower: "),
            ("sample", "0", "sample: "),
            ("sample", "nan", "sample: "),
            ("sample", "2", "sample: "),
            ("colour", "red", "`colour` is not a filter"),
            ("url", "", "url: "),
        ] {
            let error = TailFilter::parse([(name, value)]).expect_err(value);
            assert!(error.contains(said), "{name}={value}: {error}");
        }
        assert!(TailFilter::parse([("url", "x".repeat(2000).as_str())]).is_err());
    }
}
