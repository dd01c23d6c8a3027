//! The cost of a limit to a client that is known: nothing is allocated for it.

use larder_limits::{Algorithm, CLIENT_BYTES, Rate, Table};
use larder_testkit::alloc::{CountingAllocator, allocations, held};

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

/// As many as are kept of a million, each with the address of a client as its key.
#[test]
fn a_million_clients_take_no_more_memory_than_is_said_of_those_that_are_kept() {
    const MAX: usize = 100_000;
    let before = held();
    let table = Table::new(Rate { algorithm: Algorithm::TokenBucket, max: 10, per: 1_000_000, burst: 10 }, MAX);
    for client in 0..1_000_000_u32 {
        table.take(&std::net::Ipv4Addr::from(client).to_string(), 0, 1);
    }
    let bytes = u64::try_from(held() - before).expect("it has taken some");
    assert!(bytes <= MAX as u64 * CLIENT_BYTES, "{} bytes for each client", bytes / MAX as u64);
    assert!(bytes >= table.len() as u64 * CLIENT_BYTES / 2, "{} bytes for each client: say so", bytes / table.len() as u64);
}
