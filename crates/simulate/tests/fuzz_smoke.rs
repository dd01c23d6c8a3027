//! The bodies of this crate's fuzz targets over their corpora and over random input.

#[path = "../../../fuzz/src/smoke.rs"]
#[expect(unreachable_pub, reason = "shared by the tests of several crates")]
mod smoke;
#[path = "../../../fuzz/src/simulate.rs"]
#[expect(unreachable_pub, reason = "a library of its own where the fuzzer builds it")]
mod targets;

use targets::TARGETS;

type FuzzTarget = (&'static str, fn(&[u8]));

#[test]
fn no_target_panics_over_its_corpus() {
    smoke::over_corpus(TARGETS);
}

#[test]
fn no_target_panics_over_mutations_of_its_corpus() {
    smoke::over_mutations(TARGETS);
}

#[test]
fn no_target_panics_over_any_bytes() {
    smoke::over_any_bytes(TARGETS);
}
