//! The bodies of the fuzz targets over their corpora and over random input.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library of its own where the fuzzer builds it")]
mod bodies;

/// Random inputs for each target.
const CASES: u32 = 1500;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "{}", folder.display());
    seeds
}

#[test]
fn no_target_panics_over_its_corpus() {
    for (name, body) in bodies::TARGETS {
        corpus(name).iter().for_each(|seed| body(seed));
    }
}

#[test]
fn no_target_panics_over_mutations_of_its_corpus() {
    for (name, body) in bodies::TARGETS {
        let seeds = corpus(name);
        let pieces = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..8);
        let inputs = (prop::sample::select(seeds), pieces, prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(mut data, edits, tail)| {
            for (from, to, byte) in edits {
                // Copying a stretch of the seed elsewhere keeps the input near the grammar.
                let (from, to) = (from.index(data.len()), to.index(data.len()));
                let piece: Vec<u8> = data[from..].iter().copied().take(usize::from(byte % 12)).collect();
                if piece.is_empty() { data[to] = byte } else { _ = data.splice(to..to, piece) }
            }
            data.extend(tail);
            data
        });
        let mut runner = TestRunner::new_with_rng(Config { cases: CASES, failure_persistence: None, ..Config::default() }, rng());
        runner
            .run(&inputs, |data| {
                body(&data);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn no_target_panics_over_any_bytes() {
    for (name, body) in bodies::TARGETS {
        let mut runner = TestRunner::new_with_rng(Config { cases: CASES, failure_persistence: None, ..Config::default() }, rng());
        runner
            .run(&prop::collection::vec(any::<u8>(), 0..80), |data| {
                body(&data);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn rng() -> proptest::test_runner::TestRng {
    proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha)
}
