//! `larder demo`: a sample REST backend that is slow on purpose, so that one sees what the cache saves, and requests to try.
//!
//! An issue tracker: lists, details, analytics, search, a page of one's own, a stream of events. Its data is made up, the same at every start,
//! and kept in memory; writes change it until the backend stops.

mod api;
mod data;
mod events;
mod guide;

use std::time::Duration;

use tokio::net::TcpListener;

pub use guide::guide;

/// The configuration that `larder demo` runs with; its upstream is [`BACKEND`].
pub const CONFIG: &str = include_str!("demo.toml");

/// Where [`CONFIG`] expects the backend. Replace it in the text if the backend listens elsewhere.
pub const BACKEND: &str = "127.0.0.1:3000";

/// Serves the sample backend on `listener` until the future is dropped.
///
/// # Errors
/// None today: connections that cannot be accepted are retried.
pub async fn backend(listener: TcpListener) -> std::io::Result<()> {
    axum::serve(listener, api::router(Pace::Slow)).await
}

/// How long answers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// As long as a database would make them.
    Slow,
    /// No time at all.
    #[cfg(test)]
    Instant,
}

impl Pace {
    async fn take(self, millis: u64) {
        match self {
            Self::Slow => tokio::time::sleep(Duration::from_millis(millis)).await,
            #[cfg(test)]
            Self::Instant => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    #[test]
    fn the_embedded_configuration_is_right_and_names_the_backend() {
        let (config, warnings) = parse("demo.toml", CONFIG.as_bytes(), &Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
        assert!(warnings.is_empty());
        assert_eq!(config.upstreams[0].servers[0].url.authority().as_str(), BACKEND);
        assert_eq!(CONFIG.matches(BACKEND).count(), 1);
    }
}
