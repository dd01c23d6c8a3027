//! Load from public tools, and what they say about it.

use std::path::Path;
use std::time::Duration;

use super::Result;
use super::process::output;

/// Connections of an HTTP/2 run, and streams at a time on each: as many requests in flight as with HTTP/1.1.
const H2_CONNECTIONS: u32 = 8;
const H2_STREAMS: u32 = 8;

/// One run, as its tool counted it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Requests that failed or had a status from 400 on.
    pub(super) failed: u64,
}

/// The requests of a run.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) port: u16,
    /// Whether it goes over TLS.
    pub(super) tls: bool,
    pub(super) target: &'a str,
    /// `Name: value`.
    pub(super) field: Option<&'a str>,
    /// A Lua script that makes the requests.
    pub(super) script: Option<&'a Path>,
    pub(super) core: u32,
    /// Keep-alive connections of an HTTP/1.1 run.
    pub(super) connections: u32,
    pub(super) time: Duration,
}

impl Run<'_> {
    fn url(&self) -> String {
        format!("{}://127.0.0.1:{}{}", if self.tls { "https" } else { "http" }, self.port, self.target)
    }

    /// HTTP/1.1 with `wrk`.
    pub(super) fn wrk(&self) -> Result<Counted> {
        let (core, connections, seconds) = (self.core.to_string(), self.connections.to_string(), format!("{}s", self.time.as_secs()));
        let url = self.url();
        let mut arguments = vec!["-c", &core, "wrk", "-t", "1", "-c", &connections, "-d", &seconds];
        if let Some(field) = self.field {
            arguments.extend(["-H", field]);
        }
        if let Some(script) = self.script.and_then(Path::to_str) {
            arguments.extend(["-s", script]);
        }
        arguments.push(&url);
        let text = output("taskset", &arguments)?;
        parse_wrk(&text).ok_or_else(|| format!("wrk said something unexpected:\n{text}").into())
    }

    /// HTTP/2 with `h2load`: by ALPN over TLS, else with prior knowledge.
    pub(super) fn h2load(&self) -> Result<Counted> {
        let version: &[&str] = if self.tls { &[] } else { &["-p", "h2c"] };
        self.by_h2load(version, H2_CONNECTIONS, H2_STREAMS)
    }

    /// HTTP/1.1 with `h2load`, which knows that a 304 has no body even where it has a Content-Length (RFC 9110 §8.6); `wrk` waits for it.
    pub(super) fn h2load_http1(&self) -> Result<Counted> {
        self.by_h2load(&["--h1"], self.connections, 1)
    }

    fn by_h2load(&self, version: &[&str], connections: u32, streams: u32) -> Result<Counted> {
        let (core, connections, streams) = (self.core.to_string(), connections.to_string(), streams.to_string());
        let (seconds, url) = (self.time.as_secs().to_string(), self.url());
        let mut arguments = vec!["-c", &core, "h2load", "-t", "1", "-c", &connections, "-m", &streams, "-D", &seconds];
        arguments.extend(version);
        if let Some(field) = self.field {
            arguments.extend(["-H", field]);
        }
        arguments.push(&url);
        let text = output("taskset", &arguments)?;
        parse_h2load(&text).ok_or_else(|| format!("h2load said something unexpected:\n{text}").into())
    }
}

fn parse_wrk(text: &str) -> Option<Counted> {
    let lines = || text.lines().map(str::trim);
    let requests = lines().find_map(|line| line.split_once(" requests in ")).and_then(|(count, _)| count.parse().ok())?;
    let per_second = lines().find_map(|line| line.strip_prefix("Requests/sec:")).and_then(|rate| rate.trim().parse().ok())?;
    let refused =
        lines().find_map(|line| line.strip_prefix("Non-2xx or 3xx responses:")).map_or(Some(0), |count| count.trim().parse().ok())?;
    let broken: u64 = lines()
        .find_map(|line| line.strip_prefix("Socket errors:"))
        .map_or(0, |errors| errors.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok()).sum());
    Some(Counted { requests, per_second, failed: refused + broken })
}

fn parse_h2load(text: &str) -> Option<Counted> {
    let finished = text.lines().find_map(|line| line.strip_prefix("finished in "))?;
    let per_second = finished.split(", ").find_map(|part| part.strip_suffix(" req/s")).and_then(|rate| rate.parse().ok())?;
    let counts = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |word: &str| counts.split(", ").find_map(|part| part.strip_suffix(word)).and_then(|count| count.trim().parse::<u64>().ok());
    let statuses = text.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    let refused =
        |class: &str| statuses.split(", ").find_map(|part| part.strip_suffix(class)).and_then(|count| count.trim().parse::<u64>().ok());
    let failed = count(" failed")? + refused(" 4xx")? + refused(" 5xx")?;
    Some(Counted { requests: count(" succeeded")?, per_second, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let text = "Running 4s test @ http://127.0.0.1:8080/\n  1 threads and 64 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                    Latency   687.52us  178.30us   7.29ms   91.08%\n    Req/Sec    93.62k     2.51k   97.20k    78.05%\n  \
                    381841 requests in 4.10s, 458.12MB read\nRequests/sec:  93131.22\nTransfer/sec:    111.74MB\n";
        assert_eq!(parse_wrk(text), Some(Counted { requests: 381_841, per_second: 93_131.22, failed: 0 }));
    }

    #[test]
    fn failures_of_wrk_are_counted() {
        let text = "  100 requests in 1.00s, 1MB read\n  Socket errors: connect 0, read 3, write 1, timeout 2\n  Non-2xx or 3xx responses: 7\n\
                    Requests/sec:    100.00\n";
        assert_eq!(parse_wrk(text).map(|counted| counted.failed), Some(13));
    }

    #[test]
    fn h2load_is_understood() {
        let text = "starting benchmark...\n\nfinished in 4.00s, 61210.50 req/s, 71.12MB/s\n\
                    requests: 244842 total, 244900 started, 244842 done, 244840 succeeded, 2 failed, 0 errored, 0 timeout\n\
                    status codes: 244839 2xx, 0 3xx, 1 4xx, 0 5xx\ntraffic: 284.49MB\n";
        assert_eq!(parse_h2load(text), Some(Counted { requests: 244_840, per_second: 61_210.5, failed: 3 }));
    }

    #[test]
    fn anything_else_is_not() {
        assert_eq!(parse_wrk("unable to connect"), None);
        assert_eq!(parse_h2load("finished"), None);
    }
}
