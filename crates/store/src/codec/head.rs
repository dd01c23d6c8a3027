//! The head's part of a frame.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, LifetimeSource, OriginControl, StoredFields, StoredHead, Timestamp};

use super::Unreadable;
use super::frame::{Reader, Writer};

/// Their bits are part of the format.
const FLAGS: [(HeadFlags, u8); 5] = [
    (HeadFlags::NO_CACHE, 1),
    (HeadFlags::MUST_REVALIDATE, 2),
    (HeadFlags::IMMUTABLE, 4),
    (HeadFlags::FOR_AUTHORIZED, 8),
    (HeadFlags::FOR_COOKIES, 32),
];
/// The route's lifetime is shown instead of the origin's.
const ORIGIN_CONTROL: u8 = 16;

/// Their order is part of the format.
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
    let control = head.origin_control.as_ref();
    let flags = FLAGS.iter().filter(|(flag, _)| head.flags.has(*flag)).map(|(_, bit)| bit).sum::<u8>();
    out.u8(flags | if control.is_some() { ORIGIN_CONTROL } else { 0 });
    out.u64(head.date().as_millis());
    write_fields(out, &head.headers.to_map());
    optional(out, head.etag().as_ref());
    optional(out, head.last_modified().as_ref());
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
    let bits = reader.u8()?;
    let date = Timestamp::from_millis(reader.u64()?);
    let headers = StoredFields::from(&read_fields(reader)?);
    // The validators are those of the fields.
    let (_etag, modified) = (read_optional(reader)?, read_optional(reader)?);
    let control = OriginControl { cache_control: read_optional(reader)?, expires: read_optional(reader)? };
    Ok(StoredHead {
        status,
        headers,
        response_time,
        initial_age,
        lifetime: FreshnessLifetime { seconds, source },
        stale_while_revalidate,
        stale_if_error,
        flags: flags_of(bits).with(HeadFlags::MODIFICATION_DATED, modified.is_some()),
        date_seconds: date.as_secs(),
        origin_control: (bits & ORIGIN_CONTROL != 0).then(|| Box::new(control)),
    })
}

fn flags_of(bits: u8) -> HeadFlags {
    FLAGS.iter().fold(HeadFlags::default(), |flags, (flag, bit)| flags.with(*flag, bits & bit != 0))
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
