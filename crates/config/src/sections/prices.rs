//! `[prices]`: what tokens of models cost.

use crate::model::{Price, Prices};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;

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
