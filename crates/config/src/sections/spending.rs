//! `[spending]`: how it is told what tokens of models have cost and what stored answers have saved.

use crate::model::Spending;
use crate::parse::reader::Table;
use crate::sections::clients::quotas::time_zone;

pub(super) fn read(root: &mut Table<'_>) -> Spending {
    let default = Spending::default();
    let Some(mut table) = root.table("spending") else { return default };
    let zone = time_zone(&mut table).unwrap_or(default.zone);
    let max_rows = table.integer("max_rows", 1_000..=100_000).and_then(|count| usize::try_from(count).ok());
    table.finish();
    Spending { zone, max_rows: max_rows.unwrap_or(default.max_rows) }
}
