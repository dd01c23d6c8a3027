//! The head's part of a frame.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_semantics::{FreshnessLifetime, LifetimeSource, OriginControl, StoredFields, StoredHead, Timestamp, Validators};

use super::Unreadable;
use super::frame::{Reader, Writer};

const NO_CACHE: u8 = 1;
const MUST_REVALIDATE: u8 = 2;
const IMMUTABLE: u8 = 4;
const FOR_AUTHORIZED: u8 = 8;
/// The route's lifetime is shown instead of the origin's.
const ORIGIN_CONTROL: u8 = 16;

/// Their places are part of the format.
const SOURCES: [LifetimeSource; 7] = [
    LifetimeSource::Targeted,
    LifetimeSource::SMaxage,
    LifetimeSource::MaxAge,
    LifetimeSource::Expires,
    LifetimeSource::Heuristic,
    LifetimeSource::Route,
    LifetimeSource::None,
];

pub(super) fn write(out: &mut Writer, head: &StoredHead) {
    out.u16(head.status.as_u16());
    out.u64(head.response_time.as_millis());
    out.u32(head.initial_age);
    out.u32(head.lifetime.seconds);
    let source = SOURCES.iter().position(|source| *source == head.lifetime.source);
    out.u8(source.unwrap_or(SOURCES.len()) as u8);
    out.u32(head.stale_while_revalidate);
    out.u32(head.stale_if_error);
    let flags = [
        (head.no_cache, NO_CACHE),
        (head.must_revalidate, MUST_REVALIDATE),
        (head.immutable, IMMUTABLE),
        (head.for_authorized, FOR_AUTHORIZED),
        (head.origin_control.is_some(), ORIGIN_CONTROL),
    ];
    out.u8(flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag));
    out.u64(head.date.as_millis());
    write_fields(out, &head.headers.to_map());
    let control = head.origin_control.as_ref();
    optional(out, head.validators.etag.as_ref());
    optional(out, head.validators.last_modified.as_ref());
    optional(out, control.and_then(|control| control.cache_control.as_ref()));
    optional(out, control.and_then(|control| control.expires.as_ref()));
}

pub(super) fn read(reader: &mut Reader) -> Result<StoredHead, Unreadable> {
    let status = StatusCode::from_u16(reader.u16()?).map_err(|_| Unreadable::Damaged)?;
    let response_time = Timestamp::from_millis(reader.u64()?);
    let initial_age = reader.u32()?;
    let seconds = reader.u32()?;
    let source = *SOURCES.get(usize::from(reader.u8()?)).ok_or(Unreadable::Damaged)?;
    let (stale_while_revalidate, stale_if_error) = (reader.u32()?, reader.u32()?);
    let flags = reader.u8()?;
    let date = Timestamp::from_millis(reader.u64()?);
    let headers = StoredFields::from(&read_fields(reader)?);
    let validators = Validators { etag: read_optional(reader)?, last_modified: read_optional(reader)? };
    let control = OriginControl { cache_control: read_optional(reader)?, expires: read_optional(reader)? };
    Ok(StoredHead {
        status,
        headers,
        response_time,
        initial_age,
        lifetime: FreshnessLifetime { seconds, source },
        stale_while_revalidate,
        stale_if_error,
        no_cache: flags & NO_CACHE != 0,
        must_revalidate: flags & MUST_REVALIDATE != 0,
        immutable: flags & IMMUTABLE != 0,
        for_authorized: flags & FOR_AUTHORIZED != 0,
        validators,
        date,
        origin_control: (flags & ORIGIN_CONTROL != 0).then(|| Box::new(control)),
    })
}

pub(super) fn write_fields(out: &mut Writer, fields: &HeaderMap) {
    out.u16(fields.len() as u16);
    for (name, value) in fields {
        out.text(name.as_str());
        out.bytes(value.as_bytes());
    }
}

pub(super) fn read_fields(reader: &mut Reader) -> Result<HeaderMap, Unreadable> {
    let count = reader.u16()?;
    let mut fields = HeaderMap::new();
    for _ in 0..count {
        let name = name(reader)?;
        fields.try_append(name, value(reader)?).map_err(|_| Unreadable::Damaged)?;
    }
    Ok(fields)
}

pub(super) fn name(reader: &mut Reader) -> Result<HeaderName, Unreadable> {
    HeaderName::from_bytes(&reader.text()?).map_err(|_| Unreadable::Damaged)
}

/// A copy: a slice would keep the whole frame in memory.
fn value(reader: &mut Reader) -> Result<HeaderValue, Unreadable> {
    HeaderValue::from_bytes(&reader.bytes()?).map_err(|_| Unreadable::Damaged)
}

fn optional(out: &mut Writer, value: Option<&HeaderValue>) {
    match value {
        Some(value) => {
            out.u8(1);
            out.bytes(value.as_bytes());
        }
        None => out.u8(0),
    }
}

fn read_optional(reader: &mut Reader) -> Result<Option<HeaderValue>, Unreadable> {
    match reader.u8()? {
        0 => Ok(None),
        1 => value(reader).map(Some),
        _ => Err(Unreadable::Damaged),
    }
}
