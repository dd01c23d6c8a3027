//! The values of facts, as JSON and as text.

use std::borrow::Cow;
use std::net::IpAddr;

use larder_semantics::Timestamp;
use serde::Serialize as _;

use super::layout::Style;
use super::put;
use crate::one_line::OneLine;

/// A fact about a request.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// There is none.
    None,
    Number(u64),
    Bool(bool),
    Time(Timestamp),
    Address(IpAddr),
    /// Text of others, or of Larder.
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// Text, where there is some.
    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::None, |text| Self::Text(text.into()))
    }

    /// A number, where there is one.
    pub(super) fn number(number: Option<u64>) -> Self {
        number.map_or(Self::None, Self::Number)
    }

    /// Appends it. Whatever a text has in it, it stays within its place and on its line.
    pub(super) fn put(&self, style: Style, out: &mut Vec<u8>) {
        match (self, style) {
            (Self::None, Style::Json) => out.extend_from_slice(b"null"),
            (Self::None, Style::Text) => out.push(b'-'),
            (Self::Number(number), _) => put::number(*number, out),
            (Self::Bool(value), _) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            (Self::Time(time), Style::Text) => put::rfc3339(*time, out),
            (Self::Address(address), Style::Text) => put::address(*address, out),
            (Self::Text(text), Style::Text) => put::escaped(text, out),
            (Self::Time(time), Style::Json) => quoted(out, |out| put::rfc3339(*time, out)),
            (Self::Address(address), Style::Json) => quoted(out, |out| put::address(*address, out)),
            (Self::Text(text), Style::Json) if put::is_plain(text) => {
                quoted(out, |out| out.extend_from_slice(text.as_bytes()));
            }
            (Self::Text(text), Style::Json) => {
                // Neither a `str` nor a `Vec` can fail.
                let _infallible = text.serialize(&mut serde_json::Serializer::with_formatter(out, OneLine::default()));
            }
        }
    }
}

fn quoted(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    put(out);
    out.push(b'"');
}
