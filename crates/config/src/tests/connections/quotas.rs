//! `[[quotas]]`, from text to data.

use larder_limits::Algorithm;

use super::super::{complaints, config};
use crate::{LimitKey, LimitOver, Period, Prices, RateLimit};

const USUAL: &str = "name = \"a\"\nlimits = [{ count = \"requests\", max = 10, per = \"day\" }]";

fn quota(text: &str) -> Vec<RateLimit> {
    config(&format!("[[quotas]]\n{text}\n")).limits
}

#[test]
fn each_limit_of_a_quota_has_its_window_of_the_calendar() {
    let all = quota(
        "name = \"llm\"\nkey = [\"header:x-team\"]\ntimezone = \"Europe/Berlin\"\nover = \"stale\"\nlegacy_fields = true\nmax_keys = 2000\nwarn_at = 0.5\n\
         limits = [{ count = \"tokens\", max = 200000, per = \"day\" }, { count = \"cost\", max = 25.0, per = \"month\" }, { count = \"bytes\", max = \"1GiB\", per = \"hour\" }]\n\
         price = { input = 150, output = 600, per = 1000000000 }",
    );
    let names: Vec<&str> = all.iter().map(|limit| &*limit.name).collect();
    assert_eq!(names, ["llm.tokens.day", "llm.cost.month", "llm.bytes.hour"]);
    assert_eq!(all.iter().map(|limit| limit.max).collect::<Vec<_>>(), [200_000, 25_000_000_000, 1 << 30]);
    for (limit, period) in all.iter().zip([Period::Day, Period::Month, Period::Hour]) {
        let part = limit.quota.as_ref().expect("a quota's");
        assert_eq!((&*part.quota, part.period, part.zone.iana_name()), ("llm", period, Some("Europe/Berlin")));
        assert_eq!((part.warn_at, limit.algorithm), (Some(limit.max / 2), Algorithm::Calendar { begins: 0 }));
        assert_eq!(
            (limit.over, limit.legacy_fields, limit.max_keys, &limit.key[..]),
            (LimitOver::Stale, true, 2000, &[LimitKey::Header("x-team".parse().expect("a name"))][..])
        );
    }
    let units = |limit: &RateLimit| limit.units_of_tokens(&Prices::default(), Some("m"), 1_000_000, 100_000);
    assert_eq!(all.iter().map(units).collect::<Vec<_>>(), [Some(1_100_000), Some(210_000_000), None]);
}

#[test]
fn a_quota_has_defaults_and_may_be_none_that_warns() {
    let limit = quota(USUAL).remove(0);
    let part = limit.quota.as_ref().expect("a quota's");
    assert_eq!((part.zone.iana_name(), part.warn_at, limit.over, limit.shared), (Some("UTC"), Some(8), LimitOver::Reject, false));
    assert_eq!((limit.routes, limit.key, limit.max_keys), (vec![0], vec![LimitKey::Client], 100_000));
    assert_eq!(quota(&format!("{USUAL}\nwarn_at = 0")).remove(0).quota.expect("a quota's").warn_at, None);
}

#[test]
fn a_model_costs_what_prices_say_and_otherwise_what_the_quota_says() {
    let text = "name = \"a\"\nlimits = [{ count = \"cost\", max = 1, per = \"day\" }]";
    let of = |config: &crate::Config, model| config.limits[0].units_of_tokens(&config.prices, model, 1_000_000, 0);
    let both = config(&format!("[prices]\n\"gpt*\" = {{ input = 2 }}\n[[quotas]]\n{text}\nprice = {{ input = 1 }}"));
    assert_eq!(
        [of(&both, Some("gpt-5")), of(&both, Some("other")), of(&both, None)],
        [Some(2_000_000_000), Some(1_000_000_000), Some(1_000_000_000)]
    );
    let one = config(&format!("[prices]\n\"gpt*\" = {{ input = 2 }}\n[[quotas]]\n{text}"));
    assert_eq!(of(&one, Some("other")), None, "nothing says what it costs");
    assert_eq!(one.limits[0].units_of_tokens(&one.prices, Some("gpt-5"), 1, 0), Some(2_000), "a token is not free");
}

#[test]
fn mistakes_in_a_quota_are_reported() {
    let limits = |inner: &str| format!("name = \"a\"\nlimits = [{{ {inner} }}]");
    for (keys, complaint) in [
        ("name = \"a\"", "[[quotas]] needs the key `limits`"),
        ("limits = [{ count = \"misses\", max = 1, per = \"day\" }]", "[[quotas]] needs the key `name`"),
        ("name = \"a\"\nlimits = []", "a quota without limits limits nothing"),
        (&limits("max = 1, per = \"day\""), "[[quotas.limits]] needs the key `count`"),
        (&limits("count = \"requests\", per = \"day\""), "[[quotas.limits]] needs the key `max`"),
        (&limits("count = \"requests\", max = 1"), "[[quotas.limits]] needs the key `per`"),
        (&limits("count = \"requests\", max = 0, per = \"day\""), "`0` is out of range for `max`"),
        (&limits("count = \"requests\", max = 1, per = \"1d\""), "`1d` is not a value of `per`"),
        (&limits("count = \"requets\", max = 1, per = \"day\""), "`requets` is not a value of `count`"),
        (&limits("count = \"tokens\", max = 1.5, per = \"day\""), "`max` cannot be a"),
        (&format!("{}\nprice = {{}}", limits("count = \"cost\", max = 0, per = \"day\"")), "`0` is out of range for `max`"),
        (&format!("{}\nprice = {{}}", limits("count = \"cost\", max = 9000001, per = \"day\"")), "is out of range for `max`"),
        (&limits("count = \"cost\", max = 1, per = \"day\""), "nothing says what tokens cost"),
        (&format!("{USUAL}\nprice = {{ input = 1 }}"), "`price` counts only where a limit counts cost"),
        (&format!("{USUAL}\ntimezone = \"Europe/Berln\""), "`Europe/Berln` is not a time zone"),
        (&format!("{USUAL}\nover = \"delay\""), "`delay` is not a value of `over`"),
        (&format!("{USUAL}\nwarn_at = 80"), "`warn_at` is not a share"),
        (&format!("{USUAL}\nkey = [\"user\"]"), "`user` does not tell clients apart"),
        (&format!("{USUAL}\nroutes = [\"nowhere\"]"), "there is no route or class `nowhere`"),
        (&format!("{USUAL}\nshared = true"), "`shared` needs a Redis that replicas share"),
        (&format!("{USUAL}\nbatch = 2"), "`batch` counts only with shared = true"),
        (&format!("{USUAL}\n[[limits]]\nname = \"a\"\nmax = 1\nper = \"1m\""), "there are two limits called `a`"),
        (&format!("{USUAL}\n[[limits]]\nname = \"a.requests.day\"\nmax = 1\nper = \"1m\""), "there are two limits called `a.requests.day`"),
        (
            "name = \"a\"\nlimits = [{ count = \"misses\", max = 1, per = \"day\" }, { count = \"misses\", max = 2, per = \"day\" }]",
            "there are two limits called `a.misses.day`",
        ),
    ] {
        let told = complaints(&format!("[[quotas]]\n{keys}\n"));
        assert!(told.len() == 1 && told[0].contains(complaint) && told[0].contains("(hint: "), "{keys}: {told:?}");
    }
}
