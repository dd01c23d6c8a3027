//! `larder ready`: the health check of a container or a unit, where there is no curl.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::admin_client::{AddressParser, AdminAddress, USUAL, print};
use crate::config;

/// Wrong usage, as clap has it too.
const USAGE: u8 = 2;

/// `larder ready`
#[derive(Debug, Args)]
pub struct Ready {
    /// The gateway's admin listener
    #[arg(long, value_name = "ADDRESS", env = "LARDER_ADMIN_LISTEN", default_value = USUAL, value_parser = AddressParser)]
    pub admin: AdminAddress,
    /// How long it may take to answer, like 2s
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub timeout: String,
    /// Ask again until it is ready, for so long at most: for scripts that have just started it
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub wait: String,
}

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

impl Ready {
    /// Asks, prints what the answer is, and makes it the exit code.
    pub fn run(&self) -> ExitCode {
        let timeout = config::parse_duration(&self.timeout).filter(|timeout| !timeout.is_zero());
        let (Some(timeout), Some(wait)) = (timeout, config::parse_duration(&self.wait)) else {
            let wrong = if timeout.is_none() { &self.timeout } else { &self.wait };
            eprintln!("error: `{wrong}` is not a time to wait, like 2s");
            return ExitCode::from(USAGE);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answer = runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(self.ask_until_ready(timeout, wait)));
        match answer {
            Ok(stage) => {
                let printed = print(&stage);
                if stage == "ready" { printed } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// As [`Ready::ask`], again and again until it is ready or the time is over.
    async fn ask_until_ready(&self, timeout: Duration, wait: Duration) -> Result<String, String> {
        let mut answer = self.ask(timeout).await;
        let asked = async {
            while answer.as_deref() != Ok("ready") {
                tokio::time::sleep(PAUSE).await;
                answer = self.ask(timeout).await;
            }
        };
        // What was answered last says why it is not ready.
        let _ = tokio::time::timeout(wait, asked).await;
        answer
    }

    /// The stage that it says it is in.
    async fn ask(&self, timeout: Duration) -> Result<String, String> {
        let request = self.admin.request(Method::GET, "/readyz").body(Full::default()).map_err(|error| error.to_string())?;
        let late = || format!("no answer from the admin listener on {}: nothing within {}", self.admin, self.timeout);
        let (status, body) = tokio::time::timeout(timeout, self.admin.send(request)).await.map_err(|_| late())??;
        stage(status, &body).ok_or_else(|| format!("what answered on {} ({status}) is not Larder's admin listener", self.admin))
    }
}

/// The stage in an answer of `/readyz`; `None` where it is none.
fn stage(status: StatusCode, body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let (ready, stage) = (answer["ready"].as_bool()?, answer["stage"].as_str()?);
    ((status == StatusCode::OK) == ready && (stage == "ready") == ready).then(|| stage.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_agrees_with_itself_counts() {
        let said = |status: u16, body: &str| stage(StatusCode::from_u16(status).expect("status"), body.as_bytes());
        assert_eq!(said(200, r#"{"ready":true,"stage":"ready","redis":{"state":"ok"}}"#).as_deref(), Some("ready"));
        assert_eq!(said(503, r#"{"ready":false,"stage":"draining"}"#).as_deref(), Some("draining"));
        for (status, body) in
            [(200, "ok"), (404, "{}"), (503, r#"{"ready":true,"stage":"ready"}"#), (200, r#"{"ready":true,"stage":"starting"}"#)]
        {
            assert_eq!(said(status, body), None, "{status} {body}");
        }
    }
}
