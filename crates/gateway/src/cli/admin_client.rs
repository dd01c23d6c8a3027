//! The command line's client to a running gateway's admin listener.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;
use clap::builder::TypedValueParser;
use clap::parser::ValueSource;
use clap::{Arg, Args, Command};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 16 << 20;

/// Where the admin listener is: `host:port`, or the URL that the log prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress(String);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest.strip_suffix('/').unwrap_or(rest),
            Some((scheme, _)) => return Err(format!("the admin listener speaks http, not {scheme}")),
            None => text,
        };
        let is_both = address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_both || address.contains(['/', '?', '#', '@', ' ']) {
            return Err("write host and port, like 127.0.0.1:8090, or the URL that the log prints".to_owned());
        }
        Ok(Self(address.to_owned()))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AdminAddress {
    /// A request with the fields that every one has.
    pub(crate) fn request(&self, method: http::Method, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(target).header(header::HOST, &self.0).header(header::CONNECTION, "close")
    }

    /// Sends a request, and waits for the whole answer. An error says where no answer came from, and why.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        self.exchange(request).await.map_err(|error| self.unanswered(&error))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), BoxError> {
        let response = self.open(request).await?;
        let status = response.status();
        Ok((status, Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes()))
    }

    /// Sends a request, and waits for the head of the answer.
    async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, BoxError> {
        let stream = tokio::net::TcpStream::connect(&self.0).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }

    fn unanswered(&self, error: &dyn fmt::Display) -> String {
        format!(
            "no answer from the admin listener on {self}: {error}\n  hint: is a gateway running there? `--admin HOST:PORT` names another"
        )
    }
}

/// Where the admin listener is by default.
pub(crate) const USUAL: &str = "127.0.0.1:8090";

/// Reads where the admin listener is. An empty variable of the environment counts as not set, as it does for the gateway.
#[derive(Clone, Debug)]
pub(crate) struct AddressParser;

impl TypedValueParser for AddressParser {
    type Value = AdminAddress;

    fn parse_ref(&self, command: &Command, flag: Option<&Arg>, value: &OsStr) -> Result<AdminAddress, clap::Error> {
        TypedValueParser::parse_ref(&AdminAddress::from_str, command, flag, value)
    }

    fn parse_ref_(&self, command: &Command, flag: Option<&Arg>, value: &OsStr, from: ValueSource) -> Result<AdminAddress, clap::Error> {
        let is_unset = from == ValueSource::EnvVariable && value.is_empty();
        self.parse_ref(command, flag, if is_unset { OsStr::new(USUAL) } else { value })
    }
}

/// The flags of every command that asks a running gateway.
#[derive(Clone, Debug, Args)]
pub struct AdminFlags {
    /// The gateway's admin listener
    #[arg(long, value_name = "ADDRESS", env = "LARDER_ADMIN_LISTEN", default_value = USUAL, value_parser = AddressParser)]
    pub admin: AdminAddress,
    /// The variable of the environment that holds the token for the listener
    #[arg(long, value_name = "NAME", default_value = "LARDER_TOKEN")]
    pub token_env: String,
    /// A file with the token, instead of a variable
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

impl AdminFlags {
    /// A request with the token, where there is one.
    pub(crate) fn request(&self, method: Method, target: &str) -> Result<http::request::Builder, String> {
        let request = self.admin.request(method, target);
        Ok(match self.token()? {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        })
    }

    fn token(&self) -> Result<Option<String>, String> {
        match &self.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
                Ok(Some(text.trim().to_owned()))
            }
            None => Ok(std::env::var(&self.token_env).ok().filter(|token| !token.is_empty())),
        }
    }

    /// Asks for JSON.
    pub(crate) async fn get(&self, target: &str) -> Result<Value, String> {
        let request = self.request(Method::GET, target)?.body(Full::default()).map_err(|error| error.to_string())?;
        self.ask(request).await
    }

    /// Has something ended, and asks for JSON.
    pub(crate) async fn delete(&self, target: &str) -> Result<Value, String> {
        let request = self.request(Method::DELETE, target)?.body(Full::default()).map_err(|error| error.to_string())?;
        self.ask(request).await
    }

    /// Asks with JSON for JSON.
    pub(crate) async fn post(&self, target: &str, question: &Value) -> Result<Value, String> {
        let request = self.request(Method::POST, target)?.header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(Bytes::from(question.to_string()))).map_err(|error| error.to_string())?;
        self.ask(request).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Value, String> {
        let (status, body) = self.admin.send(request).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| self.another());
        }
        Err(self.refusal(status, &body))
    }

    /// What a refusal says, with what to do about it.
    pub(crate) fn refusal(&self, status: StatusCode, body: &[u8]) -> String {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let detail = answer["detail"].as_str().map_or_else(|| format!("the admin listener answered {status}"), str::to_owned);
        match status {
            StatusCode::UNAUTHORIZED => {
                format!("{detail}\n  hint: put the token into {}, or name a file with --token-file", self.token_env)
            }
            StatusCode::NOT_FOUND if !answer["detail"].is_string() => self.another(),
            _ => detail,
        }
    }

    /// The answer as the form that this version knows.
    pub(crate) fn known<T: DeserializeOwned>(&self, answer: Value) -> Result<T, String> {
        serde_json::from_value(answer).map_err(|_| self.another())
    }

    fn another(&self) -> String {
        format!("what answered on {} is not this version of Larder's admin listener\n  hint: `--admin HOST:PORT` names another", self.admin)
    }

    /// Runs a question, and prints what came of it: an error on stderr, with exit code 1.
    pub(crate) fn run(&self, question: impl Future<Output = Result<String, String>>) -> std::process::ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answer = runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(question));
        match answer {
            Ok(text) => print(&text),
            Err(error) => {
                eprintln!("error: {error}");
                std::process::ExitCode::FAILURE
            }
        }
    }
}

