//! `key.name`, resolved for one route: which template counts, and what its places are there.

use http::HeaderName;
use toml::Spanned;

use super::Layer;
use crate::model::KeyNameTemplate;
use crate::parse::mistake::Mistakes;

/// The template of the most special layer that has one, for a route whose path has these captures, and whose key has these fields. `""` is none.
pub(crate) fn resolve(layers: &[&Layer], captures: &[String], fields: &[HeaderName], mistakes: &Mistakes) -> Option<KeyNameTemplate> {
    let name: &Spanned<String> = layers.iter().rev().find_map(|layer| layer.key.name.as_ref())?;
    if name.get_ref().is_empty() {
        return None;
    }
    match KeyNameTemplate::parse(name.get_ref(), captures, fields) {
        Ok(template) => Some(template),
        Err(mistake) => {
            mistakes.error(name.span(), mistake);
            None
        }
    }
}
