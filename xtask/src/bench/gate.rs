//! `cargo xtask bench --gate`: what a hit, a miss and a hit over HTTP/2 cost the release binary, in instructions and in calls of the system that
//! write. Neither moves with the machine's load, so a change that makes one of them dearer is seen, and refused, before it lands.
//!
//! The binary runs under valgrind, which counts instructions and names every call of the system. Each scenario runs twice, with few requests
//! and with many; the difference is what requests cost, without the start. The recorded figures lie in the tree, in [`FIGURES`].

use std::fmt::Write as _;
use std::fs;

use super::Result;
use super::client::Client;
use super::h2_client::H2Client;
use super::process::free_port;
use super::scenario::{SMALL, Scenario};
use super::servers::{Folders, Kind, origin};

/// The recorded figures: one line each, its name and its value.
const FIGURES: &str = "benches/gate.txt";

/// The permitted excess of a figure over the recorded one, in per mille.
const MARGIN: u64 = 30;

const FEW: u32 = 320;
const MANY: u32 = 1_600;

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

    /// Makes so many requests.
    fn run(self, port: u16, requests: u32) -> Result<()> {
        let target = Scenario::Hit1k.target();
        Client::connect(port)?.get(&target)?;
        match self {
            Self::Hit => in_turn(port, requests, |_| target.clone()),
            Self::Miss => in_turn(port, requests, |number| format!("/{SMALL}/miss/{number}")),
            Self::H2Hit => {
                let connect = || H2Client::connect(port);
                let mut clients = (0..H2_CONNECTIONS).map(|_| connect()).collect::<Result<Vec<_>>>()?;
                for _ in 0..requests / (H2_CONNECTIONS * H2_STREAMS) {
                    for client in &mut clients {
                        client.ask(&target, H2_STREAMS)?;
                    }
                    for client in &mut clients {
                        client.read_all()?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// One request at a time on each connection, and all connections at the same time.
fn in_turn(port: u16, requests: u32, target: impl Fn(u32) -> String) -> Result<()> {
    let mut clients = (0..CONNECTIONS).map(|_| Client::connect(port)).collect::<Result<Vec<_>>>()?;
    for round in 0..requests / CONNECTIONS {
        for (client, number) in clients.iter_mut().zip(round * CONNECTIONS..) {
            client.ask(&target(number))?;
        }
        for client in &mut clients {
            client.answer()?;
        }
    }
    Ok(())
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
pub(super) fn run(folders: &Folders, record: bool) -> Result<()> {
    let mut figures = Vec::new();
    for load in Load::ALL {
        eprintln!("gate: {}", load.name());
        let (few, many) = (counted(load, FEW, folders)?, counted(load, MANY, folders)?);
        let a_request = |of: fn(&Counts) -> u64, times: u64| of(&many).saturating_sub(of(&few)) * times / u64::from(MANY - FEW);
        figures.push(Figure { name: format!("{}-instructions", load.name()), value: a_request(|counts| counts.instructions, 1) });
        figures.push(Figure { name: format!("{}-writes-per-1000", load.name()), value: a_request(|counts| counts.writes, 1000) });
    }
    if record {
        fs::write(FIGURES, written(&figures))?;
    }
    let recorded = read(&fs::read_to_string(FIGURES)?)?;
    let (table, is_over) = compared(&figures, &recorded);
    println!("{table}");
    if is_over {
        return Err(format!("a figure is above the one in {FIGURES}; where that is meant, run cargo xtask bench --gate --record").into());
    }
    Ok(())
}

/// The figures of one run.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    instructions: u64,
    /// Calls of the system that write to clients and to the origin.
    writes: u64,
}

fn counted(load: Load, requests: u32, folders: &Folders) -> Result<Counts> {
    let (_origin, origin_port) = origin(folders)?;
    let log = folders.work.join("gate.log");
    let port = free_port()?;
    let server = Kind::start_counted(port, origin_port, folders, &log)?;
    load.run(port, requests)?;
    server.end()?;
    parse(&fs::read_to_string(&log)?).ok_or_else(|| format!("valgrind said something unexpected; see {}", log.display()).into())
}

/// Valgrind's output: `SYSCALL[123,1](20) sys_writev ( …`, and at the end `Collected : 12345`.
fn parse(text: &str) -> Option<Counts> {
    let writes = ["writev", "sendto", "sendmsg"].map(|call| format!(" sys_{call} "));
    let collected = text.lines().find_map(|line| line.split_once("Collected : "))?.1;
    let is_write = |line: &&str| line.starts_with("SYSCALL[") && writes.iter().any(|call| line.contains(call.as_str()));
    Some(Counts { instructions: collected.trim().parse().ok()?, writes: text.lines().filter(is_write).count() as u64 })
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
    text.lines().map(|line| figure(line).ok_or_else(|| format!("{FIGURES}: {line:?} is no figure").into())).collect()
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
    fn what_is_recorded_is_read() {
        assert_eq!(read(&written(&figures([7, 12_345]))).unwrap(), figures([7, 12_345]));
        assert!(read("a x").is_err());
    }

    #[test]
    fn valgrind_is_understood() {
        let text = "==7== Collected : 1234\nSYSCALL[7,1](20) sys_writev ( 9, 0x1, 2 ) --> [async] ... \nSYSCALL[7,1]( 44) sys_sendto ( 9 )\n\
                    SYSCALL[7,1](0) sys_read ( 11 )\nSYSCALL[7,1](20) ... [async] --> Success(0x20)\n";
        assert_eq!(parse(text), Some(Counts { instructions: 1234, writes: 2 }));
        assert_eq!(parse("it did not start"), None);
    }
}