impl AdminFlags {
    /// Asks, and writes the answer's body to stdout as it comes.
    pub(crate) fn run_streaming(&self, method: Method, target: &str) -> std::process::ExitCode {
        let copied = async {
            let mut body = self.stream(method, target).await?;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
                if let Some(data) = frame.data_ref()
                    && !write(data)
                {
                    break;
                }
            }
            Ok(String::new())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let copied: Result<String, String> = runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(copied));
        match copied {
            Ok(_) => std::process::ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                std::process::ExitCode::FAILURE
            }
        }
    }

    /// Asks for an answer that comes in parts. An error says what was refused, and why.
    pub(crate) async fn stream(&self, method: Method, target: &str) -> Result<Incoming, String> {
        let request = self.request(method, target)?.body(Full::default()).map_err(|error| error.to_string())?;
        let response = self.admin.open(request).await.map_err(|error| self.admin.unanswered(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?.to_bytes();
        Err(self.refusal(status, &body))
    }
}

/// Writes bytes to stdout; `false` where nothing reads them any more.
pub(crate) fn write(bytes: &[u8]) -> bool {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// Prints a text, or says on stderr why it is lost.
pub(crate) fn print(text: &str) -> std::process::ExitCode {
    match put(text) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Writes a text to stdout. `Err` says why it is lost, as on a full disk.
pub(crate) fn put(text: &str) -> Result<(), String> {
    put_into(&mut std::io::stdout().lock(), text)
}

/// A reader that has read enough, such as `head`, is no error.
fn put_into(out: &mut impl std::io::Write, text: &str) -> Result<(), String> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("standard output cannot be written: {error}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_the_url_that_the_log_prints() {
        for (text, address) in [
            ("127.0.0.1:8090", "127.0.0.1:8090"),
            ("http://127.0.0.1:8090", "127.0.0.1:8090"),
            ("HTTP://[::1]:8090/", "[::1]:8090"),
            ("larder.internal:1", "larder.internal:1"),
        ] {
            assert_eq!(text.parse::<AdminAddress>().map(|parsed| parsed.to_string()), Ok(address.to_owned()), "{text}");
        }
        for text in ["", "8090", "http://", "http://host", "https://host:1", "host:1/path", "host:99999", "a@host:1", ":8090"] {
            assert!(text.parse::<AdminAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_variable_is_not_set_and_an_empty_flag_is_wrong() {
        let parsed = |text: &str, from| AddressParser.parse_ref_(&Command::new("larder"), None, OsStr::new(text), from);
        assert_eq!(parsed("", ValueSource::EnvVariable).map(|address| address.to_string()).ok().as_deref(), Some("127.0.0.1:8090"));
        assert_eq!(parsed("a:1", ValueSource::EnvVariable).map(|address| address.to_string()).ok().as_deref(), Some("a:1"));
        assert!(parsed(":1", ValueSource::EnvVariable).is_err() && parsed("", ValueSource::CommandLine).is_err());
    }

    /// A writer that fails.
    struct Failing(std::io::ErrorKind);

    impl std::io::Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn output_that_is_lost_is_told_unless_nobody_reads_it() {
        let told = put_into(&mut Failing(std::io::ErrorKind::StorageFull), "a");
        assert_eq!(told, Err("standard output cannot be written: no storage space".to_owned()));
        assert_eq!(put_into(&mut Failing(std::io::ErrorKind::BrokenPipe), "a"), Ok(()));
        let mut out = Vec::new();
        assert_eq!((put_into(&mut out, "a"), out), (Ok(()), b"a\n".to_vec()));
    }
}
