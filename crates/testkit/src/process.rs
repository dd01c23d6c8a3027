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
    lines: watch::Sender<Vec<String>>,
}

impl Process {
    /// Starts the command with its standard output and error collected.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Result<Arc<Self>> {
        let name = name.into();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| Error::from(error).while_doing(format_args!("starting {name}")))?;
        let lines = watch::Sender::new(Vec::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        collect(stdout, &lines);
        collect(stderr, &lines);
        Ok(Arc::new(Self { name, child: Mutex::new(child), lines }))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.lock().expect("no one panics while holding the child").id()
    }

    /// Everything printed so far, on either stream.
    pub fn output(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Waits for the first line that `choose` makes something of.
    pub async fn line<T>(&self, what: &str, choose: impl Fn(&str) -> Option<T>) -> Result<T> {
        let mut found = None;
        let mut lines = self.lines.subscribe();
        let seen = lines.wait_for(|lines| {
            found = lines.iter().find_map(|line| choose(line));
            found.is_some()
        });
        let waited = async {
            tokio::select! {
                seen = seen => seen.map(drop).map_err(Error::from),
                ended = self.exit_status() => Err(Error::new(format!("it ended with {}", ended?))),
            }
        };
        let outcome = within("no such line", waited).await.and_then(|outcome| outcome);
        outcome.map_err(|error| self.explain(error.while_doing(format!("waiting for {what}"))))?;
        found.ok_or_else(|| self.explain(Error::new(format!("no line with {what}"))))
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
        let lines = self.lines.borrow();
        let last = lines.iter().rev().take(20).rev().fold(String::new(), |text, line| text + "\n    " + line);
        Error::new(format!("{}: {error}; its output:{last}", self.name))
    }

    fn try_wait(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child.lock().expect("no one panics while holding the child").try_wait()?)
    }

    async fn exit_status(&self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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

fn collect(stream: Option<impl std::io::Read + Send + 'static>, lines: &watch::Sender<Vec<String>>) {
    let Some(stream) = stream else { return };
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(stream)).map_while(std::result::Result::ok) {
            lines.send_modify(|all| all.push(line));
        }
    });
}
