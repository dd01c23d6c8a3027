//! `larder purge`: asks a running gateway to purge.

use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::admin_client::{AdminFlags, print};
use crate::config;

/// `larder purge`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Purge {
    /// A URL with all its variants
    #[arg(long, value_name = "URL", group = "what")]
    pub url: Vec<String>,
    /// Everything below whole path segments: example.com/api/v1, or /api/v1 on every host
    #[arg(long, value_name = "PREFIX", group = "what")]
    pub prefix: Vec<String>,
    /// Everything with this tag
    #[arg(long, value_name = "TAG", group = "what")]
    pub tag: Vec<String>,
    /// Everything of this name (`key.name` of its route); issue:* for all names that begin so
    #[arg(long, value_name = "NAME", group = "what")]
    pub name: Vec<String>,
    /// Everything stored under this route
    #[arg(long, value_name = "NAME", group = "what")]
    pub route: Vec<String>,
    /// Everything stored under routes of this class
    #[arg(long, value_name = "NAME", group = "what")]
    pub class: Vec<String>,
    /// Everything stored under this namespace
    #[arg(long, value_name = "NAME", group = "what")]
    pub namespace: Vec<String>,
    /// Every URL whose host and path match: * stays within a segment, ** does not
    #[arg(long, value_name = "GLOB", group = "what")]
    pub pattern: Vec<String>,
    /// Every URL whose host and path this regular expression matches, if the configuration allows it (regex = true)
    #[arg(long, value_name = "REGEX", group = "what")]
    pub regex: Vec<String>,
    /// Everything
    #[arg(long, group = "what")]
    pub all: bool,
    /// Mark responses stale instead of removing them: they are served while one refresh runs
    #[arg(long)]
    pub soft: bool,
    /// How long every replica may take to apply it, like 2s
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub wait: String,
    /// Purge nothing; estimate the number of stored responses
    #[arg(long)]
    pub count: bool,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Purge {
    /// Asks, prints how many replicas applied it, and fails unless all did.
    pub fn run(&self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answer = runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(self.ask()));
        if let Ok(answer) = &answer {
            hints(answer).for_each(|hint| eprintln!("note: {hint}"));
        }
        let answer = answer.and_then(|answer| said(&answer).map(|(line, complete)| (answer, line, complete)));
        match answer {
            Ok((answer, line, complete)) => {
                let printed = print(&if self.gateway.json { answer.to_string() } else { line });
                if complete { printed } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn body(&self) -> Value {
        json!({
            "urls": self.url, "prefixes": self.prefix, "tags": self.tag, "names": self.name, "routes": self.route, "classes": self.class,
            "namespaces": self.namespace, "patterns": self.pattern, "regexes": self.regex, "all": self.all, "soft": self.soft,
        })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        if config::parse_duration(&self.wait).is_none() {
            return Err(format!("`{}` is not a time to wait, like 2s", self.wait));
        }
        let query = if self.count { "count".to_owned() } else { format!("wait={}", self.wait.replace(' ', "")) };
        let request = self.gateway.request(Method::POST, &format!("/purge?{query}"))?.header(header::CONTENT_TYPE, "application/json");
        request.body(Full::new(Bytes::from(self.body().to_string()))).map_err(|error| error.to_string())
    }

    async fn ask(&self) -> Result<Value, String> {
        let (status, body) = self.gateway.admin.send(self.request()?).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body).unwrap_or_default());
        }
        Err(self.gateway.refusal(status, &body))
    }
}

/// The gateway's remarks about the targets.
fn hints(answer: &Value) -> impl Iterator<Item = &str> {
    answer["hints"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The text to print, and whether every replica has applied the purge.
fn said(answer: &Value) -> Result<(String, bool), String> {
    if let Some(count) = answer["count"].as_u64() {
        return Ok((format!("about {count} stored responses"), true));
    }
    match (answer["applied"].as_u64(), answer["replicas"].as_u64(), answer["position"].as_u64()) {
        (Some(applied), Some(replicas), Some(position)) => {
            let confirmed = applied >= replicas;
            let silent = match answer["unknown"].as_u64() {
                None | Some(0) => "",
                Some(1) => ", one was not heard of for a while",
                Some(_) => ", some were not heard of for a while",
            };
            let verdict = if confirmed { "" } else { ": not confirmed" };
            Ok((format!("applied on {applied} of {replicas}{silent}{verdict} (position {position})"), confirmed))
        }
        (Some(_), None, Some(_)) if answer["kept"].is_string() => {
            let line = "applied here, other replicas are never told if this one ends first (its journal cannot be written): not confirmed";
            Ok((line.to_owned(), false))
        }
        (Some(_), None, Some(_)) => {
            Ok(("applied here, other replicas are told when Redis can be reached again: not confirmed".to_owned(), false))
        }
        _ => Err("what answered is not Larder's admin listener".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn purge(arguments: &[&str]) -> Result<Purge, clap::Error> {
        match Cli::try_parse_from(["larder", "purge"].iter().chain(arguments))?.command {
            Command::Purge(purge) => Ok(purge),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn several_targets_go_into_one_call() {
        let purge = purge(&["--tag", "a", "--tag", "b", "--url", "http://h/", "--soft"]).expect("they go together");
        let body = purge.body();
        assert_eq!((&body["tags"], &body["urls"], &body["soft"]), (&json!(["a", "b"]), &json!(["http://h/"]), &json!(true)));
        assert_eq!(purge.request().expect("a request").uri(), "/purge?wait=2s");
    }

    #[test]
    fn a_wrong_duration_is_not_sent() {
        for wait in ["", "x", "2", "2s&count"] {
            let purge = purge(&["--all", "--wait", wait]).expect("the form is right");
            assert!(purge.request().is_err(), "{wait}");
        }
    }

    #[test]
    fn something_has_to_be_named() {
        assert!(purge(&[]).is_err());
        assert!(purge(&["--soft"]).is_err());
        assert!(purge(&["--all"]).is_ok());
    }

    #[test]
    fn the_answer_is_one_line() {
        assert_eq!(said(&json!({"position": 7, "applied": 1, "replicas": 1})), Ok(("applied on 1 of 1 (position 7)".to_owned(), true)));
        for (unknown, line) in [
            (0, "applied on 2 of 3: not confirmed (position 7)"),
            (1, "applied on 2 of 3, one was not heard of for a while: not confirmed (position 7)"),
        ] {
            let answer = json!({"position": 7, "applied": 2, "replicas": 3, "unknown": unknown});
            assert_eq!(said(&answer), Ok((line.to_owned(), false)));
        }
        let kept = "applied here, other replicas are told when Redis can be reached again: not confirmed";
        assert_eq!(said(&json!({"position": 7, "applied": 1, "replicas": null})), Ok((kept.to_owned(), false)));
        assert_eq!(said(&json!({"count": 12, "estimate": true})), Ok(("about 12 stored responses".to_owned(), true)));
        assert!(said(&json!({})).is_err());
    }
}
