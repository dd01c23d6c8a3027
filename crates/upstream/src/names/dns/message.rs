//! DNS messages (RFC 1035 §4): questions written, answers read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name, with the lengths of its labels (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
const HEADER: usize = 12;
/// CNAMEs that are followed from the name that was asked for.
const MAX_ALIASES: usize = 8;
/// What fits into a packet everywhere (DNS Flag Day 2020).
pub(crate) const UDP_SIZE: u16 = 1232;
const CLASS_IN: u16 = 1;
const OPT: u16 = 41;

/// A kind of record that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
        }
    }
}

const CNAME: u16 = 5;

/// A record that answers the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// An address of the name.
    Address(IpAddr),
    /// A server of the service.
    Service { priority: u16, weight: u16, port: u16, target: String },
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// RFC 1035 §4.1.1: 0 for no error, 3 for no such name.
    pub(crate) code: u8,
    /// It is too long for UDP.
    pub(crate) is_truncated: bool,
    pub(crate) records: Vec<Record>,
}

/// A question for these records of a name. `None` where it is no name.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 17);
    message.extend(id.to_be_bytes());
    // Recursion is desired. One question, and one record that says how long an answer may be (RFC 6891).
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=MAX_LABEL).contains(&usize::from(*length)))?;
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    if message.len() - HEADER > MAX_NAME {
        return None;
    }
    message.extend(kind.code().to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    message.push(0);
    message.extend(OPT.to_be_bytes());
    message.extend(UDP_SIZE.to_be_bytes());
    message.extend([0; 6]);
    Some(message)
}

/// The answer to the question that this was. `None` where the bytes are none: anybody may send some.
pub(crate) fn answer(question: &[u8], message: &[u8], kind: Kind) -> Option<Answer> {
    let asked = question.get(..HEADER)?;
    let head = message.get(..HEADER)?;
    let (flags, code) = (head[2], head[3] & 0x0F);
    // A response to a standard query, with the same id and the one question.
    if head[..2] != asked[..2] || flags & 0xF8 != 0x80 || head[4..6] != [0, 1] {
        return None;
    }
    let mut reader = Reader { message, at: HEADER };
    let (name, of) = (reader.name()?, Reader { message: question, at: HEADER }.name()?);
    if name != of || reader.number()? != kind.code() || reader.number()? != CLASS_IN {
        return None;
    }
    let count = u16::from_be_bytes([head[6], head[7]]);
    let is_truncated = flags & 0x02 != 0;
    let records = if is_truncated { Vec::new() } else { records(&mut reader, count, name, kind)? };
    Some(Answer { code, is_truncated, records })
}

