//! `hits COUNT`: answers COUNT requests from a warm cache and ends. What the test `instructions` counts the instructions of.

use larder_benches::cache::{fill, hit, request, service};

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(0);
    let cache = service();
    fill(&cache, 16);
    for key in 0..count {
        hit(&cache, request(key % 16));
    }
}
