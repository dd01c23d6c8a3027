//! `read`, `max_key_body` and the body's part of `key`: requests with content that are answered from the cache.

use std::ops::Range;

use http::Method;
use larder_semantics::content::{ContentKind, ContentRules, Pointer};
use toml::Spanned;

use super::advice::Chain;
use super::{Layer, items};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::{DURATION, Table};
use crate::parse::units;

/// What one table says; `None` is "not here".
#[derive(Clone, Debug, Default)]
pub(super) struct ContentLayer {
    read: Option<Spanned<bool>>,
    max_length: Option<Spanned<u64>>,
    rpc: Option<Spanned<Vec<(String, u32)>>>,
    keeps_errors: Option<Spanned<bool>>,
}

/// The largest `max_key_body`: the content is held in memory while its request is under way.
const MAX_LENGTH: u64 = 64 << 20;

impl ContentLayer {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            read: table.boolean_at("read"),
            max_length: table.bytes("max_key_body", 1..=MAX_LENGTH),
            rpc: table.named_strings("rpc", DURATION, method, units::seconds),
            keeps_errors: table.one_of("errors", &[("pass", false), ("store", true)]),
        }
    }
}

/// The name of a method, with one `*` for any text.
fn method(text: &str) -> Result<String, Mistake> {
    let is_name = !text.is_empty() && text.matches('*').count() <= 1 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(Mistake::new(format!("`{text}` is not the name of a method")).hint("like \"eth_chainId\" or \"eth_get*\""))
    }
}