/// The records of the answer section that are of the name, or of the one that it is an alias of.
fn records(reader: &mut Reader<'_>, count: u16, name: String, kind: Kind) -> Option<Vec<Record>> {
    let (mut found, mut aliases) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let owner = reader.name()?;
        let (code, class) = (reader.number()?, reader.number()?);
        let _ttl = (reader.number()?, reader.number()?);
        let length = usize::from(reader.number()?);
        let end = reader.at.checked_add(length).filter(|end| *end <= reader.message.len())?;
        if class == CLASS_IN && code == CNAME {
            aliases.push((owner, reader.name()?));
        } else if class == CLASS_IN && code == kind.code() {
            found.push((owner, reader.record(kind, length)?));
        } else {
            reader.at = end;
        }
        if reader.at != end {
            return None;
        }
    }
    let mut names = vec![name];
    for _ in 0..MAX_ALIASES {
        let last = names.last()?;
        match aliases.iter().find(|(owner, _)| owner == last) {
            Some((_, target)) => names.push(target.clone()),
            None => break,
        }
    }
    Some(found.into_iter().filter(|(owner, _)| names.contains(owner)).map(|(_, record)| record).collect())
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.at..)?.first_chunk::<2>()?;
        self.at += 2;
        Some(u16::from_be_bytes(*bytes))
    }

    /// A name in small letters, without a dot at its end. Each pointer (RFC 1035 §4.1.4) has to lead to a place before all that was read of the
    /// name, so none leads in a circle.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut first, mut after) = (self.at, self.at, None);
        loop {
            let length = *self.message.get(at)?;
            match length {
                0 => break,
                1..=63 => {
                    let label = self.message.get(at + 1..at + 1 + usize::from(length))?;
                    // Others than these are no host's, and would look like other names in text.
                    if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                    at += 1 + usize::from(length);
                    if name.len() > MAX_NAME {
                        return None;
                    }
                }
                0xC0..=0xFF => {
                    let low = *self.message.get(at + 1)?;
                    after = after.or(Some(at + 2));
                    let target = usize::from(u16::from_be_bytes([length & 0x3F, low]));
                    if target >= first {
                        return None;
                    }
                    (at, first) = (target, target);
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at + 1);
        Some(name)
    }

    fn record(&mut self, kind: Kind, length: usize) -> Option<Record> {
        match kind {
            Kind::A => Some(Record::Address(IpAddr::V4(Ipv4Addr::from(self.bytes::<4>(length)?)))),
            Kind::Aaaa => Some(Record::Address(IpAddr::V6(Ipv6Addr::from(self.bytes::<16>(length)?)))),
            Kind::Srv => {
                let (priority, weight, port) = (self.number()?, self.number()?, self.number()?);
                Some(Record::Service { priority, weight, port, target: self.name()? })
            }
        }
    }

    fn bytes<const LENGTH: usize>(&mut self, length: usize) -> Option<[u8; LENGTH]> {
        let bytes = *self.message.get(self.at..)?.first_chunk::<LENGTH>()?;
        self.at += LENGTH;
        (length == LENGTH).then_some(bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A response to a question with these records: owner, kind, and the record's own bytes.
    pub(crate) fn response(question: &[u8], flags: u8, code: u8, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
        let mut message = question[..question.len() - 11].to_vec();
        (message[2], message[3]) = (flags, code);
        message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        message[10..12].copy_from_slice(&[0, 0]);
        for (owner, kind, data) in records {
            message.extend(name(owner));
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(data);
        }
        message
    }

    /// The name and the kind that a question is for.
    pub(crate) fn asked(question: &[u8]) -> (String, u16) {
        let mut reader = Reader { message: question, at: HEADER };
        (reader.name().unwrap(), reader.number().unwrap())
    }

    pub(crate) fn name(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        bytes
    }

    pub(crate) fn service(priority: u16, weight: u16, port: u16, target: &str) -> Vec<u8> {
        [&priority.to_be_bytes()[..], &weight.to_be_bytes(), &port.to_be_bytes(), &name(target)].concat()
    }

    const ONE: [u8; 4] = [192, 0, 2, 1];

    fn addresses(records: &[(&str, u16, Vec<u8>)]) -> Option<Vec<Record>> {
        let asked = question(7, "a.example", Kind::A)?;
        answer(&asked, &response(&asked, 0x81, 0x80, records), Kind::A).map(|answer| answer.records)
    }

    #[test]
    fn rfc1035_4_1_a_question_is_for_one_name_and_says_how_long_an_answer_may_be() {
        let bytes = question(0x0102, "a.Example.", Kind::Srv).expect("a name");
        let expected = b"\x01\x02\x01\x00\0\x01\0\0\0\0\0\x01\x01a\x07Example\0\0\x21\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
        assert_eq!(bytes, expected);
        for odd in ["", "a..b", &"a".repeat(64), &["a"; 130].join(".")] {
            assert_eq!(question(1, odd, Kind::A), None, "{odd}");
        }
    }

    #[test]
    fn records_of_the_name_and_of_what_it_is_an_alias_of_count_and_others_do_not() {
        let one = || vec![Record::Address(ONE.into())];
        assert_eq!(addresses(&[("A.example", 1, ONE.to_vec())]), Some(one()));
        assert_eq!(addresses(&[("b.example", 1, ONE.to_vec())]), Some(Vec::new()), "somebody else's");
        let alias = ("a.example", 5, name("b.example"));
        assert_eq!(addresses(&[("b.example", 1, ONE.to_vec()), alias.clone()]), Some(one()));
        assert_eq!(addresses(&[alias.clone(), ("b.example", 5, name("a.example"))]), Some(Vec::new()), "in a circle");
        assert_eq!(addresses(&[alias, ("b.example", 16, b"\x01x".to_vec()), ("b.example", 1, ONE.to_vec())]), Some(one()));
        assert_eq!(addresses(&[("a.example", 1, vec![1, 2, 3])]), None, "no address");
        assert_eq!(addresses(&[("a.example", 1, vec![1, 2, 3, 4, 5])]), None);
    }

    #[test]
    fn rfc2782_a_service_has_servers_with_priority_weight_and_port() {
        let asked = question(7, "_http._tcp.a.example", Kind::Srv).expect("a name");
        let records = [("_http._tcp.a.example", 33, service(1, 2, 8080, "B.example"))];
        let found = answer(&asked, &response(&asked, 0x81, 0x80, &records), Kind::Srv).expect("an answer");
        assert_eq!(found.records, [Record::Service { priority: 1, weight: 2, port: 8080, target: "b.example".to_owned() }]);
    }

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let asked = question(7, "a.example", Kind::A).expect("a name");
        let good = response(&asked, 0x81, 0x80, &[]);
        assert!(answer(&asked, &good, Kind::A).is_some());
        let changed = |at: usize, to: u8| {
            let mut message = good.clone();
            message[at] = to;
            answer(&asked, &message, Kind::A)
        };
        assert_eq!(changed(1, 8), None, "another id");
        assert_eq!(changed(2, 0x01), None, "a question");
        assert_eq!(changed(5, 2), None, "two questions");
        assert_eq!(changed(13, b'b'), None, "another name");
        assert_eq!(answer(&asked, &good, Kind::Aaaa), None, "another kind");
        assert!(changed(13, b'A').is_some(), "names have no case");
        let code = answer(&asked, &response(&asked, 0x81, 0x83, &[]), Kind::A).map(|answer| answer.code);
        assert_eq!(code, Some(3));
        assert!(answer(&asked, &response(&asked, 0x83, 0x80, &[]), Kind::A).is_some_and(|answer| answer.is_truncated));
        for end in 0..good.len() {
            assert_eq!(answer(&asked, &good[..end], Kind::A), None, "cut off at {end}");
        }
    }

    #[test]
    fn rfc1035_4_1_4_a_pointer_leads_back_and_never_in_a_circle() {
        let asked = question(7, "a.example", Kind::A).expect("a name");
        let pointing = |to: u8| {
            let mut message = response(&asked, 0x81, 0x80, &[]);
            message[7] = 1;
            message.extend([0xC0, to, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            message.extend(ONE);
            answer(&asked, &message, Kind::A).map(|answer| answer.records.len())
        };
        assert_eq!(pointing(12), Some(1), "the question's name");
        assert_eq!(pointing(14), Some(0), "its end, another name");
        assert_eq!(pointing(27), None, "itself");
        assert_eq!(pointing(200), None);
    }
}
