//! The query of a key, and the bypass parameter.

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;
use smallvec::SmallVec;

use super::{QueryRules, push_escaped};
use crate::pattern::matches_pattern;

impl QueryRules {
    /// Appends `?` and what is left of `query`; nothing where nothing is left of a query that had something.
    /// Tells whether that was all of it, as it stood.
    pub(super) fn write(&self, query: &str, text: &mut String) -> bool {
        if self.leaves_alone(query) {
            text.push('?');
            text.push_str(query);
            return true;
        }
        let kept = parameters(query).filter(|parameter| !self.dropped(parameter));
        if !self.sort {
            write_parameters(kept, text);
            return false;
        }
        let mut parameters: SmallVec<[&str; 16]> = kept.collect();
        // Stable: repeated names keep their order. Those that are repeated in another spelling would not, so then the order stays as it is.
        if !repeats_in_disguise(&parameters) {
            parameters.sort_by(|one, other| name_of(one).cmp(name_of(other)));
        }
        write_parameters(parameters.into_iter(), text);
        false
    }

    /// Whether `query` is in order, loses nothing and needs no escapes, as most do. Looks at each byte once.
    fn leaves_alone(&self, query: &str) -> bool {
        let (mut before, mut start, mut name_end) = ("", 0, None);
        for (index, &byte) in query.as_bytes().iter().enumerate() {
            // Letters are past all that matters, and most of what there is.
            if byte >= b'?' {
                continue;
            }
            match byte {
                b'&' => {
                    let name = &query[start..name_end.unwrap_or(index)];
                    if !self.keeps_in_place(before, name, &query[start..index]) {
                        return false;
                    }
                    (before, start, name_end) = (name, index + 1, None);
                }
                b'=' if name_end.is_none() => name_end = Some(index),
                b' ' | b'#' => return false,
                _ => {}
            }
        }
        self.keeps_in_place(before, &query[start..name_end.unwrap_or(query.len())], &query[start..])
    }

    fn keeps_in_place(&self, before: &str, name: &str, parameter: &str) -> bool {
        (!self.sort || before <= name) && !self.drops(parameter, name)
    }

    fn dropped(&self, parameter: &str) -> bool {
        self.drops(parameter, name_of(parameter))
    }

    /// Whether a parameter is no part of the key at all.
    fn is_left_out(&self, parameter: &str) -> bool {
        self.dropped(parameter) && !self.secret.iter().any(|secret| secret == name_of(parameter))
    }

    fn drops(&self, parameter: &str, name: &str) -> bool {
        self.bypass.as_deref() == Some(name)
            || self.secret.iter().any(|secret| secret == name)
            || (self.drop_empty && (parameter.is_empty() || (parameter.len() == name.len() + 1 && parameter.ends_with('='))))
            || (self.drop.iter().any(|pattern| matches_pattern(pattern, name.as_bytes())) && !hides_another(parameter))
    }

    /// Whether the bypass parameter of `query` is set: there, and its value is neither `false` nor `0` nor `no` nor `off`.
    pub fn is_bypassed(&self, query: Option<&str>) -> bool {
        let (Some(bypass), Some(query)) = (self.bypass.as_deref(), query) else { return false };
        parameters(query).filter(|parameter| name_of(parameter) == bypass).any(|parameter| {
            let value = parameter.get(bypass.len() + 1..).unwrap_or_default();
            !["false", "0", "no", "off"].iter().any(|word| value.eq_ignore_ascii_case(word))
        })
    }

    /// The parameters of a query that the key leaves out, as they were sent.
    pub fn left_out<'q>(&self, query: Option<&'q str>) -> Vec<&'q str> {
        query.map(|query| parameters(query).filter(|parameter| self.is_left_out(parameter)).collect()).unwrap_or_default()
    }

    /// The URI on its way upstream: without the bypass parameter, and every other byte as sent. `None` where there is nothing to remove.
    pub fn without_bypass(&self, uri: &Uri) -> Option<Uri> {
        without(uri, |parameter| self.bypass.as_deref() == Some(name_of(parameter)))
    }

    /// As [`Self::without_bypass`], for a request whose answer may be stored: without anything that the key leaves out.
    pub fn as_in_key(&self, uri: &Uri) -> Option<Uri> {
        if self.send_dropped { self.without_bypass(uri) } else { without(uri, |parameter| self.is_left_out(parameter)) }
    }

    /// Whether an answer may be made of parameters that the key leaves out, since they went up.
    pub fn went_up_unkeyed(&self, query: Option<&str>) -> bool {
        let unkeyed = |parameter: &str| self.is_left_out(parameter) && self.bypass.as_deref() != Some(name_of(parameter));
        !self.send_dropped && query.is_some_and(|query| parameters(query).any(unkeyed))
    }
}

/// The values of all parameters of a name, as they were sent.
pub(super) fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = &'q str> {
    parameters(query)
        .filter(move |parameter| name_of(parameter) == name)
        .map(move |parameter| parameter.get(name.len() + 1..).unwrap_or_default())
}

/// The URI without those parameters; `None` where it has none of them.
fn without(uri: &Uri, leaves_out: impl Fn(&str) -> bool) -> Option<Uri> {
    let path_and_query = uri.path_and_query()?.as_str();
    let (path, query) = path_and_query.split_once('?')?;
    if !parameters(query).any(&leaves_out) {
        return None;
    }
    let mut text = String::with_capacity(path_and_query.len());
    text.push_str(path);
    let mut separator = '?';
    for parameter in parameters(query).filter(|parameter| !leaves_out(parameter)) {
        text.push(separator);
        text.push_str(parameter);
        separator = '&';
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(text)).ok()?);
    Uri::from_parts(parts).ok()
}

/// The parameters between the `&`s. Parameters are short: looking at byte after byte is faster than a search made for long texts.
fn parameters(query: &str) -> impl Iterator<Item = &str> + Clone {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.bytes().position(|byte| byte == b'&');
        rest = end.map(|end| &text[end + 1..]);
        Some(end.map_or(text, |end| &text[..end]))
    })
}

fn name_of(parameter: &str) -> &str {
    parameter.bytes().position(|byte| byte == b'=').map_or(parameter, |equals| &parameter[..equals])
}

/// Whether an origin may see other parameters in this one: `;` parts them too, to some. Dropped with it, they would answer for requests without.
fn hides_another(parameter: &str) -> bool {
    parameter.contains(';')
}

/// Whether two names are one to an origin that decodes them, or may be, where parameters hold others.
fn repeats_in_disguise(parameters: &[&str]) -> bool {
    if parameters.iter().any(|parameter| hides_another(parameter)) {
        return true;
    }
    if !parameters.iter().any(|parameter| name_of(parameter).contains(['%', '+'])) {
        return false;
    }
    let mut names: Vec<(Vec<u8>, &str)> = parameters.iter().map(|parameter| (decoded(name_of(parameter)), name_of(parameter))).collect();
    names.sort_unstable();
    names.windows(2).any(|two| two[0].0 == two[1].0 && two[0].1 != two[1].1)
}

/// As forms are decoded (`+` is a space).
fn decoded(name: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let (bytes, mut index) = (name.as_bytes(), 0);
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some(&byte) = bytes.get(index) {
        match (byte, digit(bytes.get(index + 1)), digit(bytes.get(index + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                index += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        index += 1;
    }
    decoded
}

fn write_parameters<'a>(parameters: impl Iterator<Item = &'a str>, text: &mut String) {
    let mut separator = '?';
    for parameter in parameters {
        text.push(separator);
        push_escaped(text, parameter, b" #");
        separator = '&';
    }
}
