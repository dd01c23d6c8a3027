//! `health = { path = "/healthz", … }`

use http::uri::PathAndQuery;
use toml::Spanned;

use super::positive;
use crate::model::HealthCheck;
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;

const STATUS_FORM: &str = "\"2xx\", \"204\" or \"200-399\"";

/// `None`: there is none, or something is wrong with it.
pub(super) fn read(table: &mut Table<'_>) -> Option<HealthCheck> {
    let mut health = table.table("health")?;
    health.require("path", "like health = { path = \"/healthz\" }");
    let path = health.parse("path", "a path in quotes, like \"/healthz\"", path).map(Spanned::into_inner);
    let every = positive(&mut health, "every");
    let timeout_span = health.get("timeout").map(Spanned::span);
    let timeout = positive(&mut health, "timeout");
    let mut count = |key| health.integer(key, 1..=100).and_then(|count| u32::try_from(count).ok());
    let (rise, fall) = (count("rise"), count("fall"));
    let status = health.parse("status", &format!("statuses in quotes, like {STATUS_FORM}"), statuses).map(Spanned::into_inner);
    let shared = health.boolean("shared");
    let mistakes = health.mistakes();
    let span = health.span();
    health.finish();
    let usual = HealthCheck::new(&path?);
    let check = HealthCheck {
        every: every.unwrap_or(usual.every),
        timeout: timeout.unwrap_or(usual.timeout.min(every.unwrap_or(usual.every))),
        rise: rise.unwrap_or(usual.rise),
        fall: fall.unwrap_or(usual.fall),
        status: status.unwrap_or(usual.status),
        shared: shared.unwrap_or(usual.shared),
        ..usual
    };
    if check.timeout > check.every {
        let mistake = Mistake::new("a health check may take longer than the time between two of them");
        mistakes.error(timeout_span.unwrap_or(span), mistake.hint("make `timeout` at most `every`"));
        return None;
    }
    Some(check)
}

fn path(text: &str) -> Result<String, Mistake> {
    let is_path = text.starts_with('/') && !text.contains('#') && text.parse::<PathAndQuery>().is_ok();
    is_path.then(|| text.to_owned()).ok_or_else(|| Mistake::new(format!("`{text}` is not a path")).hint("like \"/healthz\""))
}

/// `2xx`, `204` or `200-399`
fn statuses(text: &str) -> Result<(u16, u16), Mistake> {
    let status = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    let range = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => class.parse::<u16>().ok().filter(|class| (1..=5).contains(class)).map(|class| (class * 100, class * 100 + 99)),
        (None, Some((from, to))) => status(from).zip(status(to)).filter(|(from, to)| from <= to),
        (None, None) => status(text).map(|status| (status, status)),
    };
    range.ok_or_else(|| Mistake::new(format!("`{text}` names no statuses")).hint(format!("like {STATUS_FORM}")))
}
