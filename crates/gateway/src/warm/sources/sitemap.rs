//! A sitemap (sitemaps.org), or an index of sitemaps, compressed or not.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, Uri};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Enough, Finder, MAX_LIST};

/// Sitemaps that are read at most: as many as an index may name.
const MAX_SITEMAPS: usize = 50_000;

/// The first bytes of what gzip made (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The addresses in one file.
#[derive(Debug, PartialEq, Eq)]
enum Listed {
    Pages(Vec<String>),
    Sitemaps(Vec<String>),
}

/// Hands on the pages of a sitemap, and of those that it names.
pub(super) async fn find(finder: &mut Finder, sitemap: &Uri) -> Result<(), Enough> {
    let (mut left, mut seen, mut is_empty) = (VecDeque::from([sitemap.clone()]), HashSet::from([sitemap.clone()]), true);
    while let Some(url) = left.pop_front() {
        let Some((_, body)) = finder.answer(&url).await else { continue };
        let listed = unpacked(body).and_then(|text| read(&text));
        match listed {
            None => finder.job.found_wrong("sitemap-unreadable"),
            Some(Listed::Pages(pages)) => {
                for page in pages {
                    is_empty = false;
                    finder.named(&page).await?;
                }
            }
            Some(Listed::Sitemaps(sitemaps)) => {
                is_empty = false;
                for text in sitemaps {
                    match finder.job.config.base.url(&text) {
                        Some(url) if seen.len() < MAX_SITEMAPS && seen.insert(url.clone()) => left.push_back(url),
                        Some(_) => {}
                        None => finder.job.found_wrong("no-url"),
                    }
                }
            }
        }
    }
    if is_empty {
        finder.job.found_odd("list-empty");
    }
    Ok(())
}

/// A file that was packed by itself, as `sitemap.xml.gz`, and not for its way.
fn unpacked(body: Bytes) -> Option<Bytes> {
    if !body.starts_with(&GZIP) {
        return Some(body);
    }
    let gzip: HeaderMap = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))].into_iter().collect();
    larder_coding::decoded(&gzip, &body, MAX_LIST).map(Bytes::from)
}

/// The addresses of a file; `None` where it is neither a sitemap nor an index. Those of images and the like, which stand deeper, are left out.
fn read(text: &[u8]) -> Option<Listed> {
    // "The Sitemap file must be UTF-8 encoded."
    let mut reader = Reader::from_str(std::str::from_utf8(text).ok()?);
    let (mut path, mut addresses, mut address, mut is_index) = (Vec::<Box<str>>::new(), Vec::new(), String::new(), None);
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                let name = tag.local_name().into_inner();
                match (path.is_empty(), name) {
                    (true, "urlset") => is_index = Some(false),
                    (true, "sitemapindex") => is_index = Some(true),
                    (true, _) => return None,
                    (false, _) => {}
                }
                path.push(name.into());
                address.clear();
            }
            Event::Text(part) if is_address(&path) => address.push_str(&part),
            Event::CData(part) if is_address(&path) => address.push_str(&part),
            Event::GeneralRef(reference) if is_address(&path) => address.push_str(&character(&reference)?),
            Event::End(_) => {
                if is_address(&path) && !address.trim().is_empty() {
                    addresses.push(address.trim().to_owned());
                }
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    // A file that was cut has tags that do not end.
    let is_index = is_index.filter(|_| path.is_empty())?;
    Some(if is_index { Listed::Sitemaps(addresses) } else { Listed::Pages(addresses) })
}

fn is_address(path: &[Box<str>]) -> bool {
    path.len() == 3 && path.last().is_some_and(|name| &**name == "loc")
}

/// What a reference stands for: those that XML itself knows, and characters by number.
fn character(reference: &quick_xml::events::BytesRef<'_>) -> Option<String> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character.to_string());
    }
    quick_xml::escape::resolve_xml_entity(reference).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(text: &str) -> Option<Vec<String>> {
        match read(text.as_bytes())? {
            Listed::Pages(pages) => Some(pages),
            Listed::Sitemaps(_) => None,
        }
    }

    #[test]
    fn pages_and_sitemaps_are_told_apart_and_their_addresses_read() {
        let sitemap = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n\
                       <!-- <url><loc>no</loc></url> -->\n<url><loc> http://a.example/?a=1&amp;b=&#50; </loc><lastmod>2026-01-01</lastmod></url>\n\
                       <url><loc><![CDATA[http://a.example/c?d&e]]></loc><image:image><image:loc>http://a.example/i</image:loc></image:image></url>\n\
                       </urlset>";
        assert_eq!(pages(sitemap), Some(vec!["http://a.example/?a=1&b=2".to_owned(), "http://a.example/c?d&e".to_owned()]));
        let index = "<s:sitemapindex xmlns:s=\"x\"><s:sitemap><s:loc>http://a.example/1.xml.gz</s:loc></s:sitemap></s:sitemapindex>";
        assert_eq!(read(index.as_bytes()), Some(Listed::Sitemaps(vec!["http://a.example/1.xml.gz".to_owned()])));
        assert_eq!(pages("<urlset></urlset>"), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_sitemap_is_none_and_bombs_are_not_unpacked() {
        for text in [
            "",
            "{}",
            "<!doctype html><html><body><loc>x</loc></body></html>",
            "<urlset><url><loc>http://a.example/",
            "<urlset><url><loc>a</url></urlset>",
            "<!DOCTYPE u [<!ENTITY a \"aaaa\">]><urlset><url><loc>&a;</loc></url></urlset>",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(unpacked(Bytes::from_static(&[0x1f, 0x8b, 8, 0])), None, "it is cut");
        assert_eq!(unpacked(Bytes::from_static(b"<a/>")).as_deref(), Some(&b"<a/>"[..]));
    }
}
