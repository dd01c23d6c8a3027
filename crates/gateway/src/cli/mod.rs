//! The command line: commands and their flags.

mod admin_client;
mod check;
mod doctor;
mod explain;
mod import;
mod init;
mod keys;
mod limits;
mod packaging;
mod paper;
mod purge;
mod ready;
mod simulate;
mod spending;
mod stats;
mod tail;
mod test;
mod top;
mod verify;
mod warm;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Overrides, Report, Warnings};

pub use admin_client::{AdminAddress, AdminFlags};
pub use check::Check;
pub use doctor::Doctor;
pub use explain::{Explain, ExplainReason};
pub use import::{Import, ImportFrom};
pub use init::Init;
pub use keys::{Keys, Show};
pub use limits::Limits;
pub use packaging::{Completions, Man, Schema};
pub use purge::Purge;
pub use ready::Ready;
pub use simulate::Simulate;
pub use stats::Stats;
pub use tail::Tail;
pub use test::Test;
pub use top::Top;
pub use verify::{Verify, VerifyAction, VerifyFlags};
pub use warm::Warm;

const EXAMPLES: &str = "\
Examples:
  larder demo                                                a sample backend with the cache before it
  larder serve --upstream http://127.0.0.1:3000 --ttl 60s    no file needed
  larder init --upstream http://127.0.0.1:3000               a configuration to start from
  larder serve --config config.toml
  larder check --config config.toml                          every mistake at once
  larder purge --tag issue:7 --prefix example.com/api/v1     over the admin listener
  larder explain https://example.com/api/v1/issues           why it is answered as it is";

/// An explanation as `larder explain` prints it, without colours.
pub(crate) fn explanation_text(explanation: &crate::explain::Explanation) -> String {
    let mut paper = paper::Paper::plain();
    explain::explained::write(&mut paper, explanation);
    paper.text()
}

/// An HTTP reverse-proxy response cache.
#[derive(Debug, Parser)]
#[command(name = "larder", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a sample REST backend with the cache before it, and print requests to try
    Demo(Demo),
    /// Put the cache in front of a backend
    Serve(Serve),
    /// Check a configuration file and report every mistake; exit 1 on any error
    Check(Check),
    /// Look at configuration, machine, listeners, upstreams and Redis: exit 0 if all is well, 1 on warnings, 2 on errors
    Doctor(Doctor),
    /// Purge responses from a running gateway
    Purge(Purge),
    /// Have a running gateway fetch what its jobs for warming name, and wait for it: exit 1 where something could not be fetched
    Warm(Warm),
    /// Say how a running gateway would answer a request, and why: a dry run
    Explain(Explain),
    /// List what a running gateway has stored
    Keys(Keys),
    /// Show what is stored under a key or URL
    Show(Show),
    /// Say how limits and their clients stand, or give a client back what it has used
    Limits(Limits),
    /// Say what the cache of a running gateway is worth: ratios by requests, bytes and origin time
    Stats(Stats),
    /// Print requests as they happen
    Tail(Tail),
    /// Say whether what a running gateway serves is what its origins would say, and cache a stopped route again
    Verify(Verify),
    /// Show what happens as a live screen: figures, routes, upstreams, URLs that stand out, replicas
    Top(Top),
    /// Run the tests of a configuration, without network: exit 0 if all pass, 1 if one fails, 2 if none could be run
    Test(Test),
    /// Say what the word in Cache-Status, log or metrics means, and what changes it
    ExplainReason(ExplainReason),
    /// Say what a configuration would have done with the requests of access logs: hit ratios, what could not be stored and why
    Simulate(Simulate),
    /// Look at a backend, and write a configuration to start from: routes, lifetimes, and what a write makes old
    Init(Init),
    /// Carry another cache's configuration over: print what it comes to here, and tell what has no equivalent
    Import(Import),
    /// Print the JSON Schema of the configuration, by which editors complete and check it
    Schema(Schema),
    /// Print a script that completes commands and flags
    Completions(Completions),
    /// Print a manual page
    Man(Man),
    /// Ask a running gateway whether it wants traffic: exit 0 if it does, 1 if not, 2 on wrong usage
    Ready(Ready),
}

/// `larder demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Address of the sample backend
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub backend: String,
    /// Start the sample backend alone, for a `larder serve` of its own
    #[arg(long)]
    pub backend_only: bool,
    /// Listeners.
    #[command(flatten)]
    pub listeners: Listeners,
}

/// `larder serve`
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.toml", conflicts_with = "upstream")]
    pub config: PathBuf,
    /// Serve this backend without a configuration file
    #[arg(short, long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Lifetime of responses for which the backend names none, like 60s or 5m
    #[arg(long, value_name = "DURATION", requires = "upstream")]
    pub ttl: Option<String>,
    /// Listeners.
    #[command(flatten)]
    pub listeners: Listeners,
}

/// Addresses that win over file and environment.
#[derive(Clone, Debug, Args)]
pub struct Listeners {
    /// Addresses for clients, separated by commas; wins over the file and LARDER_LISTEN
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address of /metrics, /healthz and /readyz; wins over the file and LARDER_ADMIN_LISTEN
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
}

impl Listeners {
    /// The environment of this process with these flags over it.
    pub fn overrides(&self) -> Overrides {
        Overrides::from_env().with_flags(self.listen.as_deref(), self.admin_listen.as_deref())
    }
}

impl Serve {
    /// The configuration that the flags ask for; called again to reload it.
    pub fn load(&self) -> Result<(Config, Warnings), Report> {
        let overrides = self.listeners.overrides();
        match &self.upstream {
            Some(upstream) => config::from_flags(upstream, self.ttl.as_deref(), &overrides),
            None => config::load(&self.config, &overrides),
        }
    }

    /// The file to watch for changes, if there is one.
    pub fn file(&self) -> Option<&std::path::Path> {
        self.upstream.is_none().then_some(self.config.as_path())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn serve(arguments: &[&str]) -> Result<Serve, clap::Error> {
        match Cli::try_parse_from(["larder", "serve"].iter().chain(arguments))?.command {
            Command::Serve(serve) => Ok(serve),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_needs_no_file_where_an_upstream_is_given() {
        let serve = serve(&["--upstream", "http://127.0.0.1:3000", "--ttl", "60s", "--listen", "127.0.0.1:0"]).unwrap();
        assert_eq!((serve.upstream.as_deref(), serve.ttl.as_deref()), (Some("http://127.0.0.1:3000"), Some("60s")));
        assert_eq!((serve.file(), serve.listeners.listen.as_deref()), (None, Some("127.0.0.1:0")));
    }

    #[test]
    fn serve_reads_a_file_otherwise() {
        assert_eq!(serve(&[]).unwrap().file(), Some(std::path::Path::new("config.toml")));
        assert_eq!(serve(&["--config", "a.toml"]).unwrap().file(), Some(std::path::Path::new("a.toml")));
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        assert!(serve(&["--config", "a.toml", "--upstream", "http://h"]).is_err());
        assert!(serve(&["--ttl", "60s"]).is_err());
    }

    #[test]
    fn the_flags_reach_the_configuration() {
        let serve =
            serve(&["--upstream", "http://127.0.0.1:3000", "--ttl", "5m", "--listen", "127.0.0.1:0", "--admin-listen", "[::1]:0"]).unwrap();
        let (config, _) = serve.load().unwrap();
        assert_eq!((config.server.listen[0].address(), config.admin.listen.address()), ("127.0.0.1:0", "[::1]:0"));
        assert_eq!(config.fallback.unwrap().settings.policy.ttl, 300);
    }
}
