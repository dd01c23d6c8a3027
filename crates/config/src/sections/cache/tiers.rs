//! `tiers`: which stores a route uses.

use toml::Spanned;

use crate::model::FarTier;
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;

const FORM: &str = "names of stores in quotes: \"memory\", \"disk\", \"redis\"";
const HINT: &str = "the nearest first: [\"memory\"], [\"memory\", \"disk\"], [\"memory\", \"redis\"] or [\"memory\", \"disk\", \"redis\"]";

/// A store of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Memory,
    Far(FarTier),
}

/// The stores behind the memory, in the one order that there is: where they lie, and not a route, says which is nearer.
pub(super) fn read(table: &mut Table<'_>) -> Option<Spanned<Vec<Spanned<FarTier>>>> {
    let mistakes = table.mistakes();
    let list = table.list("tiers", FORM, |text| match text {
        "memory" => Ok(Store::Memory),
        "disk" => Ok(Store::Far(FarTier::Disk)),
        "redis" => Ok(Store::Far(FarTier::Redis)),
        other => Err(Mistake::new(format!("there is no store `{other}`")).hint(HINT)),
    })?;
    let span = list.span();
    let stores = list.into_inner();
    let far = stores.iter().filter_map(|store| match store.get_ref() {
        Store::Memory => None,
        Store::Far(tier) => Some(Spanned::new(store.span(), *tier)),
    });
    let far: Vec<_> = far.collect();
    let is_ordered = far.windows(2).all(|pair| pair[0].get_ref() < pair[1].get_ref());
    let begins_with_memory = stores.first().is_some_and(|first| *first.get_ref() == Store::Memory);
    if begins_with_memory && is_ordered && far.len() + 1 == stores.len() {
        return Some(Spanned::new(span, far));
    }
    mistakes.error(span, Mistake::new("`tiers` begins with \"memory\", and names each store once in its order").hint(HINT));
    None
}

/// A store that there is not is left out: the same file may be for gateways with it and without.
pub(crate) fn warn_of_missing(tiers: &[Spanned<FarTier>], has: impl Fn(FarTier) -> bool, mistakes: &Mistakes) {
    for tier in tiers.iter().filter(|tier| !has(*tier.get_ref())) {
        let name = tier.get_ref().as_str();
        let mistake = Mistake::new(format!("there is no [store.{name}]"));
        mistakes.warning(tier.span(), mistake.hint("the routes go on without it; leave the name out, or configure the store"));
    }
}
