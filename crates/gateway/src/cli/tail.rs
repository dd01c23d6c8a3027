//! `larder tail`: requests as they happen.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::admin_client::{AdminFlags, write};
use super::explain::explained;
use super::paper::Paper;
use crate::explain::Happened;

/// Bytes of an event, at most: more is no event of ours.
const MAX_EVENT: usize = 1 << 20;

/// `larder tail`
#[derive(Debug, Args)]
pub struct Tail {
    /// Only requests of this route
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// Only with this result: hit, revalidated, miss or bypass
    #[arg(long, value_name = "WORD")]
    pub result: Option<String>,
    /// Only with this reason, as no-store
    #[arg(long, value_name = "WORD")]
    pub reason: Option<String>,
    /// Only with this status, as 404 or 5xx
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only URLs whose host and path match: * stays within a segment, ** does not
    #[arg(long, value_name = "GLOB")]
    pub url: Option<String>,
    /// Only those that took longer to the head of their response, as 100ms
    #[arg(long, value_name = "DURATION")]
    pub slower: Option<String>,
    /// Only this share of them, as 0.01
    #[arg(long, value_name = "SHARE")]
    pub sample: Option<String>,
    /// Tell of each all that is known of it
    #[arg(short, long)]
    pub verbose: bool,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Tail {
    /// Prints requests until it is stopped.
    pub fn run(&self) -> ExitCode {
        self.gateway.run(self.follow())
    }

    async fn follow(&self) -> Result<String, String> {
        let mut body = self.gateway.stream(Method::GET, &format!("/tail{}", self.query())).await?;
        let mut waiting = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("the gateway ended the stream: {error}"))?;
            let Some(data) = frame.data_ref() else { continue };
            waiting.extend_from_slice(data);
            while let Some(end) = waiting.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = waiting.drain(..end + 2).collect();
                if let Some(text) = self.line(&String::from_utf8_lossy(&event))
                    && !write(text.as_bytes())
                {
                    return Ok(String::new());
                }
            }
            if waiting.len() > MAX_EVENT {
                return Err("what answered is not Larder's admin listener".to_owned());
            }
        }
        Err("the gateway ended the stream".to_owned())
    }

    fn query(&self) -> String {
        let parts = [
            ("route", &self.route),
            ("result", &self.result),
            ("reason", &self.reason),
            ("status", &self.status),
            ("url", &self.url),
            ("slower", &self.slower),
            ("sample", &self.sample),
        ];
        let given = parts.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// What is printed of an event; nothing of one that only shows that the stream lives.
    fn line(&self, event: &str) -> Option<String> {
        let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
        if event.starts_with("event: lost") {
            // Not among lines that another program reads.
            eprintln!("… {data} requests are not shown: they came faster than they were read");
            return None;
        }
        if self.gateway.json {
            return Some(format!("{data}\n"));
        }
        let facts: Value = serde_json::from_str(data).ok()?;
        let happened = Happened::of(facts);
        let mut paper = Paper::for_stdout();
        paper.raw(&summary(&happened));
        if self.verbose {
            explained::write_facts(&mut paper, &happened);
            paper.gap();
        }
        Some(paper.text())
    }
}

fn summary(happened: &Happened) -> String {
    let text = |name| happened.text(name);
    let time = happened.milliseconds("duration_us").unwrap_or_default();
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    format!(
        "{} {} {} {}://{}{} {} {} {} {time} {}",
        text("timestamp"),
        text("client"),
        text("method"),
        text("scheme"),
        text("host"),
        text("target"),
        text("status"),
        or_dash(text("result")),
        or_dash(text("reason")),
        or_dash(text("route")),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn tail(arguments: &[&str]) -> Tail {
        match Cli::try_parse_from(["larder", "tail"].iter().chain(arguments)).expect("the form is right").command {
            Command::Tail(tail) => tail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn filters_are_the_gateways_to_apply() {
        assert_eq!(tail(&[]).query(), "");
        assert_eq!(tail(&["--result", "miss", "--url", "a/**"]).query(), "?result=miss&url=a%2F%2A%2A");
    }

    #[test]
    fn an_event_is_a_line_and_nothing_in_it_is_obeyed() {
        let json = r#"{"timestamp":"t","client":"127.0.0.1","method":"GET","scheme":"http","host":"a","target":"/\u001b[2J","status":200,"duration_us":1500,"result":"HIT","reason":"fresh","route":null}"#;
        let line = tail(&[]).line(&format!("data: {json}\n\n")).expect("a line");
        assert_eq!(line, "t 127.0.0.1 GET http://a/\\u001b[2J 200 HIT fresh 1.5 ms -\n");
        assert_eq!(tail(&["--json"]).line("event: lost\ndata: 7\n\n"), None, "told on stderr");
        assert_eq!(tail(&[]).line(":\n\n"), None);
        assert_eq!(tail(&["--json"]).line(&format!("data: {json}\n\n")), Some(format!("{json}\n")));
        let verbose = tail(&["-v"]).line(&format!("data: {json}\n\n")).expect("lines");
        assert!(verbose.contains("because       fresh: The stored response is fresh"), "{verbose}");
    }
}
