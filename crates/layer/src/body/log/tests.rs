use larder_store::BodyBuilder;

use super::*;

fn log() -> (LogWriter, LogHandle, Arc<InFlight>) {
    of_budget(64 << 20)
}

fn of_budget(limit: u64) -> (LogWriter, LogHandle, Arc<InFlight>) {
    let in_flight = Arc::new(InFlight::new(limit));
    let (writer, handle) = body_log(Arc::clone(&in_flight));
    (writer, handle, in_flight)
}

fn next(reader: &mut LogReader) -> Poll<Option<Result<Item, BodyError>>> {
    reader.poll_next(&mut Context::from_waker(Waker::noop()))
}

fn data(reader: &mut LogReader) -> Bytes {
    match next(reader) {
        Poll::Ready(Some(Ok(Item::Data(frame)))) => frame,
        other => panic!("no data: {other:?}"),
    }
}

/// Everything there is for it now.
fn all(reader: &mut LogReader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(Ok(Item::Data(frame)))) = next(reader) {
        all.extend_from_slice(&frame);
    }
    all
}

fn is_cut_off(reader: &mut LogReader) -> bool {
    matches!(next(reader), Poll::Ready(Some(Err(BodyError::Outrun))))
}

fn has_room(writer: &LogWriter) -> Poll<bool> {
    writer.poll_room(&mut Context::from_waker(Waker::noop()))
}

fn frame(length: u64) -> Bytes {
    vec![0; length as usize].into()
}

fn body(text: &[u8]) -> StoredBody {
    let mut builder = BodyBuilder::new(text.len() as u64);
    builder.push(text);
    builder.finish(None).expect("complete")
}

#[test]
fn a_late_reader_reads_from_the_start() {
    let (writer, handle, _) = log();
    writer.append("a".into());
    writer.append("b".into());
    let mut late = handle.reader().expect("the start is kept");
    assert_eq!(all(&mut late), b"ab");
    assert!(next(&mut late).is_pending());
    writer.complete(None);
    assert!(matches!(next(&mut late), Poll::Ready(None)));
}

#[test]
fn trailers_come_once_after_the_data() {
    let (writer, handle, _) = log();
    let mut reader = handle.reader().expect("kept");
    writer.append("a".into());
    writer.complete(Some(HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("\"x\""))])));
    data(&mut reader);
    assert!(matches!(next(&mut reader), Poll::Ready(Some(Ok(Item::Trailers(_))))));
    assert!(matches!(next(&mut reader), Poll::Ready(None)));
}

#[test]
fn a_writer_that_is_gone_is_a_break_never_a_clean_end() {
    let (writer, handle, _) = log();
    let mut reader = handle.reader().expect("kept");
    writer.append("a".into());
    drop(writer);
    data(&mut reader);
    assert!(matches!(next(&mut reader), Poll::Ready(Some(Err(BodyError::Abandoned)))));
}

#[test]
fn small_frames_are_put_together_and_every_reader_gets_each_byte_once() {
    let text: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
    let (writer, handle, in_flight) = log();
    // The readers take what there is after every first, second, … frame.
    let mut readers: Vec<_> = (1..8).map(|every| (every, handle.reader().expect("kept"), Vec::new())).collect();
    let (mut left, mut count) = (&text[..], 0);
    while !left.is_empty() {
        let (now, later) = left.split_at([1, 7, 5_000, 100][count % 4].min(left.len()));
        writer.append(Bytes::copy_from_slice(now));
        (left, count) = (later, count + 1);
        for (every, reader, got) in &mut readers {
            if count % *every == 0 {
                got.extend_from_slice(&all(reader));
            }
        }
    }
    for (_, reader, got) in &mut readers {
        got.extend_from_slice(&all(reader));
        assert_eq!(*got, text);
    }
    assert_eq!((writer.frames().concat(), in_flight.held()), (text, 40_000));
}

#[test]
fn a_body_of_tiny_frames_takes_little_more_than_its_bytes() {
    let (writer, handle, _) = log();
    let _reader = handle.reader();
    for _ in 0..100_000 {
        writer.append("x".into());
    }
    assert!(writer.frames().len() <= 100_000 / 4096 + 1);
}

