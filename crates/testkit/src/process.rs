//! Child processes that end with the test, killed by their own id.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use crate::wait::{eventually, within};
use crate::{Error, Result};

/// A running child whose output is collected line by line.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    output: watch::Sender<Output>,
}

#[derive(Default)]
struct Output {
    lines: Vec<String>,
    /// How many of the two streams may still bring lines.
    open: usize,
}

impl Process {
    /// Starts the command with its standard output and error collected.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Result<Arc<Self>> {
        let name = name.into();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| Error::from(error).while_doing(format_args!("starting {name}")))?;
        let output = watch::Sender::new(Output::default());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        collect(stdout, &output);
        collect(stderr, &output);
        Ok(Arc::new(Self { name, child: Mutex::new(child), output }))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.lock().expect("no one panics while holding the child").id()
    }

    /// Everything printed so far, on either stream.
    pub fn output(&self) -> Vec<String> {
        self.output.borrow().lines.clone()
    }

    /// Waits for the first line that `choose` makes something of.
    pub async fn line<T>(&self, what: &str, choose: impl Fn(&str) -> Option<T>) -> Result<T> {
        let choose = |output: &Output| output.lines.iter().find_map(|line| choose(line));
        let mut found = None;
        let mut output = self.output.subscribe();
        let seen = output.wait_for(|output| {
            found = choose(output);
            found.is_some()
        });
        let waited = async {
            tokio::select! {
                seen = seen => seen.map(drop).map_err(Error::from),
                ended = self.ended() => Err(Error::new(format!("it ended with {}", ended?))),
            }
        };
        let outcome = within("no such line", waited).await.and_then(|outcome| outcome);
        // A process that printed the line and ended at once has printed it.
        match found.or_else(|| choose(&self.output.borrow())) {
            Some(found) => Ok(found),
            None => {
                Err(self.explain(outcome.err().unwrap_or_else(|| Error::new("no such line")).while_doing(format!("waiting for {what}"))))
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).ok_or_else(|| Error::new("a process id that is none"))?;
        Ok(kill_process(id, signal)?)
    }

    /// Waits until the process has ended by itself.
    pub async fn exited(&self) -> Result<ExitStatus> {
        eventually(format!("waiting for {} to end", self.name), || async { self.try_wait() }).await.map_err(|error| self.explain(error))
    }

    /// The error with the last lines of the output below it.
    pub fn explain(&self, error: Error) -> Error {
        let output = self.output.borrow();
        let last = output.lines.iter().rev().take(20).rev().fold(String::new(), |text, line| text + "\n    " + line);
        Error::new(format!("{}: {error}; its output:{last}", self.name))
    }

    fn try_wait(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child.lock().expect("no one panics while holding the child").try_wait()?)
    }

    /// The exit status, once all that it printed has been read, or a second later where its own children hold its streams.
    async fn ended(&self) -> Result<ExitStatus> {
        let status = loop {
            if let Some(status) = self.try_wait()? {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut output = self.output.subscribe();
        let _read = tokio::time::timeout(Duration::from_secs(1), output.wait_for(|output| output.open == 0)).await;
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            // It may have ended already: then there is nothing to kill, and waiting only takes its exit status away.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn collect(stream: Option<impl std::io::Read + Send + 'static>, output: &watch::Sender<Output>) {
    let Some(stream) = stream else { return };
    output.send_modify(|output| output.open += 1);
    let output = output.clone();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(stream)).map_while(std::result::Result::ok) {
            output.send_modify(|output| output.lines.push(line));
        }
        output.send_modify(|output| output.open -= 1);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_of_a_process_that_ended_at_once_is_found() -> Result<()> {
        for _ in 0..200 {
            let process = Process::start("echo", Command::new("echo").arg("ready"))?;
            process.exited().await?;
            process.line("`ready`", |line| (line == "ready").then_some(())).await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_process_that_ends_without_the_line_is_told_with_its_output() -> Result<()> {
        let process = Process::start("echo", Command::new("echo").arg("never"))?;
        let error = process.line("`ready`", |line| (line == "ready").then_some(())).await.expect_err("it never says so").to_string();
        assert!(error.contains("exit status: 0") && error.contains("never"), "{error}");
        Ok(())
    }
}
