//! The requests of a scenario: a target with fields, or a script for `wrk`.

use super::scenario::{SMALL, Scenario};

/// Bytes of the stored body that ranges are asked of.
const WHOLE: usize = 1 << 20;
/// Bytes of an upload.
const UPLOAD: usize = 1 << 20;
/// The languages of the variants.
const LANGUAGES: [&str; 3] = ["en", "de", "fr"];

impl Scenario {
    /// The URL where there is one target.
    pub(super) fn target(self) -> String {
        let path = "api/v1/issues?organization=acme&project=storefront";
        match self {
            Self::Pass => format!("/pass/{}/{path}", self.body()),
            Self::Upload => format!("/pass/{SMALL}/{path}"),
            Self::Vary => format!("/vary/{SMALL}/{path}"),
            Self::Range => format!("/{WHOLE}/{path}"),
            _ => format!("/{}/{path}", self.body()),
        }
    }

    /// The field, `Name: value`, that every request has besides the usual ones.
    pub(super) fn field(self) -> Option<&'static str> {
        match self {
            Self::NotModified => Some("If-None-Match: \"33a64df551425fcc\""),
            Self::Identity => Some("Authorization: Bearer 9f2c4a"),
            Self::Range => Some("Range: bytes=4096-5119"),
            _ => None,
        }
    }

    /// The `wrk` script that makes the requests, where they differ; `run` keeps the runs apart.
    pub(super) fn script(self, run: u32) -> Option<String> {
        match self {
            miss if miss.is_miss() => Some(miss_script(&miss.miss_prefix(run), miss.fields())),
            Self::Upload => Some(format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {UPLOAD})\n")),
            Self::Vary => Some(vary_script(&self.target())),
            Self::Post2k => Some(post_script()),
            Self::Idle | Self::IdleTls => Some(idle_script(self.connections())),
            _ => self.spread().map(spread_script),
        }
    }

    /// The target of the request of this number.
    pub(super) fn numbered_target(self, run: u32, number: u64) -> String {
        match (self, self.spread()) {
            (miss, _) if miss.is_miss() => format!("{}{number}", miss.miss_prefix(run)),
            (_, Some(keys)) => key_target(u32::try_from(number % u64::from(keys)).unwrap_or_default()),
            _ => self.target(),
        }
    }

    fn miss_prefix(self, run: u32) -> String {
        format!("/{}/miss/{run}/", self.body())
    }

    /// The fields of a request that is never made twice.
    fn fields(self) -> &'static [(&'static str, &'static str)] {
        if matches!(self, Self::Unguarded | Self::Guarded) { &BROWSER } else { &[] }
    }
}

/// What browsers and proxies send; a guard looks for the last seven.
const BROWSER: [(&str, &str); 10] = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0)"),
    ("Accept", "text/html"),
    ("Accept-Language", "de,en;q=0.7"),
    ("Referer", "https://shop.example/catalogue/17"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Host", "shop.example"),
    ("X-Trace", "0123456789abcdef"),
    ("X-Device", "mobile-android"),
    ("X-Session-Hint", "cart-8812-aa"),
    ("Cookie", "session=5f1d7a84d2"),
];

/// The target of one of the keys that hits are spread over.
pub(super) fn key_target(key: u32) -> String {
    format!("/{SMALL}/api/v1/issues?page={key}&project=storefront")
}

/// From one key to the next: it has no factor in common with any number of keys.
const STRIDE: u32 = 61_803;

/// A `wrk` script that visits all of `keys` in an order no prefetcher guesses.
fn spread_script(keys: u32) -> String {
    let target = format!("/{SMALL}/api/v1/issues?page=\" .. key .. \"&project=storefront");
    format!("local key = 0\nrequest = function()\n  key = (key + {STRIDE}) % {keys}\n  return wrk.format(\"GET\", \"{target}\")\nend\n")
}

/// A `wrk` script that never asks for the same twice.
fn miss_script(prefix: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("wrk.headers[\"{name}\"] = \"{value}\"\n")).collect();
    format!("{fields}local key = 0\nrequest = function()\n  key = key + 1\n  return wrk.format(\"GET\", \"{prefix}\" .. key)\nend\n")
}

/// A `wrk` script that asks once over each connection, and is quiet from then on.
fn idle_script(connections: u32) -> String {
    format!("local asked = 0\ndelay = function()\n  asked = asked + 1\n  return asked <= {connections} and 0 or 3600000\nend\n")
}

/// A `wrk` script that asks by a POST with 2 KiB of JSON.
fn post_script() -> String {
    let body = format!("{{\"query\":{{\"match\":{{\"title\":\"{}\"}}}},\"size\":10}}", "x".repeat(2000));
    format!("wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [[{body}]]\n")
}

/// A `wrk` script that asks for one variant after the other.
fn vary_script(target: &str) -> String {
    let languages = LANGUAGES.map(|language| format!("\"{language}\"")).join(", ");
    format!(
        "local languages, next = {{{languages}}}, 0\nrequest = function()\n  next = next % #languages + 1\n  \
         return wrk.format(\"GET\", \"{target}\", {{[\"Accept-Language\"] = languages[next]}})\nend\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::scenario::KEYS;
    use super::*;

    #[test]
    fn the_script_asks_for_the_keys_that_were_filled() {
        let filled = key_target(7).replace('7', "\" .. key .. \"");
        assert!(spread_script(KEYS).contains(&filled), "{filled}");
    }

    #[test]
    fn the_stride_visits_every_key() {
        let gcd = |mut a: u32, mut b: u32| {
            while b > 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        assert!(Scenario::ALL.into_iter().filter_map(Scenario::spread).all(|keys| gcd(STRIDE, keys) == 1));
    }

    #[test]
    fn what_a_script_asks_for_is_said_by_the_scenario() {
        let vary = Scenario::Vary.script(0).unwrap_or_default();
        assert!(vary.contains(&Scenario::Vary.target()) && LANGUAGES.iter().all(|language| vary.contains(language)), "{vary}");
        assert!(Scenario::Upload.script(0).is_some_and(|script| script.contains("1048576")));
        assert_ne!(Scenario::Miss.script(1), Scenario::Miss.script(2), "no run asks for the keys of another");
        assert!(Scenario::Post2k.script(0).is_some_and(|script| (2048..2200).contains(&script.len())), "2 KiB, and what is around them");
        assert_eq!(Scenario::Hit1k.script(0), None);
    }
}
