//! Operations on a tier.

use std::fmt;

use super::families::Families;
use crate::snapshot::OperationSnapshot;

/// The names and the help of the two families of a tier.
pub(super) struct Names {
    pub(super) duration: (&'static str, &'static str),
    pub(super) errors: (&'static str, &'static str),
}

pub(super) fn encode(operations: &[OperationSnapshot], names: &Names, families: &mut Families<'_, '_>) -> fmt::Result {
    let latencies = operations.iter().map(|operation| ([("operation", operation.operation)], &operation.latency));
    families.histograms(names.duration.0, names.duration.1, latencies)?;
    let errors = operations.iter().flat_map(|operation| {
        let name = operation.operation;
        operation.errors.iter().map(move |error| ([("operation", name), ("error", error.label)], error.count))
    });
    families.counters(names.errors.0, names.errors.1, errors)
}
