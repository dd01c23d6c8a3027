//! Bodies of the largest size that a disk takes: stored, found and read at any place, without passing through memory as a whole.
//!
//! `LARDER_LONG_BODY=1073741824` makes it a gibibyte, which takes some twenty seconds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_testkit::larder::config;
use larder_testkit::{Error, Larder, Result};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a body, which names its place in each block.
const BLOCK: usize = 64 << 10;

/// What may be in memory besides what was there before: segments that are read and written, buffers of sockets, and what an allocator keeps.
const MAX_GROWTH: u64 = 48 << 20;

/// A length of no whole number of blocks or segments.
fn length() -> u64 {
    std::env::var("LARDER_LONG_BODY").ok().and_then(|length| length.parse().ok()).unwrap_or((128 << 20) - 12_345)
}

/// The block of this number, as every body here has it.
fn block(number: u64) -> Vec<u8> {
    let mut block = vec![b'.'; BLOCK];
    block[..8].copy_from_slice(&number.to_be_bytes());
    block
}

/// An origin that sends a body of this length to everybody, and counts them.
async fn origin(length: u64) -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    let (listener, asked) = (TcpListener::bind("127.0.0.1:0").await?, Arc::new(AtomicUsize::new(0)));
    let (address, count) = (listener.local_addr()?, Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            // A client that leaves ends it.
            tokio::spawn(async move { answer(stream, length, &count).await.ok() });
        }
    });
    Ok((address, asked))
}

async fn answer(stream: TcpStream, length: u64, count: &AtomicUsize) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    for number in 0..length.div_ceil(BLOCK as u64) {
        let left = length - number * BLOCK as u64;
        stream.write_all(&block(number)[..left.min(BLOCK as u64) as usize]).await?;
    }
    Ok(())
}

/// What an answer said besides its body.
struct Head {
    status: String,
    is_hit: bool,
    length: u64,
}

/// Asks, and compares the body with the one from this place on.
async fn ask(larder: &Larder, method: &str, range: Option<(u64, u64)>) -> Result<Head> {
    let mut stream = BufReader::new(TcpStream::connect(larder.address()).await?);
    let range_field = range.map(|(from, to)| format!("Range: bytes={from}-{to}\r\n")).unwrap_or_default();
    let request = format!("{method} /long HTTP/1.1\r\nHost: site.example\r\n{range_field}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut line, mut head) = (String::new(), Head { status: String::new(), is_hit: false, length: 0 });
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await?;
        let field = line.trim_end().to_ascii_lowercase();
        match field.split_once(": ") {
            Some(("content-length", value)) => head.length = value.parse().map_err(|_| Error::new("no length"))?,
            Some(("x-cache", value)) => head.is_hit = value == "hit",
            None if head.status.is_empty() => head.status = field,
            Some(_) | None => {}
        }
    }
    let (mut at, mut left) = (range.map_or(0, |(from, _)| from), if method == "HEAD" { 0 } else { head.length });
    let mut bytes = vec![0; BLOCK];
    while left > 0 {
        let within = (at % BLOCK as u64) as usize;
        let part = &mut bytes[within..][..left.min((BLOCK - within) as u64) as usize];
        let count = part.len();
        stream.read_exact(part).await?;
        assert!(part == &block(at / BLOCK as u64)[within..within + count], "{method} {range:?}: other bytes in the block at {at}");
        (at, left) = (at + count as u64, left - count as u64);
    }
    assert_eq!(stream.read(&mut bytes).await?, 0, "and nothing behind them");
    Ok(head)
}

async fn process(origin: SocketAddr, directory: &Path) -> Result<Larder> {
    let text = format!(
        "[store.memory]\ncapacity = \"32MiB\"\n[cache]\nmax_object = \"1GiB\"\n\
         [store.disk]\npath = \"{}\"\ncapacity = \"4GiB\"\nmax_object = \"1GiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\ntimeout = \"10s\"\n",
        directory.display()
    );
    let larder = Larder::start(&config(&format!("http://{origin}"), &text)).await?;
    larder.metric_reaches("larder_disk_ready", &[], 1.0).await?;
    Ok(larder)
}

/// Most of the memory that a process has had since it started, in bytes.
fn peak_memory(larder: &Larder) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", larder.process().id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.ok_or_else(|| Error::new("no VmHWM in the process's status"))? << 10)
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_stored_and_read_at_any_place_in_bounded_memory() -> Result<()> {
    let (length, folder) = (length(), TempDir::new()?);
    let (address, asked) = origin(length).await?;
    let directory = folder.path().join("cache");
    for is_stored in [false, true] {
        let larder = process(address, &directory).await?;
        let before = peak_memory(&larder)?;
        for is_hit in [is_stored, true] {
            let whole = ask(&larder, "GET", None).await?;
            assert_eq!((whole.status.as_str(), whole.length, whole.is_hit), ("http/1.1 200 ok", length, is_hit));
        }
        let head = ask(&larder, "HEAD", None).await?;
        assert_eq!((head.status.as_str(), head.length, head.is_hit), ("http/1.1 200 ok", length, true));
        for (from, to) in [(0, 0), (300_000, 900_000), (length / 2, length / 2 + 5_000_000), (length - 10, length - 1)] {
            let part = ask(&larder, "GET", Some((from, to))).await?;
            assert_eq!((part.status.as_str(), part.length, part.is_hit), ("http/1.1 206 partial content", to - from + 1, true));
        }
        let growth = peak_memory(&larder)? - before;
        assert!(growth < MAX_GROWTH, "{growth} bytes more in memory, with bodies of {length}");
        larder.terminate()?;
        assert!(larder.exited().await?.success());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    Ok(())
}
