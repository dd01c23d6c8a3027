//! The cost of a hit and a miss in instructions: the same on a busy machine and an idle one, so that a test can hold them.
//!
//! The figures are those of the unoptimised build that the tests run, which say nothing about speed (see `docs/performance.md` for that) but
//! grow with the work as any other does. Whoever makes a hit or a miss dearer on purpose writes the new figure here and says why.

use std::process::Command;

/// Instructions a hit, request and response made and dropped included.
const HIT: u64 = 48_000;

/// Instructions a miss, from the request to the stored response and its body read, with an origin that costs next to nothing.
const MISS: u64 = 330_000;

/// Compilers and libraries differ by a little.
const MARGIN: u64 = 10;

/// The same with fields as browsers and proxies send them, and where a guard looks for these in the answer.
const PLAIN_MISS: u64 = 352_000;
const GUARDED_MISS: u64 = 470_000;

/// Instructions of a hit for those who look at requests, where nobody does: one look whether anybody does.
const UNWATCHED: u64 = 172;

/// The same where somebody looks through a filter that lets nothing through, and where somebody sees every request.
const FILTERED: u64 = 17_500;
const SEEN: u64 = 138_000;

const FEW: u64 = 200;
const MANY: u64 = 1200;

/// Instructions of the whole process for so many requests.
fn instructions(program: &str, who: Option<&str>, requests: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program])
        .args(who)
        .arg(requests.to_string())
        .output()
        .expect("valgrind is needed to count instructions; on Debian: apt-get install valgrind");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).expect("a total").1;
    collected.trim().parse().expect("a number")
}

fn check(what: &str, program: &str, expected: u64) {
    holds(what, cost(program, None), expected);
}

/// Instructions a request.
fn cost(program: &str, who: Option<&str>) -> u64 {
    (instructions(program, who, MANY) - instructions(program, who, FEW)) / (MANY - FEW)
}

fn holds(what: &str, cost: u64, expected: u64) {
    let limit = expected + expected * MARGIN / 100;
    assert!(cost <= limit, "{what} takes {cost} instructions, more than {limit}");
    let floor = expected - expected * MARGIN / 100;
    assert!(cost >= floor, "{what} takes only {cost} instructions: write that down as the new figure");
}

#[test]
fn a_hit_takes_no_more_instructions_than_it_did() {
    check("a hit", env!("CARGO_BIN_EXE_hits"), HIT);
}

#[test]
fn a_miss_takes_no_more_instructions_than_it_did() {
    check("a miss", env!("CARGO_BIN_EXE_misses"), MISS);
}

/// What the content of a request costs is reading and hashing it, and little else.
#[test]
fn a_hit_of_a_post_of_2_kib_costs_no_more_than_half_a_hit_besides_reading_and_hashing() {
    let of = |kind| cost(env!("CARGO_BIN_EXE_posts"), Some(kind));
    let (get, post, hash) = (of("get"), of("post"), of("hash"));
    assert!(post <= get * 3 / 2 + hash, "a GET takes {get} instructions, reading and hashing {hash}, and the POST {post}");
}

/// A tail that is open makes hits dearer by a bounded amount, and one that is not by nothing.
#[test]
fn a_hit_costs_nothing_more_when_nobody_looks_and_little_when_somebody_does() {
    let watched = |who| cost(env!("CARGO_BIN_EXE_watched"), Some(who));
    holds("a request that nobody looks at", watched("nobody"), UNWATCHED);
    holds("a request that a filter keeps back", watched("filtered"), FILTERED);
    holds("a request that somebody sees", watched("all"), SEEN);
}

/// A guard looks for what a client sent in each answer that is about to be stored: for nine values here, as browsers and proxies send them.
#[test]
fn a_guarded_miss_takes_no_more_instructions_than_it_did() {
    let few = |who, requests| instructions(env!("CARGO_BIN_EXE_misses"), Some(who), requests);
    let cost = |who| (few(who, 120) - few(who, 20)) / 100;
    holds("a miss with many fields", cost("plain"), PLAIN_MISS);
    holds("a guarded miss", cost("guarded"), GUARDED_MISS);
}
