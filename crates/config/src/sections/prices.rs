//! `[prices]`: what tokens of models cost; and `[spending]`: how it is told what they have cost, and what stored answers have saved.

use crate::model::{Price, Prices, Spending};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::clients::quotas::time_zone;

pub(super) fn read(root: &mut Table<'_>) -> Prices {
    let mut prices = Vec::new();
    for (name, mut table) in root.named_tables("prices") {
        if name.get_ref().matches('*').count() > 1 {
            let mistake = Mistake::new(format!("`{}` is not a pattern for names of models", name.get_ref()));
            root.mistakes().error(name.span(), mistake.hint("a name, with one `*` for any text: \"gpt-4o*\""));
        }
        let price = Price { input: table.price("input").unwrap_or_default(), output: table.price("output").unwrap_or_default() };
        table.finish();
        prices.push(((*name.get_ref()).to_owned(), price));
    }
    Prices(prices)
}

/// `[spending]`.
pub(super) fn spending(root: &mut Table<'_>) -> Spending {
    let default = Spending::default();
    let Some(mut table) = root.table("spending") else { return default };
    let zone = time_zone(&mut table).unwrap_or(default.zone);
    let max_rows = table.integer("max_rows", 1_000..=100_000).and_then(|count| usize::try_from(count).ok());
    table.finish();
    Spending { zone, max_rows: max_rows.unwrap_or(default.max_rows) }
}
