//! Expectations of a message in a scenario, and their errors.

use std::fmt::Write as _;

use super::text;
use crate::client::Response;
use crate::origin::Received;
use crate::wire::Head;
use crate::{Error, Result};

/// One line that begins with `<`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    Status(u16),
    /// All lines of a field, joined, are this value.
    Is(String, String),
    /// They contain this text.
    Has(String, String),
    /// They do not contain this text, or there are none.
    HasNot(String, String),
    /// The field is a whole number from the first to the second.
    Between(String, u64, u64),
    Present(String),
    Absent(String),
    Body(Vec<u8>),
    /// The body has this many bytes.
    Length(usize),
    /// The body ended as its framing says, or did not.
    Ended(bool),
    Trailer(String, String),
    Interim(u16),
}

/// A message under judgement.
pub(super) struct Subject<'a> {
    status: Option<u16>,
    head: &'a Head,
    /// Not known while only the head was read.
    body: Option<&'a [u8]>,
    ended: Option<bool>,
    trailers: &'a [(String, String)],
    interim: &'a [Head],
}

impl Expectation {
    /// Reads the line without its `<`.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        Ok(match word {
            "body" => Self::Body(text::bytes(rest)?),
            "length" => Self::Length(number(rest)?),
            "broken" => Self::Ended(false),
            "complete" => Self::Ended(true),
            "no" => Self::Absent(rest.to_owned()),
            "has" => Self::Present(rest.to_owned()),
            "interim" => Self::Interim(number(rest)?),
            "trailer" => field(rest).map(|(name, value)| Self::Trailer(name, value))?,
            _ if word.parse::<u16>().is_ok() => Self::Status(number(word)?),
            _ if word.ends_with(':') => field(line).map(|(name, value)| Self::Is(name, value))?,
            _ => Self::comparison(word, rest)?,
        })
    }

    fn comparison(name: &str, rest: &str) -> Result<Self> {
        let (operator, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let (name, value) = (name.to_owned(), value.trim().to_owned());
        Ok(match operator {
            "~" => Self::Has(name, value),
            "!~" => Self::HasNot(name, value),
            "in" => {
                let (min, max) = value.split_once("..").ok_or_else(|| Error::new("a range is like 1..5"))?;
                Self::Between(name, number(min)?, number(max)?)
            }
            _ => return Err(Error::new(format!("not an expectation: {name} {rest}"))),
        })
    }

    /// An error that tells the whole message where this does not hold.
    pub(super) fn check(&self, subject: &Subject<'_>) -> Result<()> {
        if self.holds(subject) { Ok(()) } else { Err(Error::new(format!("expected {}, got{}", self.describe(), subject.describe()))) }
    }

    fn holds(&self, subject: &Subject<'_>) -> bool {
        let joined = |name: &String| subject.head.joined(name);
        match self {
            Self::Status(status) => subject.status == Some(*status),
            Self::Is(name, value) => joined(name).as_ref() == Some(value),
            Self::Has(name, value) => joined(name).is_some_and(|all| all.contains(value)),
            Self::HasNot(name, value) => !joined(name).is_some_and(|all| all.contains(value)),
            Self::Between(name, min, max) => {
                joined(name).and_then(|all| all.parse::<u64>().ok()).is_some_and(|value| (*min..=*max).contains(&value))
            }
            Self::Present(name) => joined(name).is_some(),
            Self::Absent(name) => joined(name).is_none(),
            Self::Body(body) => subject.body == Some(body),
            Self::Length(length) => subject.body.map(<[u8]>::len) == Some(*length),
            Self::Ended(ended) => subject.ended == Some(*ended),
            Self::Trailer(name, value) => subject.trailers.iter().any(|(field, held)| field.eq_ignore_ascii_case(name) && held == value),
            Self::Interim(status) => subject.interim.iter().any(|head| head.status().is_ok_and(|sent| sent == *status)),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Status(status) => format!("status {status}"),
            Self::Is(name, value) => format!("`{name}: {value}`"),
            Self::Has(name, value) => format!("{value:?} in {name}"),
            Self::HasNot(name, value) => format!("no {value:?} in {name}"),
            Self::Between(name, min, max) => format!("{name} from {min} to {max}"),
            Self::Present(name) => format!("some {name}"),
            Self::Absent(name) => format!("no {name}"),
            Self::Body(body) => format!("the body {}", shown(body)),
            Self::Length(length) => format!("a body of {length} bytes"),
            Self::Ended(true) => "a complete body".to_owned(),
            Self::Ended(false) => "a body that breaks off".to_owned(),
            Self::Trailer(name, value) => format!("the trailer `{name}: {value}`"),
            Self::Interim(status) => format!("an interim response {status}"),
        }
    }
}

impl<'a> Subject<'a> {
    pub(super) fn head(head: &'a Head) -> Self {
        Self { status: head.status().ok(), head, body: None, ended: None, trailers: &[], interim: &[] }
    }

    pub(super) fn response(response: &'a Response) -> Self {
        Self {
            status: Some(response.status),
            head: &response.head,
            body: Some(&response.body),
            ended: Some(response.complete),
            trailers: &response.trailers,
            interim: &response.interim,
        }
    }

    pub(super) fn request(request: &'a Received) -> Self {
        Self { status: None, head: &request.head, body: Some(&request.body), ended: None, trailers: &request.trailers, interim: &[] }
    }

    fn describe(&self) -> String {
        let mut text = format!("\n    {}", self.head.start);
        for (name, value) in &self.head.fields {
            let _ = write!(text, "\n    {name}: {value}");
        }
        if let Some(body) = self.body {
            let _ = write!(
                text,
                "\n    body ({} bytes{}): {}",
                body.len(),
                if self.ended == Some(false) { ", broken off" } else { "" },
                shown(body)
            );
        }
        for (name, value) in self.trailers {
            let _ = write!(text, "\n    trailer {name}: {value}");
        }
        text
    }
}

/// `Name: value`.
pub(super) fn field(line: &str) -> Result<(String, String)> {
    let (name, value) = line.split_once(':').ok_or_else(|| Error::new(format!("not a field line: {line}")))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::new(format!("not a number: {text:?}")))
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut start: String = text.chars().take(200).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use super::{Expectation, Head, Subject};

    fn head() -> Head {
        let fields = [("Age", "7"), ("Vary", "A"), ("vary", "B")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Head { raw: Vec::new(), start: "HTTP/1.1 200 OK".to_owned(), fields }
    }

    #[test]
    fn an_expectation_holds_or_says_what_came() {
        let head = head();
        let subject = Subject { body: Some(b"abc"), ended: Some(true), ..Subject::head(&head) };
        for line in [
            "200",
            "Age: 7",
            "Vary: A, B",
            "vary ~ B",
            "Vary !~ C",
            "X !~ C",
            "no X",
            "has age",
            "Age in 5..7",
            "body abc",
            "length 3",
            "complete",
        ] {
            Expectation::parse(line).unwrap().check(&subject).unwrap();
        }
        for line in [
            "304",
            "Age: 8",
            "Vary: A",
            "vary ~ C",
            "Vary !~ B",
            "has X",
            "no age",
            "Age in 8..9",
            "body ab",
            "length 2",
            "broken",
            "interim 103",
            "trailer T: 1",
        ] {
            let error = Expectation::parse(line).unwrap().check(&subject).unwrap_err().to_string();
            assert!(error.starts_with("expected ") && error.contains("Age: 7"), "{error}");
        }
        assert!(Expectation::parse("nonsense").is_err());
    }
}
