//! Running other programs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The folder that this program was built into: `target/debug`, wherever the target directory is.
pub(crate) fn build_folder() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot tell where this program is: {error}"))?;
    program.parent().map(Path::to_owned).ok_or_else(|| format!("{} is in no folder", program.display()))
}

/// A cargo command in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Whether this program can be started and succeeds.
pub(crate) fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs the command with its output shown; an error where it does not succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let shown = announce(command);
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} failed ({status})")) }
}

/// The standard output of the command; an error where it does not succeed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = announce(command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown} failed ({})", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the command with its output shown and each line of it handed to `read` as well; whether it succeeded.
pub(crate) fn succeed_reading(command: &mut Command, mut read: impl FnMut(&str)) -> Result<bool, String> {
    let shown = announce(command);
    let failed = |error| format!("{shown}: {error}");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (lines, received) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|stream| Box::new(stream) as _), child.stderr.take().map(|stream| Box::new(stream) as _)];
    for stream in streams.into_iter().flatten() {
        let lines = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                // Nobody listens any more only when this program ends.
                let _ = lines.send(line);
            }
        });
    }
    drop(lines);
    let mut output = std::io::stdout();
    for line in received {
        // Whoever reads our output may be gone; the tests' outcome counts all the same.
        let _ = writeln!(output, "{line}");
        read(&line);
    }
    Ok(child.wait().map_err(failed)?.success())
}

fn announce(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    let program = Path::new(&*words[0]).file_name().map_or_else(|| words[0].clone(), OsStr::to_string_lossy).into_owned();
    let shown = std::iter::once(program.as_str()).chain(words[1..].iter().map(|word| &**word)).collect::<Vec<_>>().join(" ");
    eprintln!("$ {shown}");
    shown
}
