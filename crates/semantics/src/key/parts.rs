//! A key taken apart again, for people who read it.

/// The parts of a primary key, as they stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyParts<'k> {
    /// `v1`.
    pub version: &'k str,
    /// The namespace.
    pub namespace: &'k str,
    /// `GET`: answers to HEAD are made of it too.
    pub method: &'k str,
    /// The URL.
    pub url: &'k str,
    /// What stands behind it: `cookies`, `identity`, each with its text.
    pub others: Vec<(&'k str, &'k str)>,
}

impl<'k> KeyParts<'k> {
    /// Of a key with this text; `None` where no rules write such a key.
    pub fn of(key: &'k str) -> Option<Self> {
        let mut fields = key.splitn(4, ':');
        let (version, namespace, method, rest) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_version = version.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
        let mut parts = rest.split(" #");
        let url = parts.next().filter(|url| is_version && url.contains("://"))?;
        let others = parts.map(|part| part.split_once('=')).collect::<Option<_>>()?;
        Some(Self { version, namespace, method, url, others })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::super::{IdentityPart, KeyBuffer, KeyRules, Target};
    use super::*;

    #[test]
    fn a_key_is_taken_apart_as_it_was_put_together() {
        let mut rules = KeyRules { identity: vec![IdentityPart::Header(http::header::AUTHORIZATION)], ..KeyRules::default() };
        rules.cookies.key = vec!["lang".to_owned()];
        let mut headers = HeaderMap::new();
        headers.insert(http::header::COOKIE, HeaderValue::from_static("lang=de"));
        headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        let mut key = KeyBuffer::default();
        let target = Target { scheme: "http", authority: "[::1]:8080", path: "/a", query: Some("b=c:d") };
        rules.derive(target, &headers, &mut key);
        let parts = KeyParts::of(key.text()).expect("a key");
        assert_eq!((parts.version, parts.namespace, parts.method, parts.url), ("v1", "default", "GET", key.url()));
        assert_eq!((parts.others[0], parts.others[1].0, parts.others.len()), (("cookies", "lang=de"), "identity", 2));
    }

    #[test]
    fn what_is_no_key_has_no_parts() {
        for text in ["", "v1", "v1:default:GET", "x:default:GET:http://a/", "v1:default:GET:/a", "http://a.example/b"] {
            assert_eq!(KeyParts::of(text), None, "{text}");
        }
    }
}
