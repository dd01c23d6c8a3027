//! A line as a JSON object, always with the same members. Names and units are public interface.

use std::net::IpAddr;

use http::StatusCode;
use larder_semantics::{Reason, Timestamp};
use larder_tower::CacheResult;
use serde::Serialize as _;

use super::ResponseRecord;
use super::line::{RequestLine, Sent};
use super::put;
use super::redact::redacted;
use crate::one_line::OneLine;

/// The members that are known with the request; more follow.
pub(super) fn begin(time: Timestamp, client: Option<IpAddr>, request: Option<&RequestLine<'_>>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    put::rfc3339(time, out);
    out.extend_from_slice(b"\",\"client\":");
    match client {
        Some(client) => {
            out.push(b'"');
            put::address(client, out);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    text("method", request.map(|request| request.method.as_str()), out);
    text("host", Some(request.map_or("", |request| request.host)), out);
    text("target", Some(&redacted(request.map_or("", |request| request.target))), out);
}

/// The members that are known when the response has been sent, but those of [`rest`].
pub(super) fn sent(sent: &Sent, out: &mut Vec<u8>) {
    number("status", sent.status.map(|status| status.as_u16().into()), out);
    number("bytes", Some(sent.bytes), out);
    number("duration_us", Some(put::micros(sent.duration)), out);
    text("result", sent.result.map(CacheResult::logged), out);
    text("reason", sent.reason.map(Reason::as_str), out);
}

/// The members behind those.
pub(super) fn rest(record: &ResponseRecord<'_>, key: Option<&str>, id: Option<&str>, protocol: Option<&str>, out: &mut Vec<u8>) {
    text("route", record.route.map(|route| &**route), out);
    text("key", key.map(redacted).as_deref(), out);
    literal("stored", record.stored.map_or("null", bool_name), out);
    literal("collapsed", bool_name(record.collapsed), out);
    text("upstream", record.upstream.map(|upstream| &**upstream), out);
    number("upstream_status", record.upstream_status.as_ref().map(StatusCode::as_u16).map(u64::from), out);
    number("upstream_us", record.upstream_time.map(put::micros), out);
    text("request_id", id, out);
    text("protocol", protocol, out);
    text("problem", record.problem.as_ref().map(|problem| problem.detail()), out);
}

/// The last member.
pub(super) fn end(sent: &Sent, out: &mut Vec<u8>) {
    text("transfer", Some(sent.transfer.as_str()), out);
    out.push(b'}');
}

fn bool_name(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn literal(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value.as_bytes());
}

fn number(name: &str, value: Option<u64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => literal(name, itoa::Buffer::new().format(value), out),
        None => literal(name, "null", out),
    }
}

fn text(name: &str, value: Option<&str>, out: &mut Vec<u8>) {
    let Some(value) = value else { return literal(name, "null", out) };
    literal(name, "", out);
    if value.bytes().all(put::is_plain) {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
        return;
    }
    // Neither a `str` nor a `Vec` can fail.
    let _infallible = value.serialize(&mut serde_json::Serializer::with_formatter(out, OneLine::default()));
}
