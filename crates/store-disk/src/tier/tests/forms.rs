//! Responses that lie on disk compressed, sealed or both, and are found as they were.

use larder_packing::{Compression, SealKey, SealKeys};

use super::*;

const LENGTHS: [usize; 7] = [0, 1, 5_000, SEGMENT, SEGMENT + 1, 9 * SEGMENT, 17 * SEGMENT + 5];

fn keys(byte: u8, old: &[u8]) -> SealKeys {
    SealKeys { key: SealKey::new([byte; 32]), old_keys: old.iter().map(|byte| SealKey::new([*byte; 32])).collect() }
}

/// Which of compression and keys.
fn form(folder: &TempDir, is_compressed: bool, keys: Option<SealKeys>) -> DiskOptions {
    DiskOptions { compress: is_compressed.then_some(Compression { min: 1_000, level: 3 }), keys, ..options(folder) }
}

async fn put_all(process: &Process) {
    for (at, length) in LENGTHS.into_iter().enumerate() {
        process.put(&format!("/{at}"), length, 7).await;
    }
}

/// How many are found. Those that are have to be as they were stored.
async fn found(process: &Process) -> usize {
    let mut count = 0;
    for (at, length) in LENGTHS.into_iter().enumerate() {
        if let Some(stored) = process.get_for(&format!("/{at}"), &HeaderMap::new()).await {
            assert_eq!(stored.body().segments(), body(length).segments(), "{length} bytes");
            count += 1;
        }
    }
    count
}

/// Everything that lies in the directory.
fn everything(folder: &TempDir) -> Vec<u8> {
    let files = std::fs::read_dir(folder.path().join("cache")).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_response_in_any_form_is_found_as_it_was_stored_after_a_restart_too() {
    for (is_compressed, key) in [(true, None), (false, Some(keys(1, &[]))), (true, Some(keys(1, &[])))] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::with(form(&folder, is_compressed, key.clone())).await;
        put_all(&process).await;
        assert_eq!(found(&process).await, LENGTHS.len());
        let (written, plain) = (process.store.stats().written_bytes, LENGTHS.iter().sum::<usize>() as u64);
        assert_eq!(written < plain / 2, is_compressed, "{written} bytes");
        process.end().await;
        let process = Process::with(form(&folder, is_compressed, key)).await;
        assert_eq!((found(&process).await, process.store.stats().damaged, process.store.stats().locked), (LENGTHS.len(), 0, 0));
    }
}

#[tokio::test]
async fn a_sealed_response_shows_neither_its_key_nor_its_body() {
    for (key, shows) in [(Some(keys(1, &[])), false), (None, true)] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::with(form(&folder, false, key)).await;
        process.put("/secret", 3 * SEGMENT, 1).await;
        process.put_variant("/secret", 1, 1, Some(variant("de"))).await;
        process.end().await;
        let (all, part) = (everything(&folder), body(3 * SEGMENT).segments()[1].slice(100..200));
        for part in [&b"/secret"[..], b"accept-language", &part] {
            assert_eq!(contains(&all, part), shows);
        }
    }
}

#[tokio::test]
async fn without_its_key_a_sealed_response_is_locked_and_with_an_old_one_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with(form(&folder, true, Some(keys(1, &[])))).await;
    put_all(&process).await;
    process.end().await;
    let rotated = Process::with(form(&folder, true, Some(keys(2, &[1])))).await;
    assert_eq!(found(&rotated).await, LENGTHS.len());
    rotated.end().await;
    for other in [Some(keys(3, &[])), None] {
        let process = Process::with(form(&folder, true, other)).await;
        assert_eq!((found(&process).await, process.store.stats().locked, process.store.stats().failures), (0, LENGTHS.len() as u64, 0));
        process.end().await;
    }
}

#[tokio::test]
async fn a_response_that_was_never_sealed_is_not_believed_where_everything_is() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with(form(&folder, true, None)).await;
    put_all(&process).await;
    process.end().await;
    let process = Process::with(form(&folder, true, Some(keys(1, &[])))).await;
    assert_eq!((found(&process).await, process.store.stats().locked), (0, LENGTHS.len() as u64));
}

#[tokio::test]
async fn compression_that_is_turned_on_or_off_leaves_what_is_stored_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for is_compressed in [false, true, false] {
        let process = Process::with(form(&folder, is_compressed, None)).await;
        if !is_compressed {
            put_all(&process).await;
        }
        assert_eq!(found(&process).await, LENGTHS.len());
        process.put("/more", 9 * SEGMENT, 7).await;
        assert_eq!(process.get("/more").await, Some(7));
        process.end().await;
    }
}

#[tokio::test]
async fn a_renewed_head_keeps_a_body_of_the_same_form_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    for (key, keeps) in [(None, true), (Some(keys(1, &[])), false), (Some(keys(1, &[])), true)] {
        let process = Process::with(form(&folder, false, key.clone())).await;
        if key.is_none() {
            process.put("/x", 3 * SEGMENT, 1).await;
        }
        let Write { response, keep, log_position, .. } = process.write("/x", 3 * SEGMENT, 1, None);
        let before = process.store.stats().written_bytes;
        let renewed = Arc::new(response.freshened(&response.head, response.position, 2));
        process.store.freshen(Write { response: renewed, keep, lease: None, log_position }).await;
        process.written().await;
        assert_eq!(process.store.stats().written_bytes - before < 2_000, keeps);
        let stored = process.get_for("/x", &HeaderMap::new()).await.expect("it is there");
        assert_eq!((stored.fetch, stored.body().segments()), (2, body(3 * SEGMENT).segments()));
        process.end().await;
    }
}

#[tokio::test]
async fn sealed_variants_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = || form(&folder, false, Some(keys(1, &[])));
    let process = Process::with(sealed()).await;
    process.put_variant("/x", 1, 1, Some(variant("de"))).await;
    process.put_variant("/x", 2, 2, Some(variant("fr"))).await;
    process.end().await;
    let process = Process::with(sealed()).await;
    for (asked, length) in [("de", Some(1)), ("fr", Some(2)), ("en", None)] {
        assert_eq!(process.get_for("/x", &language(asked)).await.map(|stored| stored.body_length()), length, "{asked}");
    }
}
