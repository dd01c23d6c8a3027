//! Runs the bodies of fuzz targets over their corpora and over random input: for the ordinary tests of the crates, which include it by its path.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Random inputs for each target.
const CASES: u32 = 8000;

/// Over the corpus as it is.
pub fn over_corpus(targets: &[super::FuzzTarget]) {
    for (name, body) in targets {
        corpus(name).iter().for_each(|seed| body(seed));
    }
}

/// Over seeds of the corpus with a few changes, and pieces of other seeds copied into them.
pub fn over_mutations(targets: &[super::FuzzTarget]) {
    for (name, body) in targets {
        let seeds = prop::sample::select(corpus(name));
        run(name, *body, (seeds.clone(), seeds, prop::collection::vec(edit(), 0..8)).prop_map(mutated));
    }
}

/// Over any bytes.
pub fn over_any_bytes(targets: &[super::FuzzTarget]) {
    for (name, body) in targets {
        run(name, *body, prop::collection::vec(any::<u8>(), 0..80));
    }
}

/// One change of a seed.
#[derive(Clone, Debug)]
enum Edit {
    Byte(prop::sample::Index, u8),
    Removed(prop::sample::Index, usize),
    /// So many bytes from a place in another seed, which keeps the input near the grammar.
    Copied(prop::sample::Index, prop::sample::Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<prop::sample::Index>;
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\r\n\t\0 ,;:=\"0".as_slice())];
    prop_oneof![
        (place(), byte).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (place(), 1..8_usize).prop_map(|(at, length)| Edit::Removed(at, length)),
        (place(), place(), 1..32_usize).prop_map(|(from, to, length)| Edit::Copied(from, to, length)),
    ]
}

fn mutated((mut data, donor, edits): (Vec<u8>, Vec<u8>, Vec<Edit>)) -> Vec<u8> {
    for edit in edits {
        match edit {
            _ if data.is_empty() => {}
            Edit::Byte(at, byte) => {
                let at = at.index(data.len());
                data[at] = byte;
            }
            Edit::Removed(at, length) => {
                let at = at.index(data.len());
                data.drain(at..data.len().min(at + length));
            }
            Edit::Copied(from, to, length) => {
                let (from, to) = (from.index(donor.len()), to.index(data.len()));
                data.splice(to..to, donor[from..].iter().copied().take(length));
            }
        }
    }
    data
}

fn run(name: &str, body: fn(&[u8]), inputs: impl Strategy<Value = Vec<u8>>) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config { cases: CASES, failure_persistence: None, ..Config::default() }, rng);
    let outcome = runner.run(&inputs.prop_map(Input), |Input(data)| {
        body(&data);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Shown as text where it fails: most inputs are.
struct Input(Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "{}", folder.display());
    seeds
}
