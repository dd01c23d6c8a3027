//! Rules for `[store.redis]`: the text, and the complaint with its place and hint.

use crate::tests::{assert_complaint, config};

#[test]
fn the_store_in_redis_says_what_it_needs() {
    let redis = |keys: &str, complaint: &str| assert_complaint(&format!("[store.redis]\n{keys}"), complaint);
    redis(
        "timeout = \"1s\"",
        r#"1:1: error: [store.redis] needs the key `url` (hint: like url = "redis://127.0.0.1:6379/0", or set REDIS_URL)"#,
    );
    let not_a_url = "2:7: error: this is not the URL of a Redis server (hint: like redis://127.0.0.1:6379/0; rediss:// is for TLS, redis+unix:///PATH for a socket)";
    for url in ["", "http://host", "redis://host/x", "127.0.0.1:6379"] {
        redis(&format!("url = \"{url}\""), not_a_url);
    }
    let with_url = |keys: &str, complaint: &str| redis(&format!("url = \"redis://host\"\n{keys}"), complaint);
    with_url("write = \"back\"", r#"3:9: error: `back` is not a value of `write` (hint: expected one of "behind", "through")"#);
    with_url(
        "timeout = \"0s\"",
        r#"3:11: error: `timeout` cannot be zero (hint: nothing would ever be in time; give a long one, like "1h", to wait)"#,
    );
    with_url("breaker = { failures = 0 }", "3:24: error: `0` is out of range for `failures` (hint: from 1 to 1000)");
    with_url("compress = { min = \"1KiB\", level = 20 }", "3:36: error: `20` is out of range for `level` (hint: from 1 to 19)");
    with_url(
        "journal = \"/none/journal\"",
        "3:11: error: no file can be at `/none/journal` (hint: its directory has to be there, and larder has to be able to write in it)",
    );
    with_url("compress = true", "3:12: error: `compress` cannot be a boolean (hint: expected a table: [store.redis.compress])");
}

#[test]
fn a_key_to_seal_with_is_32_bytes_and_stands_elsewhere() {
    let encrypt = |keys: &str, complaint: &str| {
        assert_complaint(&format!("[store.redis]\nurl = \"redis://host\"\n[store.redis.encrypt]\n{keys}"), complaint)
    };
    encrypt("", r#"3:1: error: [store.redis.encrypt] needs the key `key` (hint: like key = "env:LARDER_STORE_KEY")"#);
    encrypt(
        "key = \"0123456789abcdef\"",
        r#"4:7: error: a key does not stand in the configuration itself (hint: say where the key is, in quotes: "env:LARDER_STORE_KEY" or "file:/run/secrets/key")"#,
    );
    encrypt(
        "key = \"env:LARDER_NO_SUCH_KEY\"",
        "4:7: error: the variable LARDER_NO_SUCH_KEY is not set (hint: 32 bytes in hexadecimal or base64: openssl rand -hex 32)",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        format!("file:{}", folder.path().join(name).display())
    };
    let (short, good, old) = (file("short", "00ff\n"), file("good", &"07".repeat(32)), file("old", &"08".repeat(32)));
    encrypt(
        &format!("key = \"{short}\""),
        "4:7: error: the key has 2 bytes, and needs 32 (hint: 32 bytes in hexadecimal or base64: openssl rand -hex 32)",
    );
    let redis = config(&format!(
        "[store.redis]\nurl = \"redis://host\"\ncompress = {{}}\n[store.redis.encrypt]\nkey = \"{good}\"\nold_keys = [\"{old}\"]"
    ));
    let redis = redis.redis.unwrap();
    assert_eq!(redis.compress, Some(larder_redis_options::Compression { min: 1 << 10, level: 3 }));
    let keys = redis.keys.unwrap();
    let key = |text: &str| larder_redis_options::SealKey::parse(&text.repeat(32)).unwrap();
    assert_eq!((keys.key, keys.old_keys), (key("07"), vec![key("08")]));
}

#[test]
fn the_servers_of_redis_go_together() {
    let redis = |keys: &str, complaint: &str| assert_complaint(&format!("[store.redis]\n{keys}"), complaint);
    redis("url = \"redis://a\"\nmode = \"clusters\"", r#"3:8: error: `clusters` is not a value of `mode` (hint: did you mean "cluster"?)"#);
    redis(
        "url = [\"redis://a\", \"redis://b\"]\nmode = \"single\"",
        r#"2:21: error: a single server has a single URL (hint: set mode = "cluster" or "sentinel", or leave the others out)"#,
    );
    redis(
        "url = []",
        "2:7: error: `url` names no server (hint: like redis://127.0.0.1:6379/0; rediss:// is for TLS, redis+unix:///PATH for a socket)",
    );
    redis(
        "url = [\"redis://a\", \"redis://b/3\"]",
        "2:21: error: a Cluster has no database 3 (hint: leave the number out: redis://host:6379)",
    );
    redis(
        "url = \"redis+unix:///s\"\nmode = \"cluster\"",
        "2:7: error: a socket leads to one server only (hint: the nodes name each other by host and port: redis://host:6379)",
    );
    redis(
        "url = [\"redis://:one@a\", \"redis://:other@b\"]",
        "2:8: error: these servers differ in scheme, user or password (hint: they are spoken to in one way: give all of them the same)",
    );
    redis(
        "url = \"redis://a\"\nmode = \"sentinel\"",
        r#"3:8: error: sentinels are asked for a master by its name, and there is none (hint: the name that the sentinels know it by, like sentinel = { master = "mymaster" })"#,
    );
    redis(
        "url = \"redis://a\"\nmode = \"sentinel\"\nsentinel = {}",
        r#"4:12: error: [store.redis.sentinel] needs the key `master` (hint: the name that the sentinels know it by, like sentinel = { master = "mymaster" })"#,
    );
    redis(
        "url = \"redis://a\"\nmode = \"cluster\"\nsentinel = { master = \"m\" }",
        r#"4:12: error: `sentinel` has no meaning in this `mode` (hint: leave it out, or set mode = "sentinel")"#,
    );
    redis(
        "url = \"rediss://a\"\nca_file = \"/none\"",
        "3:11: error: cannot read `/none`: entity not found (hint: a path is relative to the directory in which larder is started)",
    );
    redis(
        "url = \"rediss://a\"\nca_file = \"/dev/null\"",
        "3:11: error: there is no certificate in `/dev/null` (hint: a PEM file has BEGIN CERTIFICATE in it)",
    );
}

#[test]
fn the_mode_of_redis_follows_from_the_number_and_names_of_its_servers() {
    let servers = |keys: &str| format!("{:?}", config(&format!("[store.redis]\n{keys}")).redis.unwrap().servers);
    assert_eq!(servers("url = \"redis://a\""), "Single(a:6379)");
    assert_eq!(servers("url = [\"redis://a\"]"), "Single(a:6379)");
    assert_eq!(servers("url = [\"redis://a\", \"redis://b:7000\"]"), "Cluster([a:6379, b:7000])");
    assert_eq!(servers("url = \"redis://a\"\nmode = \"cluster\""), "Cluster([a:6379])");
    assert_eq!(
        servers("url = [\"redis://a:26379/2\", \"redis://b:26379/2\"]\nsentinel = { master = \"m\" }"),
        r#"Sentinel { sentinels: [a:26379, b:26379], master: "m" }"#
    );
}

#[test]
fn the_store_in_redis_is_as_it_is_said_and_otherwise_as_by_default() {
    assert_eq!(config("").redis, None);
    let redis = config("[store.redis]\nurl = \"redis://host:7000/2\"\ntimeout = \"20ms\"\nwhen_cut_off = \"serve\"").redis.unwrap();
    assert_eq!((redis.servers.to_string().as_str(), redis.timeout.as_millis(), redis.validate_when_cut_off), ("host:7000", 20, false));
    assert_eq!((redis.breaker_failures, redis.max_object, redis.write_queue), (5, 8 << 20, 16 << 20));
    let redis = config("[store.redis]\nurl = \"redis://host\"\nwrite_queue = \"4MiB\"").redis.unwrap();
    assert_eq!(redis.write_queue, 4 << 20);
}

#[test]
fn the_log_of_invalidations_takes_its_time_to_be_read() {
    assert_complaint(
        "[store.redis]\nurl = \"redis://host\"\nmax_lag = \"500ms\"",
        r#"3:11: error: `max_lag` is too short (hint: at least "1s": what others purge is looked for several times a second)"#,
    );
    let redis = config("[store.redis]\nurl = \"redis://host\"\nmax_lag = \"1s\"").redis.unwrap();
    assert_eq!(redis.max_lag.as_secs(), 1);
}
