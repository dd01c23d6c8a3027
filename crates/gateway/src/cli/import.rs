//! `larder import`: another cache's configuration, carried over.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use larder_import::{ImportError, Imported, nginx, nginx_text};

use super::admin_client::print;

/// The most bytes of a configuration on standard input.
const MAX_INPUT: u64 = 16 << 20;

/// `larder import`
#[derive(Debug, Args)]
pub struct Import {
    /// What it is a configuration of.
    #[command(subcommand)]
    pub from: ImportFrom,
}

/// What can be carried over.
#[derive(Debug, Subcommand)]
pub enum ImportFrom {
    /// nginx: `proxy_cache` and what stands around it, with the files that it includes
    Nginx {
        /// The file, such as /etc/nginx/nginx.conf; "-" reads standard input, as in nginx -T | larder import nginx -
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Import {
    /// Prints the configuration, and on standard error what could not be carried over.
    pub fn run(&self) -> ExitCode {
        let ImportFrom::Nginx { file } = &self.from;
        let imported = if file.as_os_str() == "-" { from_input() } else { nginx(file) };
        match imported {
            Ok(Imported { config, notes }) => {
                let printed = print(&config);
                notes.iter().for_each(|note| eprintln!("{note}"));
                let count = notes.len();
                eprintln!("larder: {count} {} to look at; `larder check` tells mistakes", if count == 1 { "note" } else { "notes" });
                printed
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn from_input() -> Result<Imported, ImportError> {
    let error = |text: String| ImportError { file: "standard input".to_owned(), line: None, text };
    let mut text = String::new();
    std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).map_err(|failure| error(failure.to_string()))?;
    nginx_text(&text, "standard input")
}
