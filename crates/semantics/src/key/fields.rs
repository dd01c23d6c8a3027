//! Request fields as a part of the key.

use http::{HeaderMap, HeaderName};

use super::push_value;

/// Appends ` #headers=` and the fields of these names, `x-branch=7;x-b=2`, each line by itself; nothing where the request has none of them.
pub(super) fn write(names: &[HeaderName], headers: &HeaderMap, text: &mut String) {
    let mut separator = super::HEADERS;
    for name in names {
        for value in headers.get_all(name) {
            text.push_str(separator);
            separator = ";";
            text.push_str(name.as_str());
            text.push('=');
            push_value(text, value.as_bytes());
        }
    }
}
