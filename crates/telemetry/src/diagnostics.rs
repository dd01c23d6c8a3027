//! Events of the gateway itself (start, reload, trouble) on stderr. Requests are the access log's.

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::one_line::Lines;

/// How events look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people; in colour on a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

static FORM: OnceLock<Form> = OnceLock::new();

/// How events of this process look. Before [`init`] they are for people.
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

/// Our own events from `level` on. Those of libraries only when something is odd: at `debug`, HTTP/2 alone writes a line for each frame.
fn directives(level: Level) -> String {
    let libraries = level.min(Level::WARN);
    format!("{libraries},larder={level},larder_tower={level},larder_store={level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_speak_up_only_when_something_is_odd() {
        assert_eq!(directives(Level::DEBUG), "WARN,larder=DEBUG,larder_tower=DEBUG,larder_store=DEBUG");
        assert_eq!(directives(Level::ERROR), "ERROR,larder=ERROR,larder_tower=ERROR,larder_store=ERROR");
        assert!(EnvFilter::try_new(directives(Level::TRACE)).is_ok());
    }
}
