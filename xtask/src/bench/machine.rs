//! The machine that the figures were taken on.

use std::fs;

use super::options::Options;
use super::process::output;
use super::servers::Kind;

/// Machine, versions and settings, one a line.
pub(super) fn describe(servers: &[Kind], options: &Options) -> Vec<String> {
    let mut lines = vec![
        format!("CPU: {}, {} cores", processor(), std::thread::available_parallelism().map_or(1, usize::from)),
        format!("kernel: {}", first_line("uname", &["-sr"])),
        format!("compiler: {}, profile {}", first_line("rustc", &["--version"]), options.profile),
        format!("rounds: {} of {} s, interleaved; server on one core, load and origin on another", options.rounds, options.run.as_secs()),
    ];
    lines.extend(servers.iter().filter_map(|server| Some(format!("{}: {}", server.name(), server.version()?))));
    lines
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split_once(':'));
    model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let text = output(program, arguments).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
