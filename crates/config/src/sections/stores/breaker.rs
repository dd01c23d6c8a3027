//! `breaker` of a store: after how many failures it is left alone, and for how long.

use std::time::Duration;

use crate::parse::reader::Table;
use crate::sections::upstreams::positive;

/// `breaker = { failures = 5, open = "5s" }`; what it does not say stays.
pub(crate) fn read(store: &mut Table<'_>, failures: &mut u32, open: &mut Duration) {
    let Some(mut breaker) = store.table("breaker") else { return };
    if let Some(number) = breaker.integer("failures", 1..=1000).and_then(|number| u32::try_from(number).ok()) {
        *failures = number;
    }
    if let Some(time) = positive(&mut breaker, "open") {
        *open = time;
    }
    breaker.finish();
}
