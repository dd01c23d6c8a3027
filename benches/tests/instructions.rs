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

const FEW: u64 = 200;
const MANY: u64 = 1200;

/// Instructions of the whole process for so many requests.
fn instructions(program: &str, requests: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program, &requests.to_string()])
        .output()
        .expect("valgrind is needed to count instructions; on Debian: apt-get install valgrind");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).expect("a total").1;
    collected.trim().parse().expect("a number")
}

fn check(what: &str, program: &str, expected: u64) {
    let cost = (instructions(program, MANY) - instructions(program, FEW)) / (MANY - FEW);
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
