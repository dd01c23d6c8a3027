//! Runs the bodies of fuzz targets over their corpora and over random input: for the ordinary tests of the crates, which include it by its path.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Random inputs for each target.
const CASES: u32 = 1500;

/// Over the corpus as it is.
pub fn over_corpus(targets: &[super::FuzzTarget]) {
    for (name, body) in targets {
        corpus(name).iter().for_each(|seed| body(seed));
    }
}

/// Over seeds of the corpus with a few bytes changed, and pieces of them copied elsewhere.
pub fn over_mutations(targets: &[super::FuzzTarget]) {
    for (name, body) in targets {
        let pieces = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..8);
        let inputs = (prop::sample::select(corpus(name)), pieces, prop::collection::vec(any::<u8>(), 0..6)).prop_map(mutated);
        run(name, *body, &inputs);
    }
}

/// Over any bytes.
pub fn over_any_bytes(targets: &[super::FuzzTarget]) {
    for (name, body) in targets {
        run(name, *body, &prop::collection::vec(any::<u8>(), 0..80));
    }
}

type Edit = (prop::sample::Index, prop::sample::Index, u8);

fn mutated((mut data, edits, tail): (Vec<u8>, Vec<Edit>, Vec<u8>)) -> Vec<u8> {
    for (from, to, byte) in edits {
        // Copying a stretch of the seed elsewhere keeps the input near the grammar.
        let (from, to) = (from.index(data.len()), to.index(data.len()));
        let piece: Vec<u8> = data[from..].iter().copied().take(usize::from(byte % 12)).collect();
        if piece.is_empty() { data[to] = byte } else { _ = data.splice(to..to, piece) }
    }
    data.extend(tail);
    data
}

fn run(name: &str, body: fn(&[u8]), inputs: &impl Strategy<Value = Vec<u8>>) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config { cases: CASES, failure_persistence: None, ..Config::default() }, rng);
    let outcome = runner.run(inputs, |data| {
        body(&data);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "{}", folder.display());
    seeds
}
