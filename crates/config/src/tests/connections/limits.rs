//! `[[limits]]`, from text to data.

use std::time::Duration;

use larder_limits::{Algorithm, Rate};

use super::super::{assert_complaint, complaints, config};
use crate::{LimitCount, LimitKey, LimitOver, RateLimit};

const ROUTES: &str = "[[routes]]\nname = \"issue.list\"\npath = \"/o/{org}/issues\"\nclass = \"project\"\n\
     [[routes]]\nname = \"issue.get\"\npath = \"/o/{org}/issues/{id}\"\n[classes.project]\nttl = \"1m\"\n";

fn limits(text: &str) -> Vec<RateLimit> {
    config(&format!("{text}\n{ROUTES}")).limits
}

#[test]
fn a_limit_has_defaults_for_everything_but_its_name_and_its_rate() {
    let limit = limits("[[limits]]\nname = \"a\"\nmax = 100\nper = \"1m\"").remove(0);
    let rate = Rate { algorithm: Algorithm::TokenBucket, max: 100, per: 60_000_000, burst: 100 };
    assert_eq!((&*limit.name, limit.routes, limit.key), ("a", vec![0, 1, 2], vec![LimitKey::Client]));
    assert_eq!(
        (limit.count, limit.over, limit.max_delay, limit.legacy_fields),
        (LimitCount::Misses, LimitOver::Reject, Duration::from_secs(1), false)
    );
    assert_eq!((limit.max_keys, limit.algorithm), (100_000, rate.algorithm));
}

#[test]
fn everything_can_be_said() {
    let limit = limits(
        "[[limits]]\nname = \"b\"\nroutes = [\"issue.g*\", \"project\"]\nkey = [\"client\", \"route\", \"header:X-Token\", \"cookie:s\", \"jwt:sub\", \"path:org\"]\n\
         unsafe_unverified = true\nalgorithm = \"token-bucket\"\nmax = 7\nper = \"250ms\"\nburst = 20\ncount = \"requests\"\nover = \"delay\"\nmax_delay = \"5s\"\n\
         legacy_fields = true\nmax_keys = 1000\nshared = true\nbatch = 5\n\
         [store.redis]\nurl = \"redis://127.0.0.1\"",
    )
    .remove(0);
    assert_eq!((limit.shared, limit.batch, limit.legacy_fields, limit.max_keys), (true, 5, true, 1000));
    assert_eq!(limit.rate(), Rate { algorithm: Algorithm::TokenBucket, max: 7, per: 250_000, burst: 20 });
    assert_eq!((limit.routes, limit.key.len()), (vec![0, 1], 6));
    assert_eq!((limit.count, limit.over, limit.max_delay), (LimitCount::Requests, LimitOver::Delay, Duration::from_secs(5)));
    let bytes =
        limits("[[limits]]\nname = \"c\"\nmax = \"1GiB\"\nper = \"24h\"\ncount = \"bytes\"\nalgorithm = \"fixed-window\"").remove(0);
    let tokens = limits(
        "[[limits]]\nname = \"t\"\nmax = 1000\nper = \"1m\"\ncount = \"tokens\"\nshared = true\n[store.redis]\nurl = \"redis://127.0.0.1\"",
    );
    assert_eq!((tokens[0].count, tokens[0].shared), (LimitCount::Tokens, true));
    assert_eq!((bytes.max, bytes.count, bytes.algorithm), (1 << 30, LimitCount::Bytes, Algorithm::FixedWindow));
}

#[test]
fn mistakes_in_a_limit_are_reported() {
    let usual = "name = \"a\"\nmax = 1\nper = \"1s\"";
    for (keys, complaint) in [
        ("max = 1\nper = \"1s\"", "[[limits]] needs the key `name`"),
        ("name = \"a\"\nper = \"1s\"", "[[limits]] needs the key `max`"),
        ("name = \"a\"\nmax = 1", "[[limits]] needs the key `per`"),
        ("name = \"a/b\"\nmax = 1\nper = \"1s\"", "`a/b` is not a name for a limit"),
        ("name = \"a\"\nmax = 0\nper = \"1s\"", "`0` is out of range for `max`"),
        ("name = \"a\"\nmax = 1\nper = \"0s\"", "`per` is out of range"),
        ("name = \"a\"\nmax = 1\nper = \"9000h\"", "`per` is out of range"),
        (&format!("{usual}\nburst = 0"), "`0` is out of range for `burst`"),
        (&format!("{usual}\nburst = 2\nalgorithm = \"fixed-window\""), "only a token bucket has a `burst`"),
        (&format!("{usual}\nalgorithm = \"bucket\""), "`bucket` is not a value of `algorithm`"),
        (&format!("{usual}\nkey = [\"user\"]"), "`user` does not tell clients apart"),
        (&format!("{usual}\nkey = [\"header:a b\"]"), "`header:a b` does not tell clients apart"),
        (&format!("{usual}\nkey = []"), "a limit without a key would be one for all clients together"),
        (&format!("{usual}\nkey = [\"jwt:sub\"]"), "`jwt:` takes claims from tokens that nobody has verified here"),
        (&format!("{usual}\nkey = [\"path:id\"]"), "`{id}` is no part of `/o/{org}/issues`, the path of route `issue.list`"),
        (&format!("{usual}\nroutes = [\"isue.list\"]"), "there is no route or class `isue.list`"),
        (&format!("{usual}\nroutes = []"), "the limit is for no route"),
        (&format!("{usual}\nover = \"delay\"\nalgorithm = \"sliding-window\""), "only a token bucket of requests or misses can delay"),
        (&format!("{usual}\nshared = true"), "`shared` needs a Redis that replicas share"),
        (&format!("{usual}\nbatch = 1"), "`batch` counts only with shared = true"),
        (&format!("{usual}\nshared = true\nbatch = 2\n[store.redis]\nurl = \"redis://127.0.0.1\""), "a replica would take 2 at once"),
        (&format!("{usual}\ncount = \"cost\""), "`cost` is not a value of `count`"),
        (&format!("{usual}\ncount = \"tokens\"\nover = \"delay\""), "only a token bucket of requests or misses can delay"),
        (&format!("{usual}\nmax_delay = \"1s\""), "`max_delay` counts only with over = \"delay\""),
        (&format!("{usual}\nover = \"delay\"\nmax_delay = \"5m\""), "a request would wait for up to 5m"),
    ] {
        let told = complaints(&format!("[[limits]]\n{keys}\n{ROUTES}"));
        assert!(told.len() == 1 && told[0].contains(complaint) && told[0].contains("(hint: "), "{keys}: {told:?}");
    }
    let twice = format!("[[limits]]\n{usual}\n").repeat(2);
    assert!(complaints(&twice)[0].contains("there are two limits called `a`"));
    assert_complaint(
        "[[limits]]\nname = \"a\"\nmax = 1\nper = \"1s\"\ncount = \"bytes\"",
        "3:7: error: `max` cannot be an integer (hint: write the unit, in quotes: \"1B\")",
    );
}
