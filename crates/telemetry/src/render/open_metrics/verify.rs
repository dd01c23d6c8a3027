//! Whether what is served is what origins would say.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::snapshot::VerifySnapshot;

pub(super) fn encode(routes: &[VerifySnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    if routes.is_empty() {
        return Ok(());
    }
    let hits = routes
        .iter()
        .flat_map(|route| route.hits.iter().map(|counted| ([("route", route.route.as_str()), ("outcome", counted.label)], counted.count)));
    families.counters("verify_hits", "Hits that were compared with what the origin says, by what came of it.", hits)?;
    let safe = routes.iter().filter_map(|route| Some(([("route", route.route.as_str())], f64::from(route.safe_lifetime?))));
    let help = "The least age at which an answer was found to have changed: a shorter lifetime would have been safe.";
    families.gauges("verify_safe_lifetime", help, Some(&Unit::Seconds), safe)?;
    let stopped = routes.iter().map(|route| ([("route", route.route.as_str())], u64::from(route.stopped)));
    families.gauges("verify_stopped", "1 for a route that is not cached, since its answers depend on who asks.", None, stopped)
}
