//! `unsafe_ignore`: the protections that a route gives up.

use http::HeaderName;
use larder_semantics::{Policy, UnsafeIgnore};

use super::items;
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Table, choose};

/// What one table gives up.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignored {
    protections: UnsafeIgnore,
    vary: Vec<HeaderName>,
}

/// One item of the list.
enum Item {
    Protection(fn(&mut UnsafeIgnore)),
    Vary(HeaderName),
}

type Set = fn(&mut UnsafeIgnore);

const WORDS: [(&str, Set); 6] = [
    ("private", |ignore| ignore.private = true),
    ("no-store", |ignore| ignore.no_store = true),
    ("no-cache", |ignore| ignore.no_cache = true),
    ("pragma", |ignore| ignore.pragma = true),
    ("set-cookie", |ignore| ignore.set_cookie = true),
    ("authorization", |ignore| ignore.authorization = true),
];

const FORM: &str = "\"private\", \"no-store\", \"no-cache\", \"pragma\", \"set-cookie\", \"authorization\", \"vary:NAME\"";

impl Ignored {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let list = table.list("unsafe_ignore", FORM, item)?;
        if !list.get_ref().is_empty() {
            let mistake = Mistake::new("`unsafe_ignore` may hand one user's response to another");
            table.mistakes().warning(list.span(), mistake.hint("`scope = \"identity\"` keeps one response per user without this risk"));
        }
        let mut ignored = Self::default();
        for item in items(list) {
            match item {
                Item::Protection(give_up) => give_up(&mut ignored.protections),
                Item::Vary(name) => ignored.vary.push(name),
            }
        }
        Some(ignored)
    }

    pub(super) fn apply(&self, policy: &mut Policy) {
        policy.unsafe_ignore = self.protections;
        policy.ignore_vary.clone_from(&self.vary);
    }
}

fn item(text: &str) -> Result<Item, Mistake> {
    let Some(name) = text.strip_prefix("vary:") else { return choose("`unsafe_ignore`", text, &WORDS).map(Item::Protection) };
    let mistake = || Mistake::new(format!("`{name}` is not the name of a field")).hint("like \"vary:user-agent\", one field each");
    HeaderName::try_from(name).map(Item::Vary).map_err(|_| mistake())
}
