//! Targets of `larder-config`: the text of a configuration file.

use larder_config::{Overrides, parse};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("config", config)];

/// Any bytes as a file. Reading them ends with data and warnings, or with a report of errors, and both can be shown; the same bytes read the
/// same way again, which is what a reload relies on.
pub fn config(data: &[u8]) {
    let read = || parse("config.toml", data, &Overrides::default());
    match (read(), read()) {
        (Ok((config, warnings)), Ok((again, _))) => {
            assert_eq!(warnings.errors(), 0, "{warnings}");
            assert!(!config.upstreams.is_empty() && config.routes.iter().all(|route| route.upstream < config.upstreams.len()));
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            assert_eq!(warnings.lines().count(), warnings.warnings());
            let _ = (warnings.render(false), warnings.render(true));
        }
        (Err(report), Err(again)) => {
            assert!(report.errors() > 0);
            assert_eq!(report.lines().count(), report.errors() + report.warnings());
            assert_eq!(report.render(false), again.render(false));
            let _ = report.render(true);
        }
        _ => panic!("read in two ways"),
    }
}
