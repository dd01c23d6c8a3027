//! Random reads from one file, sixteen at a time, from the page cache and from the disk: by a pool of threads, by `RWF_NOWAIT` with the pool for what would
//! wait, and by io_uring. Prints microseconds of CPU and of time a read.
//!
//! `cargo bench -p larder-benches --bench disk_reads -- [DIRECTORY [MEBIBYTES]]`; the directory is the one for temporary files otherwise, and the file has
//! 256 MiB.

use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, types};
use rustix::fs::Advice;
use rustix::io::ReadWriteFlags;
use rustix::time::{ClockId, clock_gettime};

/// Reads at the same time.
const DEPTH: usize = 16;

/// Every so many bytes the file says where that is.
const MARK: u64 = 4 << 10;

const READS: [(&str, usize, usize); 2] = [("4 KiB", 4 << 10, 20_000), ("256 KiB", 256 << 10, 2_000)];

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let directory = arguments.first().map_or_else(std::env::temp_dir, PathBuf::from);
    let mebibytes: u64 = arguments.get(1).and_then(|argument| argument.parse().ok()).unwrap_or(256);
    let file = Arc::new(written(&directory, mebibytes << 20)?);
    println!("{:<24} {:>12} {:>12}", "", "CPU, µs", "time, µs");
    for (name, length, count) in READS {
        for is_cached in [true, false] {
            let from = if is_cached { "page cache" } else { "disk" };
            let count = if is_cached { count } else { count / 4 };
            let places = places(mebibytes << 20, length, count);
            for (way, read) in [("pool", pool as Way), ("RWF_NOWAIT, pool", nowait), ("io_uring", ring)] {
                prepare(&file, is_cached)?;
                let (cpu, time) = (cpu_time(), now());
                let done = read(&file, length, &places);
                let (cpu, time) = ((cpu_time() - cpu).as_secs_f64(), (now() - time).as_secs_f64());
                let each = |seconds: f64| seconds * 1e6 / count as f64;
                match done {
                    Ok(()) => println!("{:<24} {:>12.2} {:>12.2}", format!("{name}, {from}: {way}"), each(cpu), each(time)),
                    Err(error) => println!("{name}, {from}: {way}: {error}"),
                }
            }
        }
    }
    Ok(())
}

type Way = fn(&Arc<File>, usize, &[u64]) -> io::Result<()>;

/// A file that vanishes with the process.
fn written(directory: &std::path::Path, size: u64) -> io::Result<File> {
    let path = directory.join(format!("larder-disk-reads-{}", std::process::id()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    let mut block = vec![0; 1 << 20];
    for start in (0..size).step_by(block.len()) {
        for at in (0..block.len()).step_by(MARK as usize) {
            block[at..at + 8].copy_from_slice(&(start + at as u64).to_le_bytes());
        }
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Places spread over the file, the same each time.
fn places(size: u64, length: usize, count: usize) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) % ((size - length as u64) / MARK) * MARK
    };
    (0..count).map(|_| next()).collect()
}

/// The page cache has all of it, or nothing.
fn prepare(file: &File, is_cached: bool) -> io::Result<()> {
    if !is_cached {
        return Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?);
    }
    let (mut buffer, size) = (vec![0; 1 << 20], file.metadata()?.len());
    (0..size).step_by(buffer.len()).try_for_each(|start| file.read_exact_at(&mut buffer, start))
}

fn proven(bytes: &[u8], place: u64) -> io::Result<()> {
    if bytes[..8] == place.to_le_bytes() { Ok(()) } else { Err(io::Error::other("other bytes than were written")) }
}

fn pool(file: &Arc<File>, length: usize, places: &[u64]) -> io::Result<()> {
    by_tasks(file, places, move |file, place| aside(file, length, place))
}

fn nowait(file: &Arc<File>, length: usize, places: &[u64]) -> io::Result<()> {
    by_tasks(file, places, move |file, place| async move {
        let mut buffer = vec![0; length];
        let mut done = 0;
        while done < length {
            let rest = IoSliceMut::new(&mut buffer[done..]);
            match rustix::io::preadv2(&file, &mut [rest], place + done as u64, ReadWriteFlags::NOWAIT) {
                Ok(read) if read > 0 => done += read,
                Ok(_) | Err(_) => return aside(file, length, place).await,
            }
        }
        proven(&buffer, place)
    })
}

/// A read by a thread of the runtime's pool.
async fn aside(file: Arc<File>, length: usize, place: u64) -> io::Result<()> {
    let read = move || {
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, place)?;
        proven(&buffer, place)
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

/// So many tasks on one thread, each of which does its share of the reads.
fn by_tasks<F: Future<Output = io::Result<()>> + Send + 'static>(
    file: &Arc<File>,
    places: &[u64],
    read: impl Fn(Arc<File>, u64) -> F + Copy + Send + 'static,
) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
        let share = |task: usize| places.iter().copied().skip(task).step_by(DEPTH).collect::<Vec<u64>>();
        let run = |places: Vec<u64>| {
            let file = Arc::clone(file);
            tokio::spawn(async move {
                for place in places {
                    read(Arc::clone(&file), place).await?;
                }
                io::Result::Ok(())
            })
        };
        for task in (0..DEPTH).map(|task| run(share(task))).collect::<Vec<_>>() {
            task.await.map_err(io::Error::other)??;
        }
        Ok(())
    })
}

fn ring(file: &Arc<File>, length: usize, places: &[u64]) -> io::Result<()> {
    let mut ring = IoUring::new(DEPTH as u32)?;
    let mut buffers: Vec<Vec<u8>> = (0..DEPTH).map(|_| vec![0; length]).collect();
    let mut under_way = [0; DEPTH];
    let (mut left, mut idle) = (places.iter(), (0..DEPTH).collect::<Vec<usize>>());
    let mut done = 0;
    while done < places.len() {
        while let Some(slot) = idle.last().copied()
            && let Some(place) = left.next()
        {
            idle.pop();
            under_way[slot] = *place;
            let buffer = buffers[slot].as_mut_ptr();
            let read = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer, length as u32).offset(*place).build().user_data(slot as u64);
            // SAFETY: the buffer of a slot is neither moved nor touched before its read is over, and the file is open until then.
            #[expect(unsafe_code, reason = "the kernel writes into memory that is handed to it")]
            unsafe { ring.submission().push(&read) }.map_err(io::Error::other)?;
        }
        ring.submit_and_wait(1)?;
        let over: Vec<(usize, i32)> = ring.completion().map(|over| (over.user_data() as usize, over.result())).collect();
        for (slot, result) in over {
            if result != length as i32 {
                return Err(if result < 0 { io::Error::from_raw_os_error(-result) } else { io::ErrorKind::UnexpectedEof.into() });
            }
            proven(&buffers[slot], under_way[slot])?;
            idle.push(slot);
            done += 1;
        }
    }
    Ok(())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[expect(clippy::disallowed_methods, reason = "this is what measures time")]
fn now() -> Instant {
    Instant::now()
}
