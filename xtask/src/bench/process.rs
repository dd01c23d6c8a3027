//! Processes under measurement: pinned to a core, ended with everything they started, their CPU time and memory read from `/proc`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::Result;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A server on a core of its own. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Pinned {
    child: Child,
}

impl Pinned {
    /// Starts `command` (a program and its arguments) on `cores`, as `taskset` names them; what it writes goes to `log`.
    pub(super) fn start(cores: &str, command: &[String], log: &Path) -> Result<Self> {
        let output = File::create(log)?;
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", cores]).args(command);
        // Its own process group, so that workers can be ended with their master.
        pinned.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { child: pinned.spawn()? })
    }

    /// Waits until `port` accepts connections.
    pub(super) fn wait_for(&mut self, port: u16, log: &Path) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for _ in 0..3000 {
            if TcpStream::connect_timeout(&address, POLL).is_ok() {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                break;
            }
            thread::sleep(POLL);
        }
        Err(format!("a server did not start; it said:\n{}", fs::read_to_string(log).unwrap_or_default()).into())
    }

    /// Ends it, and waits until it has ended by itself.
    pub(super) fn end(mut self) -> Result<()> {
        self.signal("-TERM");
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a server ended with {status}").into()) }
    }

    /// The id of the process: `taskset` becomes the program that it starts.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time of the process and its descendants so far.
    pub(super) fn cpu(&self, ticks_per_second: u64) -> Result<Duration> {
        let ticks: u64 = self.tree()?.iter().map(|process| process.ticks).sum();
        Ok(Duration::from_micros(ticks * 1_000_000 / ticks_per_second))
    }

    /// Resident memory of the process and its descendants, in bytes.
    pub(super) fn resident(&self) -> Result<u64> {
        let mut sum = 0;
        for process in self.tree()? {
            let status = fs::read_to_string(format!("/proc/{}/status", process.id)).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kilobytes: u64 = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0);
            sum += kilobytes * 1024;
        }
        Ok(sum)
    }

    fn tree(&self) -> Result<Vec<Stat>> {
        let mut all = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            // Processes come and go while one reads.
            let stat = entry.ok().and_then(|entry| fs::read_to_string(entry.path().join("stat")).ok());
            if let Some(stat) = stat.as_deref().and_then(Stat::parse) {
                all.insert(stat.id, stat);
            }
        }
        let root = self.child.id();
        let descends = |mut id: u32| loop {
            match all.get(&id) {
                _ if id == root => return true,
                Some(stat) if stat.parent != id => id = stat.parent,
                _ => return false,
            }
        };
        Ok(all.values().filter(|stat| descends(stat.id)).copied().collect())
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        // It may be gone already, which is what is wanted.
        let _gone = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.signal("-TERM");
        for _ in 0..250 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        self.signal("-KILL");
        let _ended = self.child.wait();
    }
}

/// The fields of `/proc/ID/stat` that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    id: u32,
    parent: u32,
    /// User and system time.
    ticks: u64,
}

impl Stat {
    /// See proc(5). The second field is a name in parentheses that may hold anything, parentheses too.
    fn parse(line: &str) -> Option<Self> {
        let (id, rest) = line.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |field: usize| fields.get(field).and_then(|field| field.parse::<u64>().ok());
        Some(Self { id: id.parse().ok()?, parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
    }
}

/// Clock ticks a second in `/proc`.
pub(super) fn ticks_per_second() -> Result<u64> {
    Ok(output("getconf", &["CLK_TCK"])?.trim().parse()?)
}

/// A loopback port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The output of a program, stdout and stderr; an error if it fails.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(format!("{program} failed: {text}").into()) }
}

pub(super) fn is_on_path(program: &str) -> bool {
    // Debian keeps servers where only root's path leads.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let line = "42 (a (b) c) S 7 42 42 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 1 0 100 0 0";
        assert_eq!(Stat::parse(line), Some(Stat { id: 42, parent: 7, ticks: 281 }));
    }

    #[test]
    fn a_damaged_stat_line_is_nothing() {
        assert_eq!(Stat::parse("42 (a) S 7"), None);
        assert_eq!(Stat::parse(""), None);
    }
}
