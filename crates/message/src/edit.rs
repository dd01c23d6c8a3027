//! Changes that an operator makes to the fields of messages: `request = { set, remove, add }` and `response = { … }` of a route.
//!
//! 1. [`FieldEdits`] are read once: names, and values with places in them.
//! 2. [`FieldEdits::filled`] fills the places for one request; where there are none, that is done once for all.
//! 3. [`FilledEdits::apply`] changes a head.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::X_REQUEST_ID;

/// Changes to the fields of a message, in this order: some are removed, some replaced, some added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Fields that go.
    pub remove: Vec<HeaderName>,
    /// Fields in place of those of the same name. One whose value cannot be filled in is removed, so that nobody else's value stays there.
    pub set: Vec<(HeaderName, FieldText)>,
    /// Lines besides those of the same name. One that cannot be filled in is left out.
    pub add: Vec<(HeaderName, FieldText)>,
}

/// A field's value with places to be filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldText(pub Vec<FieldPart>);

/// One part of a field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldPart {
    /// Text as it stands; nothing in it that a field may not have.
    Literal(String),
    /// The client's address, as far as proxies are believed.
    ClientAddress,
    /// The name of the route.
    Route,
    /// The id of the request (`[server] request_id`).
    RequestId,
    /// The lines of this field of the client's request, joined.
    Header(HeaderName),
}

/// What places are filled with.
#[derive(Clone, Copy, Debug)]
pub struct FieldValues<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The name of the route.
    pub route: &'a str,
    /// The fields of the client's request, as it came.
    pub request: &'a HeaderMap,
}

/// Changes whose values are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilledEdits {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, Option<HeaderValue>)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl FieldEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// The names of fields whose values are replaced: what stands there is never the sender's.
    pub fn replaced(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().map(|(name, _)| name)
    }

    /// The names of fields that are removed.
    pub fn removed(&self) -> impl Iterator<Item = &HeaderName> {
        self.remove.iter()
    }

    /// The names of fields that get lines besides the sender's.
    pub fn added(&self) -> impl Iterator<Item = &HeaderName> {
        self.add.iter().map(|(name, _)| name)
    }

    /// All places in values.
    pub fn places(&self) -> impl Iterator<Item = &FieldPart> {
        self.set.iter().chain(&self.add).flat_map(|(_, text)| &text.0)
    }

    /// Whether values differ from request to request.
    pub fn depends_on_request(&self) -> bool {
        self.places().any(|part| matches!(part, FieldPart::ClientAddress | FieldPart::RequestId | FieldPart::Header(_)))
    }

    /// The changes for one request.
    pub fn filled(&self, values: FieldValues<'_>) -> FilledEdits {
        let set = self.set.iter().map(|(name, text)| (name.clone(), text.fill(values)));
        let add = self.add.iter().filter_map(|(name, text)| Some((name.clone(), text.fill(values)?)));
        FilledEdits { remove: self.remove.clone(), set: set.collect(), add: add.collect() }
    }
}

impl FieldText {
    /// `None` where a place has nothing to be filled with.
    fn fill(&self, values: FieldValues<'_>) -> Option<HeaderValue> {
        let mut filled = Vec::new();
        for part in &self.0 {
            let value: Cow<'_, [u8]> = match part {
                FieldPart::Literal(text) => Cow::Borrowed(text.as_bytes()),
                FieldPart::ClientAddress => Cow::Owned(values.client.to_canonical().to_string().into_bytes()),
                FieldPart::Route => Cow::Borrowed(values.route.as_bytes()),
                FieldPart::RequestId => Cow::Borrowed(values.request.get(&X_REQUEST_ID).map_or(&[][..], HeaderValue::as_bytes)),
                FieldPart::Header(name) => {
                    let lines: Vec<&[u8]> = values.request.get_all(name).iter().map(HeaderValue::as_bytes).collect();
                    Cow::Owned(lines.join(&b", "[..]))
                }
            };
            if value.is_empty() {
                return None;
            }
            filled.extend_from_slice(&value);
        }
        HeaderValue::from_bytes(&filled).ok()
    }
}

impl FilledEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes a head. A 304 tells only what is new about a stored response: where it `updates` one, a line is added only beside others of its
    /// name, since it would take the place of the stored ones otherwise.
    pub fn apply(&self, headers: &mut HeaderMap, updates: bool) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            match value {
                Some(value) => _ = headers.insert(name, value.clone()),
                None => _ = headers.remove(name),
            }
        }
        for (name, value) in &self.add {
            if !updates || headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &'static str) -> HeaderName {
        HeaderName::from_static(text)
    }

    fn literal(text: &str) -> FieldText {
        FieldText(vec![FieldPart::Literal(text.to_owned())])
    }

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        lines.iter().for_each(|(key, value)| _ = map.append(*key, HeaderValue::from_static(value)));
        map
    }

    fn edited(edits: &FieldEdits, lines: &[(&'static str, &'static str)], updates: bool) -> HeaderMap {
        let mut headers = map(lines);
        let filled =
            edits.filled(FieldValues { client: "::ffff:192.0.2.1".parse().expect("address"), route: "r", request: &headers.clone() });
        filled.apply(&mut headers, updates);
        headers
    }

    #[test]
    fn fields_are_removed_then_replaced_then_added() {
        let edits = FieldEdits {
            remove: vec![name("a"), name("b")],
            set: vec![(name("b"), literal("2")), (name("c"), literal("3"))],
            add: vec![(name("c"), literal("4")), (name("d"), literal("5"))],
        };
        let found = edited(&edits, &[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("e", "x")], false);
        assert_eq!(found, map(&[("b", "2"), ("c", "3"), ("c", "4"), ("d", "5"), ("e", "x")]));
    }

    #[test]
    fn a_place_that_cannot_be_filled_leaves_nobody_elses_value() {
        let text = |parts: &[FieldPart]| FieldText(parts.to_vec());
        let edits = FieldEdits {
            set: vec![
                (name("x-client"), text(&[FieldPart::ClientAddress])),
                (name("x-on"), text(&[FieldPart::Literal("on ".into()), FieldPart::Route])),
                (name("x-team"), text(&[FieldPart::Literal("team-".into()), FieldPart::Header(name("team"))])),
            ],
            add: vec![(name("x-more"), text(&[FieldPart::Header(name("team"))]))],
            ..FieldEdits::default()
        };
        let forged = [("x-client", "6.6.6.6"), ("x-team", "admin")];
        assert_eq!(edited(&edits, &forged, false), map(&[("x-client", "192.0.2.1"), ("x-on", "on r")]));
        let with = edited(&edits, &[("team", "a"), ("team", "b")], false);
        assert_eq!((with["x-team"].as_bytes(), with["x-more"].as_bytes()), (&b"team-a, b"[..], &b"a, b"[..]));
        assert!(edits.depends_on_request());
    }

    #[test]
    fn rfc9111_4_3_4_what_is_added_to_a_304_does_not_take_the_place_of_what_is_stored() {
        let edits = FieldEdits { add: vec![(name("link"), literal("2"))], set: vec![(name("x"), literal("1"))], ..FieldEdits::default() };
        assert_eq!(edited(&edits, &[], true), map(&[("x", "1")]));
        assert_eq!(edited(&edits, &[("link", "1")], true), map(&[("link", "1"), ("link", "2"), ("x", "1")]));
        assert!(!edits.depends_on_request());
    }
}
