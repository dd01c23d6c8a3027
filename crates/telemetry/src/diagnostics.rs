//! Events of the gateway itself (start, reload, trouble) on stderr. Requests are in the access log.

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::one_line::Lines;

/// The format of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people; in colour on a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

static FORM: OnceLock<Form> = OnceLock::new();

/// The format of this process's events; before [`init`], the one for people.
pub fn form() -> Form {
    FORM.get().copied().unwrap_or_default()
}

/// Sends events of at least `level` to stderr, for the rest of the process. `RUST_LOG`, where it is set and well-formed, wins over `level`.
///
/// # Errors
/// If events already go somewhere.
pub fn init(level: Level, form: Form) -> Result<(), TryInitError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(level)));
    let in_colour = form == Form::Human && stderr().is_terminal();
    let events =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Lines { to: stderr(), in_colour }).with_ansi(in_colour);
    FORM.get_or_init(|| form);
    match form {
        Form::Human => events.with_target(false).finish().try_init(),
        Form::Json => events.json().flatten_event(true).finish().try_init(),
    }
}

/// Larder's own events from `level` on, and warnings of libraries: at `debug`, the HTTP/2 library writes a line for each frame.
fn directives(level: Level) -> String {
    let libraries = level.min(Level::WARN);
    format!("{libraries},larder={level},larder_tower={level},larder_store={level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_log_warnings_only() {
        assert_eq!(directives(Level::DEBUG), "WARN,larder=DEBUG,larder_tower=DEBUG,larder_store=DEBUG");
        assert_eq!(directives(Level::ERROR), "ERROR,larder=ERROR,larder_tower=ERROR,larder_store=ERROR");
        assert!(EnvFilter::try_new(directives(Level::TRACE)).is_ok());
    }
}
