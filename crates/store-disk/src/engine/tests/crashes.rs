//! The process is killed in the middle of every write in turn: what comes back is whole or absent, and nothing older than what was acknowledged.
//!
//! `LARDER_KILLS` says how often.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::volume::Fault;

#[derive(Clone, Debug)]
enum Step {
    Put { key: u64, length: usize },
    Remove { key: u64 },
    Read { key: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u64;
    let length = prop_oneof![4 => 0..600_usize, 1 => 2_000..6_000_usize];
    prop_oneof![
        6 => (key.clone(), length).prop_map(|(key, length)| Step::Put { key, length }),
        1 => key.clone().prop_map(|key| Step::Remove { key }),
        2 => key.prop_map(|key| Step::Read { key }),
    ]
}

/// The last acknowledged version of each key, 0 after a removal; and the one that was under way when the process was killed.
#[derive(Default)]
struct Expected {
    acknowledged: HashMap<u64, u64>,
    under_way: Option<(u64, u64)>,
}

impl Expected {
    fn check(&self, store: &Store) {
        for key in 0..6 {
            let Some(version) = store.get(key) else { continue };
            let is_known = self.acknowledged.get(&key) == Some(&version);
            assert!(is_known || self.under_way == Some((key, version)), "key {key} has version {version}: {:?}", self.acknowledged);
        }
    }
}

/// Takes steps until one fails.
fn take(store: &Store, steps: &[Step], expected: &mut Expected, first: u64) {
    for (step, version) in steps.iter().zip(first..) {
        match *step {
            Step::Put { key, length } => {
                expected.under_way = Some((key, version));
                if store.engine.commit(entry(key, version, body(key, version, length)), NOW).is_err() {
                    return;
                }
                expected.acknowledged.insert(key, version);
            }
            Step::Remove { key } => {
                expected.under_way = None;
                // Whether the removal itself or something after it failed, the entry may be there or not.
                let known = expected.acknowledged.insert(key, 0);
                if store.engine.remove(hash(key), version, NOW).is_err() {
                    expected.under_way = known.map(|known| (key, known));
                    return;
                }
            }
            Step::Read { key } => _ = store.get(key),
        }
        expected.under_way = None;
    }
}

fn kills() -> u32 {
    std::env::var("LARDER_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: kills(), ..ProptestConfig::default() })]

    #[test]
    fn after_a_kill_at_any_write_entries_are_whole_or_absent(
        steps in prop::collection::vec(step(), 1..60),
        at in 0.0..1.0_f64,
        after in 0_usize..400,
    ) {
        let writes = {
            let store = Store::new(8_192, 4);
            take(&store, &steps, &mut Expected::default(), 1);
            store.volume.writes()
        };
        let store = Store::new(8_192, 4);
        store.volume.fail_at((writes as f64 * at) as usize, Fault::Killed { after });
        let mut expected = Expected::default();
        take(&store, &steps, &mut expected, 1);
        // A second process goes on, and is followed by a third.
        let second = store.restarted();
        expected.check(&second);
        let known: Vec<_> = (0..6).filter_map(|key| second.get(key).map(|version| (key, version))).collect();
        expected.acknowledged.extend(known);
        take(&second, &steps, &mut expected, 1_000);
        expected.check(&second);
        expected.check(&second.restarted());
    }
}
