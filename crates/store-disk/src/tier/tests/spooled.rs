//! Bodies that are written while they arrive, through the tier: plain, compressed and sealed.

use larder_disk_options::{Compression, SealKey, SealKeys};
use larder_store::RemoteBody;
use larder_store::codec::{BodySummer, ResponseRecord};

use super::*;

/// Writes so many segments of a body, and stores the response where it is whole.
async fn spool(process: &Process, path: &str, length: usize, variant: Option<Variant>, segments: usize) -> Arc<dyn RemoteBody> {
    let Write { response, keep, log_position, .. } = process.write(path, length, 1, variant.clone());
    let key = key(path);
    let new = NewRemoteBody { key: &key, variant: variant.as_ref(), head: &response.head, fetch: 1, length: Some(length as u64) };
    let mut writer = process.store.begin_body(new).expect("it is taken");
    let (whole, mut sum) = (body(length), BodySummer::default());
    for segment in &whole.segments()[..segments] {
        sum.add(segment);
        writer.write(segment.clone()).await.expect("written");
    }
    let arriving = writer.body();
    if segments == whole.segments().len() {
        let (head, tags) = (Arc::new(response.head.clone()), Arc::default());
        let record = ResponseRecord::new(key, variant, head, tags, response.position, 1, sum.sum(), None);
        writer.commit(record, keep, log_position.expect("the log is there")).await.expect("stored");
    }
    arriving
}

#[tokio::test]
async fn a_body_is_read_while_it_is_written_and_after_a_restart_in_each_form() {
    let keys = SealKeys { key: SealKey::new([7; 32]), old_keys: Vec::new() };
    let compress = Some(Compression { min: 1, level: 3 });
    for (keys, compress) in [(None, None), (None, compress), (Some(keys.clone()), None), (Some(keys), compress)] {
        let folder = tempfile::tempdir().unwrap();
        let options = || DiskOptions { keys: keys.clone(), compress, ..options(&folder) };
        let process = Process::with(options()).await;
        let length = 4 * SEGMENT + 9;
        let arriving = spool(&process, "/broken-off", length, None, 3).await;
        for number in [2, 0, 1] {
            let segment = Arc::clone(&arriving).segment(number).await;
            assert_eq!(segment.as_ref(), Ok(&body(length).segments()[number as usize]), "while it arrives");
        }
        assert!(arriving.segment(3).await.is_err());
        spool(&process, "/x", length, None, 5).await;
        spool(&process, "/y", length, Some(variant("de")), 5).await;
        process.end().await;
        let process = Process::with(options()).await;
        assert_eq!(process.get("/broken-off").await, None);
        let stored = process.get_for("/x", &HeaderMap::new()).await.expect("it is there");
        assert_eq!(stored.body().segments(), body(length).segments());
        let of = async |value| process.get_for("/y", &language(value)).await.map(|stored| stored.body_length());
        assert_eq!((of("de").await, of("fr").await), (Some(length as u64), None));
        assert_eq!((process.store.stats().damaged, process.store.stats().locked), (0, 0));
    }
}

#[tokio::test]
async fn a_body_that_turns_out_longer_than_max_object_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with(DiskOptions { max_object: 2 * SEGMENT as u64, ..options(&folder) }).await;
    let (key, stored) = (key("/x"), response("/x", 1, 1, None));
    let new = NewRemoteBody { key: &key, variant: None, head: &stored.head, fetch: 1, length: None };
    let mut writer = process.store.begin_body(new).expect("its length is not known");
    let segment = body(SEGMENT).segments()[0].clone();
    let written = [writer.write(segment.clone()).await, writer.write(segment.clone()).await, writer.write(segment).await];
    assert_eq!(written, [Ok(()), Ok(()), Err(RemoteError::Refused)]);
    assert!(writer.body().segment(1).await.is_ok(), "what was written can be read");
    assert!(process.store.begin_body(NewRemoteBody { length: Some(3 * SEGMENT as u64), ..new }).is_none());
}

#[tokio::test]
async fn a_body_that_memory_does_not_hold_is_written_when_it_is_fetched_a_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with(DiskOptions { admission: Admission::SecondHit, ..options(&folder) }).await;
    assert_eq!(
        [process.store.begin_body_of("/x"), process.store.begin_body_of("/x"), process.store.begin_body_of("/y")],
        [false, true, false]
    );
}