#[test]
fn a_slow_reader_slows_no_other_while_the_body_is_kept() {
    let (writer, handle, _) = log();
    let _slow = handle.reader();
    writer.append(frame(4 * LEAD));
    assert_eq!(has_room(&writer), Poll::Ready(true));
}

#[test]
fn from_the_commit_on_readers_read_what_is_stored_and_the_log_holds_nothing() {
    let text: Vec<u8> = (0..600_000_u32).map(|n| n as u8).collect();
    let (writer, handle, in_flight) = log();
    let mut readers = [0, 1, 3].map(|count| (count, handle.reader().expect("kept"), Vec::new()));
    for chunk in text.chunks(100_000).take(5) {
        writer.append(Bytes::copy_from_slice(chunk));
    }
    for (count, reader, got) in &mut readers {
        (0..*count).for_each(|_| got.extend_from_slice(&data(reader)));
    }
    writer.stored(body(&text));
    assert_eq!(in_flight.held(), 0);
    let mut late = handle.reader().expect("from the start");
    writer.complete(None);
    for (_, reader, got) in &mut readers {
        got.extend_from_slice(&all(reader));
        assert_eq!(*got, text);
        assert!(matches!(next(reader), Poll::Ready(None)));
    }
    assert_eq!(all(&mut late), text);
}

#[test]
fn a_window_drops_what_all_have_read_and_waits_for_the_slowest() {
    let (writer, handle, in_flight) = log();
    let (mut fast, mut slow) = (handle.reader().expect("kept"), handle.reader().expect("kept"));
    writer.append(frame(LEAD));
    writer.stop_keeping();
    assert!(handle.reader().is_none(), "a reader cannot join in the middle");
    data(&mut fast);
    assert_eq!(has_room(&writer), Poll::Pending);
    data(&mut slow);
    assert_eq!(has_room(&writer), Poll::Ready(true));
    assert_eq!(in_flight.held(), 0);
}

#[test]
fn a_reader_that_is_ahead_is_not_held_up() {
    let (writer, handle, _) = log();
    let (mut ahead, _slow) = (handle.reader().expect("kept"), handle.reader().expect("kept"));
    writer.stop_keeping();
    for _ in 0..LEAD / WINDOW {
        assert_eq!(has_room(&writer), Poll::Ready(true));
        writer.append(frame(WINDOW));
        data(&mut ahead);
    }
    assert_eq!(has_room(&writer), Poll::Pending);
}

#[test]
fn a_window_without_readers_tells_the_writer_to_stop() {
    let (writer, handle, _) = log();
    let reader = handle.reader();
    writer.append(frame(WINDOW));
    writer.stop_keeping();
    assert_eq!(has_room(&writer), Poll::Pending);
    drop(reader);
    assert_eq!(has_room(&writer), Poll::Ready(false));
}

#[test]
fn over_the_budget_a_window_takes_one_frame_after_the_other() {
    let (writer, handle, in_flight) = of_budget(1000);
    let mut reader = handle.reader().expect("kept");
    writer.stop_keeping();
    in_flight.add(1000);
    writer.append(frame(10));
    assert_eq!(has_room(&writer), Poll::Pending);
    data(&mut reader);
    assert_eq!(has_room(&writer), Poll::Ready(true));
}

