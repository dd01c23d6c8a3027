//! `cargo xtask bench --gate`: what a hit, a miss and a hit over HTTP/2 cost the release binary, in instructions and in calls of the system that
//! write. Neither moves with the machine's load, so a change that makes one of them dearer is seen, and refused, before it lands.
//!
//! The binary runs under valgrind, which counts instructions and names every call of the system. Only the requests between two marks of one
//! process are counted: a start differs from the next by more than a hit takes (the cryptographic library gathers entropy from the clock's
//! jitter until it has enough), so two processes are not compared. The recorded figures lie in the tree, those of each profile in a file of
//! its own ([`figures_of`]): `.ci/run` counts the build that the tests have made, since that costs no second one. It is five times as dear, and what
//! makes a request do more shows in it as well.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::Result;
use super::client::Client;
use super::h2_client::H2Client;
use super::process::{Pinned, free_port, output};
use super::scenario::{SMALL, Scenario};
use super::servers::{Folders, Kind, origin};

/// The file of the recorded figures: one line each, its name and its value.
fn figures_of(profile: &str) -> String {
    if profile == "release" { "benches/gate.txt".to_owned() } else { format!("benches/gate-{profile}.txt") }
}

/// The permitted excess of a figure over the recorded one, in per mille.
const MARGIN: u64 = 30;

/// Requests before the first mark: what is made once is made by then.
const WARM_UP: u32 = 320;
/// Requests between two marks.
const COUNTED: u32 = 1_280;
/// Counts of each load, of which the least holds: on a busy machine clients' requests come one by one that come together on a quiet one, and a
/// server that is woken more often takes more for each.
const COUNTS: u32 = 3;

/// Connections at the same time over HTTP/1.1; over HTTP/2, connections, and streams of each at the same time.
const CONNECTIONS: u32 = 16;
const H2_CONNECTIONS: u32 = 8;
const H2_STREAMS: u32 = 8;

/// The counted figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Hit,
    Miss,
    H2Hit,
}

impl Load {
    const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::H2Hit];

    fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::H2Hit => "h2-hit",
        }
    }

    /// The connections that it asks over.
    fn connect(self, port: u16) -> Result<Clients> {
        let target = Scenario::Hit1k.target();
        Client::connect(port)?.get(&target)?;
        if self == Self::H2Hit {
            return Ok(Clients::H2 { target, clients: (0..H2_CONNECTIONS).map(|_| H2Client::connect(port)).collect::<Result<_>>()? });
        }
        let clients = (0..CONNECTIONS).map(|_| Client::connect(port)).collect::<Result<_>>()?;
        Ok(Clients::Http1 { target: (self == Self::Hit).then_some(target), clients, asked: 0 })
    }
}

enum Clients {
    /// One request at a time on each connection, and all connections at the same time.
    Http1 {
        /// None asks for another one each time.
        target: Option<String>,
        clients: Vec<Client>,
        asked: u32,
    },
    H2 {
        target: String,
        clients: Vec<H2Client>,
    },
}

