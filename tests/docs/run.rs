//! The commands of a page, run in its order by one shell in a folder of its own, as a reader would.
//!
//! Tests run side by side, so the shell has a loopback address of its own: it stands for 127.0.0.1 in commands and files, is what `larder` takes where nothing
//! is said, and is turned back in what is printed. What the page starts in the background ends with it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_testkit::larder::binary;
use larder_testkit::{Error, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::compare::{compare, compare_but_figures};
use super::page::{Block, Page};
use super::pages;

/// For a whole page; the longest starts two replicas and Redis.
const LONGEST: Duration = Duration::from_secs(100);

/// A line that no page prints, before and after each command.
const MARK: &str = "\u{1}larder-docs";

/// Why commands may not be run here, and how many blocks give that reason at most.
const REASONS: [(&str, usize); 4] =
    [("builds-for-minutes", 2), ("installs-packages", 1), ("needs-a-terminal", 1), ("depends-on-the-machine", 1)];

pub(super) fn few_are_not_run() -> Result<()> {
    let mut counts = REASONS.map(|(reason, most)| (reason, most, 0));
    for page in pages()? {
        for block in page.blocks.iter().filter(|block| block.is_commands()) {
            let Some(reason) = block.attribute("not-run") else { continue };
            let known = counts.iter_mut().find(|(known, ..)| *known == reason);
            let (.., count) =
                known.ok_or_else(|| Error::new(format!("{}:{}: `{reason}` is no reason that is known", page.name, block.line)))?;
            *count += 1;
        }
    }
    for (reason, most, count) in counts {
        assert!(count <= most, "{count} blocks are not run, since each {reason}: at most {most} may");
    }
    Ok(())
}

/// What a reader has around: the binary on the path, and nothing of the caller's settings.
struct Shell {
    folder: TempDir,
    loopback: Ipv4Addr,
}

impl Shell {
    fn new(number: usize) -> Result<Self> {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let last = u8::try_from(number % 250).unwrap_or_default() + 2;
        let shell = Self { folder: TempDir::new()?, loopback: Ipv4Addr::new(127, 128 | (high & 0x3f), low, last) };
        let program = shell.folder.path().join("bin/larder");
        fs::create_dir_all(shell.folder.path().join("bin"))?;
        fs::create_dir_all(shell.page())?;
        // The sample backend alone takes its address from no variable.
        let script = "#!/bin/sh\nif [ \"$1\" = demo ]; then shift; exec \"$LARDER_BINARY\" demo --backend \"$LARDER_LOOPBACK:3000\" \"$@\"; fi\nexec \"$LARDER_BINARY\" \"$@\"\n";
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(shell)
    }

    fn page(&self) -> std::path::PathBuf {
        self.folder.path().join("page")
    }

    /// The text with this shell's address for the usual one.
    fn here(&self, text: &str) -> String {
        text.replace("127.0.0.1", &self.loopback.to_string())
    }

    fn usual(&self, text: &str) -> String {
        text.replace(&self.loopback.to_string(), "127.0.0.1")
    }

    fn command(&self, script: &Path) -> Result<Command> {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap_or_default();
        command.arg(script).current_dir(self.page()).process_group(0);
        command.env("PATH", format!("{}/bin:{path}:/usr/sbin:/sbin", self.folder.path().display()));
        command.env("LARDER_BINARY", fs::canonicalize(binary()?)?).env("LARDER_LOOPBACK", self.loopback.to_string());
        command.env("LARDER_LISTEN", format!("{}:8080", self.loopback)).env("LARDER_ADMIN_LISTEN", format!("{}:8090", self.loopback));
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        for name in ["REDIS_URL", "RUST_LOG", "KUBERNETES_SERVICE_HOST", "LARDER_TOKEN", "http_proxy", "HTTP_PROXY", "LARDER"] {
            command.env_remove(name);
        }
        if let Ok(backends) = larder_tests::backends("python/fastapi/__init__.py") {
            command.env("PYTHONPATH", backends.join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Ok(command)
    }

    /// Runs the script, and returns all that it printed. What it has started and left is ended, by its process group.
    fn run(&self, script: &str) -> Result<String> {
        let file = self.folder.path().join("script");
        fs::write(&file, script)?;
        let mut child = self.command(&file)?.spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| Error::new("a process id that is none"))?;
        let mut output = child.stdout.take().ok_or_else(|| Error::new("no output"))?;
        let (sender, printed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = std::io::Read::read_to_end(&mut output, &mut bytes);
            let _ = sender.send(bytes);
        });
        let (ended, outcome) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let status = child.wait();
            let _ = ended.send(());
            status
        });
        let in_time = outcome.recv_timeout(LONGEST).is_ok();
        // What it has left in the background holds its output open.
        let _ = kill_process_group(group, if in_time { Signal::TERM } else { Signal::KILL });
        let bytes = match printed.recv_timeout(Duration::from_secs(10)) {
            Ok(bytes) => bytes,
            Err(_) => {
                let _ = kill_process_group(group, Signal::KILL);
                printed.recv().unwrap_or_default()
            }
        };
        let _ = waiting.join();
        let text = self.usual(&String::from_utf8_lossy(&bytes));
        if in_time { Ok(text) } else { Err(Error::new(format!("it was not done within {LONGEST:?}; it printed\n{text}"))) }
    }
}

/// Runs the page, and compares.
pub(super) fn follow(page: &Page, number: usize) -> Result<()> {
    let shell = Shell::new(number)?;
    let mut script = String::new();
    let mut steps: Vec<(&Block, String, Option<Vec<&str>>)> = Vec::new();
    for block in &page.blocks {
        if let Some(file) = block.attribute("file") {
            fs::write(shell.page().join(file), shell.here(&block.text))?;
        }
        if !block.is_commands() || block.attribute("not-run").is_some() || block.attribute("file").is_some() {
            continue;
        }
        for (command, output) in block.commands() {
            let at = steps.len();
            script.push_str(&format!(
                "printf '\\n%s\\n' '{MARK} begin {at}'\n{{\n{}\n}} 2>&1\nprintf '\\n%s\\n' \"{MARK} end {at} $?\"\n",
                shell.here(&command)
            ));
            steps.push((block, command, output));
        }
    }
    let printed = shell.run(&script)?;
    for (at, (block, command, output)) in steps.iter().enumerate() {
        let place = format!("{}:{}", page.name, block.line);
        let (text, status) = of_step(&printed, at)
            .ok_or_else(|| Error::new(format!("{place}: `{command}` did not come to its end; all that was printed:\n{printed}")))?;
        // A page that shows an error shows one that fails.
        let shows_failure =
            output.as_ref().is_some_and(|lines| lines.iter().any(|line| line.starts_with("error: ") || line.starts_with("FAILED")));
        if (status != 0) != shows_failure {
            return Err(Error::new(format!("{place}: `{command}` ended with {status}:\n{text}")));
        }
        if let Some(lines) = output {
            let compare = if block.attribute("figures").is_some() { compare_but_figures } else { compare };
            compare(lines, text).map_err(|difference| Error::new(format!("{place}: `{command}`: {difference}; it printed\n{text}")))?;
        }
    }
    Ok(())
}

/// What a command printed, and how it ended.
fn of_step(printed: &str, at: usize) -> Option<(&str, i32)> {
    let (_, rest) = printed.split_once(&format!("{MARK} begin {at}\n"))?;
    let (text, rest) = rest.split_once(&format!("\n{MARK} end {at} "))?;
    Some((text, rest.lines().next()?.parse().ok()?))
}
