//! The URLs that an access log names most: Larder's own lines of JSON, or the formats that nginx and Apache write.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::{Enough, Finder};
use crate::config::WarmBase;

/// Bytes of the end of a log that are read.
const MAX_LOG: u64 = 256 << 20;

/// Bytes of a line; longer ones are left out.
const MAX_LINE: u64 = 16 << 10;

/// URLs that are counted, and those of them that are fetched.
const MAX_COUNTED: usize = 200_000;
const MAX_URLS: usize = 10_000;

/// Hands on what the log names most, the most frequent first.
pub(super) async fn find(finder: &mut Finder, path: &Path) -> Result<(), Enough> {
    let (path, base) = (path.to_owned(), finder.job.config.base.clone());
    let urls = tokio::task::spawn_blocking(move || most(&path, &base)).await;
    let urls = match urls {
        Ok(Ok(urls)) => urls,
        Ok(Err(error)) => {
            tracing::warn!(job = finder.job.config.name, "the access log cannot be read: {error}");
            finder.job.found_wrong("log-unreadable");
            return Ok(());
        }
        Err(_) => return Err(Enough),
    };
    if urls.is_empty() {
        finder.job.found_odd("list-empty");
    }
    for url in urls {
        finder.named(&url).await?;
    }
    Ok(())
}

fn most(path: &Path, base: &WarmBase) -> std::io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(MAX_LOG);
    file.seek(SeekFrom::Start(skipped))?;
    let mut reader = BufReader::new(file);
    if skipped > 0 {
        // The rest of a line.
        reader.skip_until(b'\n')?;
    }
    count(reader, base)
}

fn count(mut reader: impl BufRead, base: &WarmBase) -> std::io::Result<Vec<String>> {
    let (mut counts, mut line) = (HashMap::<String, u64>::new(), Vec::new());
    loop {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if line.last() != Some(&b'\n') && read as u64 == MAX_LINE {
            reader.skip_until(b'\n')?;
            continue;
        }
        let url = std::str::from_utf8(&line).ok().and_then(|line| url_of(line.trim_end(), base));
        if let Some(url) = url
            && (counts.len() < MAX_COUNTED || counts.contains_key(&url))
        {
            *counts.entry(url).or_default() += 1;
        }
    }
    let mut urls: Vec<(String, u64)> = counts.into_iter().collect();
    urls.sort_by(|(one, count), (other, more)| more.cmp(count).then_with(|| one.cmp(other)));
    urls.truncate(MAX_URLS);
    Ok(urls.into_iter().map(|(url, _)| url).collect())
}

/// A line of Larder's own log.
#[derive(Deserialize)]
struct Logged<'l> {
    #[serde(borrow)]
    method: std::borrow::Cow<'l, str>,
    #[serde(borrow)]
    target: std::borrow::Cow<'l, str>,
    #[serde(borrow, default)]
    host: std::borrow::Cow<'l, str>,
    status: u16,
}

/// What a line says that somebody got: a GET with a success, and without anything that was masked.
fn url_of(line: &str, base: &WarmBase) -> Option<String> {
    let (method, target, host, status) = match line.starts_with('{') {
        true => {
            let Logged { method, target, host, status } = serde_json::from_str(line).ok()?;
            (method.into_owned(), target.into_owned(), host.into_owned(), status)
        }
        false => {
            let (request, rest) = line.split_once('"')?.1.split_once('"')?;
            let mut words = request.split(' ');
            let (method, target) = (words.next()?, words.next()?);
            let status = rest.split_ascii_whitespace().next()?.parse().ok()?;
            (method.to_owned(), target.to_owned(), String::new(), status)
        }
    };
    if method != "GET" || !(200..400).contains(&status) || target.contains('…') {
        return None;
    }
    Some(match (&base.host, target.starts_with('/')) {
        (None, true) if !host.is_empty() => format!("{}://{host}{target}", base.scheme),
        _ => target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most_of(log: &str, host: Option<&str>) -> Vec<String> {
        count(log.as_bytes(), &WarmBase { scheme: "https", host: host.map(str::to_owned) }).expect("text in memory")
    }

    #[test]
    fn the_usual_formats_are_read_and_the_most_frequent_stands_first() {
        let line =
            |request: &str, status: u16| format!("1.2.3.4 - - [30/Nov/2026:09:00:00 +0000] \"{request}\" {status} 512 \"-\" \"curl\"\n");
        let log = line("GET /a HTTP/1.1", 200)
            + &line("GET /b?c=d HTTP/2.0", 200)
            + &line("GET /b?c=d HTTP/1.1", 304)
            + &line("POST /p HTTP/1.1", 200)
            + &line("GET /gone HTTP/1.1", 404)
            + "\"\n\n{\"x\":1}\n"
            + "{\"timestamp\":\"x\",\"method\":\"GET\",\"host\":\"a.example\",\"target\":\"/j\",\"status\":200,\"more\":[1]}\n"
            + "{\"method\":\"GET\",\"host\":\"a.example\",\"target\":\"/j?token=…\",\"status\":200}\n";
        assert_eq!(most_of(&log, Some("www.example")), ["/b?c=d", "/a", "/j"]);
        assert_eq!(most_of(&log, None), ["/b?c=d", "/a", "https://a.example/j"]);
    }

    #[test]
    fn a_log_of_anything_harms_nothing() {
        let long = format!("\"GET /{} HTTP/1.1\" 200\n\"GET /short HTTP/1.1\" 200\n", "x".repeat(1 << 20));
        assert_eq!(most_of(&long, None), ["/short"]);
        assert_eq!(count(&[0xff, 0xfe, b'\n', 0][..], &WarmBase { scheme: "http", host: None }).expect("bytes"), [""; 0]);
        let many: String = (0..20_000).map(|n| format!("\"GET /{n} HTTP/1.1\" 200\n")).collect();
        assert_eq!(most_of(&many, None).len(), MAX_URLS);
    }
}
