//! Rules for `[store.memory]`.

use larder_redis_options::Compression;

use crate::tests::{complaints, config};

#[test]
fn texts_are_held_compressed_where_it_is_said() {
    assert_eq!(config("").memory.compress, None);
    let of = |value: &str| config(&format!("[store.memory]\ncompress = {value}")).memory.compress;
    assert_eq!(of("{}"), Some(Compression { min: 1 << 10, level: 3 }));
    assert_eq!(of("{ min = \"4KiB\", level = 9 }"), Some(Compression { min: 4 << 10, level: 9 }));
    for (value, complaint) in [
        ("true", "`compress` cannot be a boolean"),
        ("{ level = 0 }", "`0` is out of range for `level`"),
        ("{ most = 1 }", "unknown key `most`"),
    ] {
        let found = complaints(&format!("[store.memory]\ncompress = {value}"));
        assert!(found.iter().any(|found| found.contains(complaint)), "{value}: {found:?}");
    }
}
