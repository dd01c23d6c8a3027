//! Values of a job that are written as text.

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue};
use larder_message::authority;
use larder_semantics::fields::is_hop_by_hop;

use crate::model::TimeOfDay;
use crate::parse::mistake::Mistake;

pub(super) fn name(text: &str) -> Result<String, Mistake> {
    let is_plain = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_plain {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(format!("`{text}` is not a name for a job")).hint("letters, digits, `-`, `_` and `.`"))
}

pub(crate) fn host(text: &str) -> Result<String, Mistake> {
    if authority::is_valid(text.as_bytes()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Mistake::new(format!("`{text}` is no host")).hint("a name or an address, with a port where clients name one"))
}

/// A field of the requests.
pub(super) fn line(name: &str, text: &str) -> Result<(HeaderName, HeaderValue), Mistake> {
    let field =
        HeaderName::try_from(name).map_err(|_| Mistake::new(format!("`{name}` is not the name of a field")).hint("like \"accept\""))?;
    if is_hop_by_hop(&field) || field == HOST || field == CONTENT_LENGTH {
        return Err(Mistake::new(format!("`{name}` is not the job's to say")).hint("`host` of the job, or a whole URL, names the host"));
    }
    let value = HeaderValue::from_str(text)
        .map_err(|_| Mistake::new(format!("`{text}` is not the value of a field")).hint("without line breaks"))?;
    Ok((field, value))
}

/// `"50/s"`
pub(super) fn rate(text: &str) -> Result<u32, Mistake> {
    let rate = text.strip_suffix("/s").and_then(|count| count.parse().ok()).filter(|rate| (1..=100_000).contains(rate));
    rate.ok_or_else(|| Mistake::new(format!("`{text}` is not a number of requests a second")).hint("like \"50/s\""))
}

/// `"03:00"`
pub(super) fn time_of_day(text: &str) -> Result<TimeOfDay, Mistake> {
    let digits = |part: &str, below: u32| {
        let is_two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_two.then(|| part.parse::<u32>().ok()).flatten().filter(|number| *number < below)
    };
    let minutes = text.split_once(':').and_then(|(hours, minutes)| Some(digits(hours, 24)? * 60 + digits(minutes, 60)?));
    let minutes =
        minutes.ok_or_else(|| Mistake::new(format!("`{text}` is not a time of day")).hint("hours and minutes in UTC: \"03:00\""))?;
    Ok(TimeOfDay { minutes })
}
