//! `larder-usage-saved`: the tokens that a stored answer of a model did not cost again.

use http::{HeaderName, HeaderValue};

use super::{Judged, Usage};

/// The field, in stored answers only: `10;in=8;out=2;model="gpt-4o"` (an Item of RFC 9651).
pub const USAGE_SAVED: HeaderName = HeaderName::from_static("larder-usage-saved");

/// Bytes of the longest name of a model that is told.
const MAX_NAME: usize = 100;

/// The name of a model, if it is one that can be counted and told under: many backends repeat the name in the request, so a client could make it of any
/// length, and of anything.
pub fn plain_name(name: &str) -> Option<&str> {
    let is_plain = name.len() <= MAX_NAME && name.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte));
    is_plain.then_some(name)
}

/// What a stored answer tells of its cost; `None` where that is not known.
pub fn saved_field(judged: &Judged) -> Option<HeaderValue> {
    let usage = judged.usage?;
    let mut text = format!("{};in={};out={}", usage.total(), usage.input, usage.output);
    if let Some(name) = judged.model.as_deref().and_then(plain_name) {
        text.push_str(&format!(";model=\"{name}\""));
    }
    HeaderValue::try_from(text).ok()
}

/// The cost that a stored answer tells, and the name of its model; `None` where that is not what [`saved_field`] writes.
pub fn read_saved(field: &HeaderValue) -> Option<(Usage, Option<&str>)> {
    let (_, rest) = field.to_str().ok()?.split_once(";in=")?;
    let (input, rest) = rest.split_once(";out=")?;
    let (output, name) = rest.split_once(";model=\"").map_or((rest, None), |(output, name)| (output, name.strip_suffix('"')));
    Some((Usage { input: input.parse().ok()?, output: output.parse().ok()? }, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_be_read() {
        for (model, text) in [
            (Some("gpt-4o"), "10;in=8;out=2;model=\"gpt-4o\""),
            (None, "10;in=8;out=2"),
            (Some("a\"b"), "10;in=8;out=2"),
            (Some("ä"), "10;in=8;out=2"),
        ] {
            let usage = Usage { input: 8, output: 2 };
            let field = saved_field(&Judged { is_fit: true, usage: Some(usage), model: model.map(str::to_owned) }).expect("a field");
            assert_eq!(field, text);
            assert_eq!(read_saved(&field), Some((usage, model.filter(|name| text.contains(*name)))));
        }
        assert_eq!(saved_field(&Judged::default()), None);
        assert_eq!(read_saved(&HeaderValue::from_static("10")), None);
    }
}
