//! A second reading of HTTP/1.1 messages (RFC 9112), written after the grammar and no more lenient than it: what the crates' readers accept has to be
//! the same to this one.

/// Field lines, with their names in lower case.
pub type Fields = Vec<(String, Vec<u8>)>;

/// A head: its first line, its fields, and its length in bytes.
pub struct Head {
    pub start: Vec<u8>,
    pub fields: Fields,
    pub length: usize,
}

/// Which line ends are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    Crlf,
    /// "a recipient MAY recognize a single LF as a line terminator" (§2.2).
    CrlfOrLf,
}

/// The head at the beginning of these bytes, behind any empty lines (§2.2).
pub fn head(bytes: &[u8], ends: LineEnds) -> Option<Head> {
    let (mut at, mut start) = (0, &b""[..]);
    while start.is_empty() {
        start = line(bytes, &mut at, ends)?;
    }
    let fields = fields(bytes, &mut at, ends)?;
    Some(Head { start: start.to_vec(), fields, length: at })
}

/// Chunked content (§7.1): its data, its trailer fields, and its length in bytes.
pub fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, Fields, usize)> {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let size = line(bytes, &mut at, LineEnds::Crlf)?;
        let digits = size.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = size[digits..].trim_ascii_start();
        if !(extension.is_empty() || extension[0] == b';') {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(&size[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            return Some((data, fields(bytes, &mut at, LineEnds::Crlf)?, at));
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(bytes.get(at..end)?);
        at = end;
        if !line(bytes, &mut at, LineEnds::Crlf)?.is_empty() {
            return None;
        }
    }
}

/// The values of a field.
pub fn values<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
}

/// Digits and nothing else (RFC 9110 §8.6).
pub fn length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

fn fields(bytes: &[u8], at: &mut usize, ends: LineEnds) -> Option<Fields> {
    let mut fields = Fields::new();
    loop {
        let line = line(bytes, at, ends)?;
        if line.is_empty() {
            return Some(fields);
        }
        let colon = line.iter().position(|&byte| byte == b':').filter(|&colon| line[..colon].iter().all(|&byte| is_token(byte)))?;
        let name = String::from_utf8(line[..colon].to_ascii_lowercase()).ok().filter(|name| !name.is_empty())?;
        fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
}

/// A line without its end. There is no CR and no other control character in it but a tab.
fn line<'a>(bytes: &'a [u8], at: &mut usize, ends: LineEnds) -> Option<&'a [u8]> {
    let rest = &bytes[*at..];
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    *at += end + 1;
    let line = match rest[..end].strip_suffix(b"\r") {
        Some(line) => line,
        None if ends == LineEnds::CrlfOrLf => &rest[..end],
        None => return None,
    };
    line.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control()).then_some(line)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
