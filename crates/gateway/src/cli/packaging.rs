//! `larder completions`, `larder man` and `larder schema`: what packages ship beside the binary.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// `larder completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(&self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "larder", &mut script);
        written(&script)
    }
}

/// `larder man`
#[derive(Debug, Args)]
pub struct Man {
    /// The page of this command; without it that of larder itself
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

impl Man {
    /// Prints the page, in roff.
    pub fn run(&self) -> ExitCode {
        let mut whole = Cli::command();
        whole.build();
        let page = match &self.command {
            None => Some(whole.clone()),
            Some(name) => whole.find_subcommand(name).cloned(),
        };
        let Some(page) = page else {
            eprintln!("error: there is no command `{}`: see `larder --help`", self.command.as_deref().unwrap_or_default());
            return ExitCode::FAILURE;
        };
        let name = match &self.command {
            None => "larder".to_owned(),
            Some(command) => format!("larder-{command}"),
        };
        let mut roff = Vec::new();
        match clap_mangen::Man::new(page).title(name).render(&mut roff) {
            Ok(()) => written(&roff),
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// `larder schema`
#[derive(Debug, Args)]
pub struct Schema {}

impl Schema {
    /// Prints the JSON Schema of the configuration.
    pub fn run(&self) -> ExitCode {
        written(format!("{:#}\n", crate::config::schema()).as_bytes())
    }
}

/// A reader that has read enough is no error.
fn written(bytes: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