/// The rules that come of a chain of layers, the most general first.
pub(super) fn resolve(layers: &[&Layer]) -> Option<ContentRules> {
    fn last<'a, T: 'a>(layers: &[&'a Layer], said: impl Fn(&'a Layer) -> Option<&'a T>) -> Option<&'a T> {
        layers.iter().rev().find_map(|layer| said(layer))
    }
    let mut rules = ContentRules::new((*last(layers, |layer| layer.key.body.as_ref())?.get_ref())?);
    rules.post = last(layers, |layer| layer.content.read.as_ref()).is_some_and(|read| *read.get_ref());
    if let Some(drop) = last(layers, |layer| layer.key.drop.as_ref()) {
        rules.drop = items(drop.clone());
    }
    rules.only = last(layers, |layer| layer.key.only.as_ref()).map(|only| items(only.clone())).unwrap_or_default();
    if let Some(length) = last(layers, |layer| layer.content.max_length.as_ref()) {
        rules.max_length = usize::try_from(*length.get_ref()).unwrap_or(ContentRules::MAX_LENGTH);
    }
    rules.rpc.lifetimes = last(layers, |layer| layer.content.rpc.as_ref()).map(|rpc| rpc.get_ref().clone()).unwrap_or_default();
    rules.keeps_errors = last(layers, |layer| layer.content.keeps_errors.as_ref()).is_some_and(|keeps| *keeps.get_ref());
    Some(rules)
}

/// Looks at a layer that some of the chains have: what none of them has a use for was meant otherwise.
pub(super) fn look_at_layer(layer: &Layer, kinds: &[ContentKind], mistakes: &Mistakes) {
    let unused = |span: Option<Range<usize>>, kind: ContentKind| {
        if let Some(span) = span.filter(|_| !kinds.contains(&kind)) {
            let mistake = Mistake::new(format!("this counts with key = {{ body = \"{}\" }} only", kind.as_str()));
            mistakes.warning(span, mistake.hint("add that, or leave it out"));
        }
    };
    unused(layer.content.rpc.as_ref().filter(|rpc| !rpc.get_ref().is_empty()).map(Spanned::span), ContentKind::JsonRpc);
    unused(layer.content.keeps_errors.as_ref().filter(|keeps| *keeps.get_ref()).map(Spanned::span), ContentKind::GraphQl);
    if !kinds.is_empty() {
        return;
    }
    if let Some(read) = layer.content.read.as_ref().filter(|read| *read.get_ref()) {
        let mistake = Mistake::new("`read = true` without a body in the key would answer every POST with the same");
        mistakes.error(read.span(), mistake.hint("add key = { body = \"json\" }, or \"bytes\" for any kind"));
    }
    let parts = layer.key.drop.iter().chain(&layer.key.only).filter(|parts| !parts.get_ref().is_empty()).map(Spanned::span);
    let length = layer.content.max_length.iter().filter(|length| *length.get_ref() != ContentRules::MAX_LENGTH as u64).map(Spanned::span);
    let unused = parts.chain(length);
    for span in unused {
        mistakes
            .warning(span, Mistake::new("this counts with a body in the key only").hint("add key = { body = \"json\" }, or leave it out"));
    }
}

/// What comes to nothing, or to too much.
pub(super) fn look_at(chain: &Chain<'_>, mistakes: &Mistakes) {
    let (Some(own), Some(rules)) = (chain.layers.last(), &chain.settings.content) else { return };
    if let Some(read) = own.content.read.as_ref().filter(|read| *read.get_ref())
        && chain.methods.is_some_and(|methods| !methods.contains(&Method::POST))
    {
        let mistake = Mistake::new("`read = true` is about POST, which this route does not take");
        mistakes.error(read.span(), mistake.hint("add \"POST\" to `methods`, or leave `read` out: QUERY needs it not"));
    }
    if let Some(body) = own.key.body.as_ref()
        && !rules.post
        && chain.methods.is_some_and(|methods| methods.iter().all(|method| method.as_str() != "QUERY"))
    {
        let mistake = Mistake::new("a body in the key counts for QUERY, and for POST with `read = true`");
        mistakes.warning(body.span(), mistake.hint("add read = true if POST only reads here"));
    }
    if rules.kind == ContentKind::Bytes
        && let Some(parts) = own.key.drop.as_ref().or(own.key.only.as_ref()).filter(|parts| !parts.get_ref().is_empty())
    {
        let mistake = Mistake::new("a body of bytes has no parts");
        mistakes.error(parts.span(), mistake.hint("write body = \"json\" or \"form\", or leave `drop` and `only` out"));
    }
    if rules.kind == ContentKind::Form
        && let Some((span, pointer)) = nested_field(chain, rules)
    {
        let mistake = Mistake::new(format!("a form has fields alone, and `/{}` is a member of a member", pointer.tokens().join("/")));
        mistakes.error(span, mistake.hint("name a field of the form, like \"/name\"; or write body = \"json\""));
    }
    if let Some(body) = own.key.body.as_ref().filter(|_| rules.kind.is_model() && chain.settings.policy.longest_ttl() == 0) {
        let mistake = Mistake::new("without a `ttl` no answer of a model is kept: their providers name no lifetime");
        mistakes.warning(body.span(), mistake.hint("add ttl = \"24h\""));
    }
    if let Some(body) = own.key.body.as_ref()
        && rules.kind == ContentKind::JsonRpc
        && !rules.rpc.others
        && rules.rpc.lifetimes.iter().all(|(_, ttl)| *ttl == 0)
    {
        let mistake = Mistake::new("no method has a lifetime, so none is answered from the cache");
        mistakes
            .warning(body.span(), mistake.hint("add rpc = { eth_chainId = \"24h\" }, or a `ttl` for all methods that `rpc` does not name"));
    }
    if let Some(length) = own.content.max_length.as_ref()
        && chain.settings.max_request_body.is_some_and(|max| max < *length.get_ref())
    {
        let mistake = Mistake::new(format!(
            "`max_key_body` is longer than `max_request_body`, {}",
            units::display_bytes(chain.settings.max_request_body.unwrap_or_default())
        ));
        mistakes.warning(length.span(), mistake.hint("longer bodies are answered with 413 before they have a key"));
    }
}

/// A part that no field of a form has: in `only` alone, it would leave every form with the same key. It stands where the nearest layer says it, or
/// makes a form of what others say: for a route often its class.
fn nested_field<'r>(chain: &Chain<'_>, rules: &'r ContentRules) -> Option<(Range<usize>, &'r Pointer)> {
    let nested = rules.drop.iter().chain(&rules.only).find(|pointer| pointer.tokens().len() > 1)?;
    let place = |layer: &&Layer| {
        let mut said = layer.key.drop.iter().chain(&layer.key.only).flat_map(|parts| parts.get_ref());
        let said = said.find(|pointer| pointer.get_ref() == nested).map(Spanned::span);
        said.or_else(|| layer.key.body.as_ref().map(Spanned::span))
    };
    chain.layers.iter().rev().find_map(place).map(|span| (span, nested))
}
