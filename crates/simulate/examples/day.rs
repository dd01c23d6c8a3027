//! Writes a day's access log of a shop, to try `larder simulate` with: `cargo run --release -p larder-simulate --example day -- 1000000 > access.log`.

use std::io::{BufWriter, Write};

use larder_semantics::Timestamp;

/// Products; a few of them get most requests.
const PRODUCTS: f64 = 20_000.0;

/// The same numbers every time (splitmix64).
struct Random(u64);

impl Random {
    /// From 0 up to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About as many requests for the first as for the next two, the next four, and so on.
    fn product(&mut self) -> u64 {
        PRODUCTS.powf(self.next()) as u64
    }
}

fn main() -> std::io::Result<()> {
    let lines: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut random = Random(7);
    for line in 0..lines {
        let seconds = 1_796_029_200 + line * 86_400 / lines;
        let (product, kind) = (random.product(), random.next());
        let (request, status, bytes) = match kind {
            0.0..0.55 => (format!("GET /products/{product}"), 200, 800 + product % 97 * 113),
            0.55..0.75 => (format!("GET /search?q={}&session={}", product % 300, (random.next() * 5.0) as u64), 200, 4000 + product % 300),
            0.75..0.85 => ("GET /me".to_owned(), 200, 300),
            0.85..0.97 => (format!("GET /static/{}.css", product % 500), 200, 9000 + product % 500),
            _ => (format!("PUT /products/{product}"), 204, 0),
        };
        let date = Timestamp::from_secs(seconds).to_http_date();
        let date = date.to_str().unwrap_or_default();
        let time = format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        let client = product % 250;
        writeln!(
            out,
            "203.0.113.{client} - - [{time}] \"{request} HTTP/1.1\" {status} {bytes} \"-\" \"curl/8.5.0\" {:.3}",
            random.next() / 5.0
        )?;
    }
    out.flush()
}
