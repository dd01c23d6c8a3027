//! Events of the gateway itself (start, reload, trouble) on stderr. Requests are in the access log.

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;
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

/// Replaces the filter of events; unset where `RUST_LOG` says what it is.
static SET_FILTER: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// The format of this process's events; before [`init`], the one for people.
pub fn form() -> Form {
    FORM.get().copied().unwrap_or_default()
}

/// Sends events of at least `level` to stderr, for the rest of the process. `RUST_LOG`, where it is set and well-formed, wins over `level`.
///
/// # Errors
/// If events already go somewhere.
pub fn init(level: Level, form: Form) -> Result<(), TryInitError> {
    let from_env = EnvFilter::try_from_default_env().ok();
    let may_change = from_env.is_none();
    let filter = from_env.unwrap_or_else(|| EnvFilter::new(directives(level)));
    let in_colour = form == Form::Human && stderr().is_terminal();
    let events =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Lines { to: stderr(), in_colour }).with_ansi(in_colour);
    FORM.get_or_init(|| form);
    match form {
        Form::Human => {
            let events = events.with_target(false).with_filter_reloading();
            let handle = may_change.then(|| events.reload_handle());
            events.finish().try_init()?;
            handle.into_iter().for_each(keep);
        }
        Form::Json => {
            let events = events.json().flatten_event(true).with_filter_reloading();
            let handle = may_change.then(|| events.reload_handle());
            events.finish().try_init()?;
            handle.into_iter().for_each(keep);
        }
    }
    Ok(())
}

fn keep<S: 'static>(handle: Handle<EnvFilter, S>) {
    SET_FILTER.get_or_init(|| {
        Box::new(move |filter| {
            // It fails only where the subscriber is gone, with all events.
            let _ = handle.reload(filter);
        })
    });
}

/// From now on events of at least `level`, unless `RUST_LOG` decides.
pub fn set_level(level: Level) {
    if let Some(set) = SET_FILTER.get() {
        set(EnvFilter::new(directives(level)));
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
