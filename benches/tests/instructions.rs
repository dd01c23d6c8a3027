//! What a hit costs, in instructions: the same on a busy machine and an idle one, so that a test can hold it.
//!
//! The figure is that of the unoptimised build that the tests run, which says nothing about speed (see `docs/performance.md` for that) but
//! grows with the work as any other does. Whoever makes a hit dearer on purpose writes the new figure here and says why.

use std::process::Command;

/// Instructions a hit, request and response made and dropped included.
const EXPECTED: u64 = 44_000;

/// Compilers and libraries differ by a little.
const MARGIN: u64 = 10;

const FEW: u64 = 200;
const MANY: u64 = 1200;

/// Instructions of the whole process for so many hits.
fn instructions(hits: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_hits"), &hits.to_string()])
        .output()
        .expect("valgrind is needed to count instructions; on Debian: apt-get install valgrind");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).expect("a total").1;
    collected.trim().parse().expect("a number")
}

#[test]
fn a_hit_takes_no_more_instructions_than_it_did() {
    let cost = (instructions(MANY) - instructions(FEW)) / (MANY - FEW);
    let limit = EXPECTED + EXPECTED * MARGIN / 100;
    assert!(cost <= limit, "a hit takes {cost} instructions, more than {limit}");
    let floor = EXPECTED - EXPECTED * MARGIN / 100;
    assert!(cost >= floor, "a hit takes only {cost} instructions: write that down as the new figure");
}
