//! `misses COUNT`: answers COUNT requests from an origin that answers at once, storing each, and ends. What the test `instructions` counts
//! the instructions of.

use larder_benches::cache::{miss, request, service};

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(0);
    let cache = service();
    for key in 0..count {
        miss(&cache, request(key));
    }
}
