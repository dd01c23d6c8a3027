//! The build and the running configuration.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::snapshot::Snapshot;

pub(super) fn encode(snapshot: &Snapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let (build, config) = (&snapshot.build, &snapshot.config);
    let facts = [("version", build.version), ("arch", build.arch), ("os", build.os)];
    families.infos("build", "The build.", [facts])?;
    if let Some(hash) = &config.hash {
        families.infos(
            "config",
            "The running configuration: the hash of its text, the same on replicas that agree.",
            [[("hash", hash.as_str())]],
        )?;
    }
    let results = [([("result", "applied")], config.reloaded), ([("result", "refused")], config.refused)];
    families.counters("config_reloads", "Configurations that were read while running, by what became of them.", results)?;
    let help = "Whether the configuration that was read last is the running one.";
    families.gauge("config_last_reload_successful", help, None, &u64::from(config.last_successful))?;
    let help = "When the running configuration took effect, in seconds since 1970.";
    families.gauge("config_last_reload_success_timestamp", help, Some(&Unit::Seconds), &config.last_success_seconds)?;
    let places = snapshot.routes.iter().filter_map(|route| Some((route.name.as_str(), route.place.as_ref()?)));
    let facts = places.map(|(name, place)| {
        [("route", name), ("class", place.class.as_str()), ("upstream", place.upstream.as_str()), ("scope", place.scope)]
    });
    families.infos("route", "The routes of the running configuration, by which figures of routes add up to those of classes.", facts)
}
