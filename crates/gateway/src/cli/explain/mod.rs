//! `larder explain`: asks a running gateway how it would answer a request, and why.

pub(super) mod explained;
mod reason;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::admin_client::AdminFlags;
use super::paper::Paper;

pub use reason::ExplainReason;

/// Flags that say of a URL how it is asked for: what has happened was asked for in its own way.
const OF_A_URL: [&str; 5] = ["method", "headers", "data", "client", "fetch"];

/// `larder explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The URL that a client asks for, like `http://example.com/a?b=1`; or the id of a request that has happened
    #[arg(value_name = "URL|ID", required_unless_present_any = ["last", "id"], conflicts_with_all = ["last", "id"])]
    pub url: Option<String>,
    /// Explain the last request that has happened (with request_id = true under server)
    #[arg(long, conflicts_with_all = OF_A_URL)]
    pub last: bool,
    /// Explain the request with this id, whatever it looks like, as a proxy may have given it
    #[arg(long, value_name = "ID", conflicts_with = "last", conflicts_with_all = OF_A_URL)]
    pub id: Option<String>,
    /// The method, GET if none is named
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,
    /// A field of the request, as 'Name: value'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub headers: Vec<String>,
    /// A file with the content of the request
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The address that the request comes from
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<IpAddr>,
    /// Ask the origin once, store nothing, and say what would be done with its answer
    #[arg(long)]
    pub fetch: bool,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Explain {
    /// Asks, and prints the explanation.
    pub fn run(&self) -> ExitCode {
        self.gateway.run(self.explanation())
    }

    async fn explanation(&self) -> Result<String, String> {
        let answer = self.gateway.post("/explain", &self.question()?).await?;
        if self.gateway.json {
            return Ok(format!("{answer:#}"));
        }
        let mut paper = Paper::for_stdout();
        explained::write(&mut paper, &self.gateway.known(answer)?);
        Ok(paper.text())
    }

    fn question(&self) -> Result<Value, String> {
        let mut headers = Map::new();
        for field in &self.headers {
            let (name, value) = field.split_once(':').ok_or_else(|| format!("`{field}` is no field: write 'Name: value'"))?;
            let lines = headers.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| json!([]));
            if let Value::Array(lines) = lines {
                lines.push(value.trim().into());
            }
        }
        let data = match &self.data {
            Some(file) => std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?,
            None => String::new(),
        };
        let url = match self.url.as_deref() {
            None => return Ok(self.id.as_ref().map_or(json!({ "last": true }), |id| json!({ "id": id }))),
            Some(url) if url.contains("://") => url.to_owned(),
            // Ids of ours have neither dots nor slashes nor ports, and a host without any of them is more likely an id.
            Some(id) if !id.contains(['.', '/', ':']) && id != "localhost" => return self.happened(id),
            // As curl does.
            Some(url) => format!("http://{url}"),
        };
        let mut question =
            json!({ "url": url, "method": self.method.as_deref().unwrap_or("GET"), "headers": headers, "data": data, "fetch": self.fetch });
        if let Some(client) = self.client {
            question["client"] = client.to_string().into();
        }
        Ok(question)
    }

    /// A question for a request that has happened.
    fn happened(&self, id: &str) -> Result<Value, String> {
        let is_asked_otherwise =
            self.method.is_some() || !self.headers.is_empty() || self.data.is_some() || self.client.is_some() || self.fetch;
        if is_asked_otherwise {
            return Err(format!(
                "`{id}` is the id of a request that has happened as it is, so no other flag says how it is asked for\n  hint: for a host of this name, write http://{id}/"
            ));
        }
        Ok(json!({ "id": id }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn question(arguments: &[&str]) -> Result<Value, String> {
        match Cli::try_parse_from(["larder", "explain"].iter().chain(arguments)).expect("the form is right").command {
            Command::Explain(explain) => explain.question(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_flags_are_those_of_curl() {
        let asked = question(&["a.example/x", "-X", "POST", "-H", "Accept: a", "-H", "accept:b"]).expect("a question");
        assert_eq!(asked["url"], "http://a.example/x");
        assert_eq!((&asked["method"], &asked["headers"]["accept"]), (&json!("POST"), &json!(["a", "b"])));
        assert_eq!(question(&["--last"]), Ok(json!({ "last": true })));
        assert_eq!(question(&["7f3a99"]), Ok(json!({ "id": "7f3a99" })));
        assert!(question(&["http://a/", "-H", "no field"]).is_err());
        assert!(question(&["http://a/", "--data", "/no/such/file"]).is_err_and(|error| error.contains("/no/such/file")));
    }

    #[test]
    fn what_has_happened_is_not_asked_for_in_another_way() {
        let parsed = |arguments: &[&str]| Cli::try_parse_from(["larder", "explain"].iter().chain(arguments)).map(|_| ());
        for flags in [&["--fetch"][..], &["-X", "GET"], &["-H", "a: b"], &["--data", "f"], &["--client", "127.0.0.1"]] {
            for of in [&["--last"][..], &["--id", "a"]] {
                assert!(parsed(&[of, flags].concat()).is_err(), "{of:?} {flags:?}");
            }
        }
        assert!(question(&["7f3a99", "--fetch"]).is_err_and(|error| error.contains("http://7f3a99/")));
        assert!(parsed(&["--id", "a", "--last"]).is_err() && parsed(&["--id", "a", "b"]).is_err() && parsed(&[]).is_err());
    }

    #[test]
    fn an_id_that_looks_like_a_url_is_asked_for_by_its_flag() {
        assert_eq!(question(&["--id", "host/AbC-000001"]), Ok(json!({ "id": "host/AbC-000001" })));
    }
}
