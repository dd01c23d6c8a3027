//! `misses [plain|guarded] COUNT`: answers COUNT requests from an origin that answers at once, storing each, and ends. With a word, requests have the fields
//! of browsers and proxies; with `guarded`, a guard looks for these in each answer. What the test `instructions` counts the instructions of.

use http::HeaderValue;
use larder_benches::cache::{guarded, miss, request, service};

/// What browsers and proxies send besides what every client does.
const FIELDS: [(&str, &str); 6] = [
    ("referer", "https://shop.example/products?page=2"),
    ("cookie", "session=0123456789abcdef; theme=dark-mode; consent=all-of-them"),
    ("x-forwarded-for", "203.0.113.7, 198.51.100.9"),
    ("x-real-ip", "203.0.113.7"),
    ("x-client-version", "2026.11.30"),
    ("origin", "https://shop.example"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.last().and_then(|count| count.parse().ok()).unwrap_or(0);
    let cache = if arguments.iter().any(|word| word == "guarded") { guarded() } else { service() };
    let has_fields = arguments.len() > 1;
    for key in 0..count {
        let mut request = request(key);
        if has_fields {
            FIELDS.iter().for_each(|(name, value)| _ = request.headers_mut().insert(*name, HeaderValue::from_static(value)));
        }
        miss(&cache, request);
    }
}
