//! The cost of a limit to a client that is known: nothing is allocated for it.

use larder_limits::{Algorithm, Rate, Table};
use larder_testkit::alloc::{CountingAllocator, allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_client_that_is_known_takes_its_units_without_an_allocation() {
    for algorithm in [Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Calendar { begins: 0 }] {
        let table = Table::new(Rate { algorithm, max: 1 << 40, per: 1_000_000, burst: 1 << 40 }, 1000);
        table.take("192.0.2.1", 0, 1);
        let (taken, counted) = allocations(|| (1..1000).filter(|now| table.take("192.0.2.1", *now, 1).allowed).count());
        assert_eq!((taken, counted.count), (999, 0), "{algorithm:?}");
    }
}