impl Clients {
    /// Makes so many requests, and has read their answers.
    fn ask(&mut self, requests: u32) -> Result<()> {
        match self {
            Self::Http1 { target, clients, asked } => {
                for _ in 0..requests / CONNECTIONS {
                    for client in &mut *clients {
                        *asked += 1;
                        client.ask(&target.clone().unwrap_or_else(|| format!("/{SMALL}/miss/{asked}")))?;
                    }
                    for client in &mut *clients {
                        client.answer()?;
                    }
                }
            }
            Self::H2 { target, clients } => {
                for _ in 0..requests / (H2_CONNECTIONS * H2_STREAMS) {
                    for client in &mut *clients {
                        client.ask(target, H2_STREAMS)?;
                    }
                    for client in &mut *clients {
                        client.read_all()?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A figure.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Figure {
    name: String,
    value: u64,
}

/// Compares with the recorded figures, or records them anew.
///
/// # Errors
/// If a figure is above the recorded one by more than the margin.
pub(super) fn run(folders: &Folders, profile: &str, record: bool) -> Result<()> {
    let file = figures_of(profile);
    let mut figures = Vec::new();
    for load in Load::ALL {
        eprintln!("gate: {}", load.name());
        let Counts { instructions, writes } = counted(load, folders)?;
        let requests = u64::from(COUNTED);
        figures.push(Figure { name: format!("{}-instructions", load.name()), value: instructions / requests });
        figures.push(Figure { name: format!("{}-writes-per-1000", load.name()), value: writes * 1000 / requests });
    }
    if record {
        fs::write(&file, written(&figures))?;
    }
    let recorded = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let recorded = read(&recorded).map_err(|error| format!("{file}: {error}"))?;
    let (table, is_over) = compared(&figures, &recorded);
    println!("{table}");
    if is_over {
        return Err(format!(
            "a figure is above the one in {file}; where that is meant, run cargo xtask bench --gate --profile {profile} --record"
        )
        .into());
    }
    Ok(())
}

/// What happened between two marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    instructions: u64,
    /// Calls of the system that write to clients and to the origin.
    writes: u64,
}

impl Counts {
    /// The less of each.
    fn or_less(self, other: Self) -> Self {
        Self { instructions: self.instructions.min(other.instructions), writes: self.writes.min(other.writes) }
    }
}

fn counted(load: Load, folders: &Folders) -> Result<Counts> {
    let (_origin, origin_port) = origin(folders)?;
    let log = folders.work.join("gate.log");
    let port = free_port()?;
    let server = Server::start(port, origin_port, folders, &log)?;
    let mut clients = load.connect(port)?;
    clients.ask(WARM_UP)?;
    let mut before = server.mark(1)?;
    let mut least: Option<Counts> = None;
    for number in 0..COUNTS {
        clients.ask(COUNTED)?;
        let after = server.mark(number + 2)?;
        let counts = Counts { instructions: after.instructions, writes: after.writes - before.writes };
        least = Some(least.map_or(counts, |least| least.or_less(counts)));
        before = after;
    }
    drop(clients);
    server.process.end()?;
    least.ok_or_else(|| "nothing was counted".into())
}

/// The binary under valgrind.
struct Server {
    process: Pinned,
    log: PathBuf,
    dumps: PathBuf,
}

impl Server {
    fn start(port: u16, origin: u16, folders: &Folders, log: &Path) -> Result<Self> {
        let dumps = std::path::absolute(folders.work.join("gate.out"))?;
        Ok(Self { process: Kind::start_counted(port, origin, folders, log, &dumps)?, log: log.to_owned(), dumps })
    }

    /// Has the counter write what was counted since the last mark, and begin again; the writes are those since the start.
    fn mark(&self, number: u32) -> Result<Counts> {
        output("callgrind_control", &["--dump", &self.process.id().to_string()])?;
        let dump = self.dumps.with_added_extension(number.to_string());
        let instructions = total(&fs::read_to_string(&dump)?).ok_or_else(|| format!("{} names no total", dump.display()))?;
        Ok(Counts { instructions, writes: writes(&fs::read_to_string(&self.log)?) })
    }
}

/// The instructions that a dump of callgrind counts: `summary: 12345`, or `totals: 12345` at its end.
fn total(dump: &str) -> Option<u64> {
    let line = dump.lines().find_map(|line| line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")))?;
    line.trim().parse().ok()
}

/// Valgrind's lines on calls that write: `SYSCALL[123,1](20) sys_writev ( …`.
fn writes(log: &str) -> u64 {
    let calls = ["writev", "sendto", "sendmsg"].map(|call| format!(" sys_{call} "));
    log.lines().filter(|line| line.starts_with("SYSCALL[") && calls.iter().any(|call| line.contains(call.as_str()))).count() as u64
}

fn written(figures: &[Figure]) -> String {
    figures.iter().fold(String::new(), |mut text, Figure { name, value }| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} {value}");
        text
    })
}

fn read(text: &str) -> Result<Vec<Figure>> {
    let figure = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some(Figure { name: name.to_owned(), value: value.trim().parse().ok()? })
    };
    text.lines().map(|line| figure(line).ok_or_else(|| format!("{line:?} is no figure").into())).collect()
}

/// A table of both, and whether one is above its margin. A figure that was never recorded is.
fn compared(figures: &[Figure], recorded: &[Figure]) -> (String, bool) {
    let mut text = String::from("| figure, a request | recorded | now | |\n|---|---|---|---|\n");
    let mut is_any_over = false;
    for Figure { name, value } in figures {
        let known = recorded.iter().find(|figure| figure.name == *name).map(|figure| figure.value);
        let is_over = known.is_none_or(|known| *value * 1000 > known * (1000 + MARGIN));
        let is_under = known.is_some_and(|known| *value * 1000 < known * (1000 - MARGIN));
        let verdict = match (is_over, is_under) {
            (true, _) => "**above**",
            (false, true) => "below: record it",
            (false, false) => "",
        };
        let known = known.map_or_else(|| "none".to_owned(), |known| known.to_string());
        let _ = writeln!(text, "| {name} | {known} | {value} | {verdict} |");
        is_any_over |= is_over;
    }
    (text, is_any_over)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: [u64; 2]) -> Vec<Figure> {
        ["a", "b"].into_iter().zip(values).map(|(name, value)| Figure { name: name.to_owned(), value }).collect()
    }

    #[test]
    fn a_figure_may_be_three_percent_above_the_recorded_one_and_no_more() {
        let recorded = figures([1000, 1000]);
        assert!(!compared(&figures([1030, 1]), &recorded).1);
        assert!(compared(&figures([1031, 1]), &recorded).1);
        assert!(compared(&figures([1, 1]), &recorded[..1]).1, "what was never recorded is not held");
        assert!(compared(&figures([1000, 900]), &recorded).0.contains("| b | 1000 | 900 | below: record it |"));
    }

    #[test]
    fn the_least_of_several_counts_holds() {
        let counts = |instructions, writes| Counts { instructions, writes };
        assert_eq!(counts(5, 3).or_less(counts(4, 9)), counts(4, 3));
    }

    #[test]
    fn each_profile_has_figures_of_its_own() {
        assert_eq!((figures_of("release"), figures_of("dev")), ("benches/gate.txt".to_owned(), "benches/gate-dev.txt".to_owned()));
    }

    #[test]
    fn what_is_recorded_is_read() {
        assert_eq!(read(&written(&figures([7, 12_345]))).unwrap(), figures([7, 12_345]));
        assert!(read("a x").is_err());
    }

    #[test]
    fn valgrind_is_understood() {
        let log = "==7== Command: larder\nSYSCALL[7,1](20) sys_writev ( 9, 0x1, 2 ) --> [async] ... \nSYSCALL[7,1]( 44) sys_sendto ( 9 )\n\
                   SYSCALL[7,1](0) sys_read ( 11 )\nSYSCALL[7,1](20) ... [async] --> Success(0x20)\n";
        assert_eq!(writes(log), 2);
        assert_eq!(total("events: Ir\nsummary: 1234\n\nfn=(1) main\n0 3\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("it did not start"), None);
    }
}