#[tokio::test(start_paused = true)]
async fn readers_stalled_at_many_places_share_one_time_limit() {
    let (writer, handle, in_flight) = log();
    let mut waiting = handle.reader().expect("kept");
    let mut stalled: Vec<_> = (0..10).map(|_| handle.reader().expect("kept")).collect();
    for _ in 0..10 {
        writer.append(frame(LEAD / 10 + 1));
    }
    for (index, reader) in stalled.iter_mut().enumerate() {
        (0..index).for_each(|_| _ = data(reader));
    }
    all(&mut waiting);
    writer.stop_keeping();
    let began = crate::clock::timer_now();
    // As much again and again: all of them come to be in the way.
    for _ in 0..30 {
        assert!(writer.room().await);
        writer.append(frame(LEAD / 10 + 1));
        all(&mut waiting);
    }
    assert_eq!(began.elapsed().as_secs(), MAX_STALL.as_secs());
    assert!(stalled.iter_mut().all(is_cut_off));
    assert_eq!(in_flight.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_a_little_now_and_then_has_the_same_time_limit() {
    let (writer, handle, _) = log();
    let (mut ahead, mut slow) = (handle.reader().expect("kept"), handle.reader().expect("kept"));
    for _ in 0..LEAD / WINDOW {
        writer.append(frame(WINDOW));
    }
    all(&mut ahead);
    writer.stop_keeping();
    let began = crate::clock::timer_now();
    loop {
        let (room, cut_off) = tokio::join!(writer.room(), async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            is_cut_off(&mut slow)
        });
        assert!(room);
        if cut_off {
            break;
        }
        writer.append(frame(WINDOW));
        all(&mut ahead);
        assert!(began.elapsed() <= 2 * MAX_STALL, "it has held up another for too long");
    }
    assert!(began.elapsed() <= 2 * MAX_STALL, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_holds_no_other_up_has_no_time_limit() {
    let (writer, handle, _) = log();
    let mut slow = handle.reader().expect("kept");
    writer.append(frame(WINDOW));
    writer.stop_keeping();
    assert!(tokio::time::timeout(10 * MAX_STALL, writer.room()).await.is_err());
    data(&mut slow);
    assert!(writer.room().await);
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_begins_when_a_reader_is_held_up() {
    let (writer, handle, _) = log();
    let (mut ahead, mut slow) = (handle.reader().expect("kept"), handle.reader().expect("kept"));
    writer.append(frame(LEAD));
    writer.stop_keeping();
    assert!(tokio::time::timeout(MAX_STALL / 2, writer.room()).await.is_err());
    data(&mut ahead);
    assert!(tokio::time::timeout(MAX_STALL - Duration::from_secs(1), writer.room()).await.is_err());
    assert!(!is_cut_off(&mut slow));
}

#[tokio::test(start_paused = true)]
async fn while_the_budget_is_used_up_a_stalled_reader_is_cut_off() {
    let in_flight = Arc::new(InFlight::new(3000));
    let [(window, mut stalled), (over, mut unread), (kept, mut late), (moving, mut read)] = std::array::from_fn(|_| {
        let (writer, handle) = body_log(Arc::clone(&in_flight));
        let reader = handle.reader().expect("kept");
        writer.append(frame(1000));
        (writer, reader)
    });
    window.stop_keeping();
    moving.stop_keeping();
    over.complete(None);
    assert!(in_flight.stays_full());
    tokio::time::advance(MAX_STALL).await;
    data(&mut read);
    moving.append(frame(1000));
    assert!(!in_flight.stays_full());
    assert!(is_cut_off(&mut stalled) && is_cut_off(&mut unread));
    assert!(!is_cut_off(&mut late), "what may still be stored is held for that");
    assert!(!is_cut_off(&mut read));
    drop((kept, moving));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waited_for_the_origin_is_not_stalled() {
    let (writer, handle, in_flight) = of_budget(1000);
    let mut reader = handle.reader().expect("kept");
    writer.stop_keeping();
    assert!(next(&mut reader).is_pending());
    tokio::time::advance(10 * MAX_STALL).await;
    writer.append(frame(1000));
    assert!(in_flight.stays_full());
    assert!(!is_cut_off(&mut reader));
}

#[test]
fn bytes_in_flight_are_counted_until_the_last_holder_leaves() {
    let (writer, handle, in_flight) = log();
    let reader = handle.reader();
    writer.append("12345".into());
    writer.complete(None);
    assert_eq!(in_flight.held(), 5);
    drop((reader, handle));
    assert_eq!(in_flight.held(), 0);
}

#[test]
fn nobody_joins_a_body_that_has_broken_off() {
    let (writer, handle, _) = log();
    writer.append("a".into());
    writer.break_off(BodyError::Stalled);
    assert!(handle.reader().is_none());
}
