//! A simulation as text for people.

use std::time::Duration;

use larder_semantics::Timestamp;
use larder_simulate::{Advice, Curve, Evidence, Figures, LineCounts, Report, SplitBy};

use crate::cli::paper::Paper;
use crate::config::{display_bytes, display_duration};
use crate::figures::percent;
use crate::simulate::Comparison;

/// Columns of the longest bar of the curve.
const BAR: f64 = 40.0;

/// All of a report.
pub(super) fn report(paper: &mut Paper, report: &Report) {
    head(paper, report);
    let mut rows: Vec<Vec<String>> = report.routes.iter().map(|route| row(&route.route, &route.figures)).collect();
    if rows.len() != 1 {
        rows.push(row("all", &report.total));
    }
    paper.table(
        &["", "requests", "hits", "hit", "of bytes", "of origin time", "validated", "missed", "passed", "refused", "to origin"],
        &rows,
    );
    paper.gap();
    origin(paper, report);
    not_stored(paper, report);
    splits(paper, report);
    advice(paper, &report.advice);
    if let Some(curve) = &report.curve {
        draw(paper, curve, &report.total);
    }
    for (index, sentence) in report.assumed.iter().enumerate() {
        paper.line(if index == 0 { "assumed" } else { "" }, sentence);
    }
}

/// Two reports side by side.
pub(super) fn compared(paper: &mut Paper, reports: &[Report], comparison: &Comparison) {
    let [first, second] = reports else { return };
    head(paper, first);
    let name = |report: &Report| report.config.clone();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for route in &first.routes {
        let other = second.routes.iter().find(|other| other.route == route.route).map(|other| other.figures).unwrap_or_default();
        rows.push(side_by_side(&route.route, &route.figures, &other));
    }
    for route in second.routes.iter().filter(|route| !first.routes.iter().any(|known| known.route == route.route)) {
        rows.push(side_by_side(&route.route, &Figures::default(), &route.figures));
    }
    rows.push(side_by_side("all", &first.total, &second.total));
    paper.line("A", &name(first));
    paper.line("B", &name(second));
    paper.gap();
    paper.table(&["", "requests A", "B", "hit A", "hit B", "of bytes A", "of bytes B", "to origin A", "to origin B"], &rows);
    paper.gap();
    paper.line("gained", &format!("{} requests are hits with B alone", comparison.gained));
    paper.line("lost", &format!("{} requests are hits with A alone", comparison.lost));
    if !comparison.first.is_empty() {
        paper.gap();
        let rows: Vec<Vec<String>> = comparison
            .first
            .iter()
            .map(|difference| {
                vec![format!("{} {}", difference.method, difference.target), difference.first.clone(), difference.second.clone()]
            })
            .collect();
        paper.table(&["for instance", "A", "B"], &rows);
    }
    paper.gap();
    for (index, sentence) in first.assumed.iter().enumerate() {
        paper.line(if index == 0 { "assumed" } else { "" }, sentence);
    }
}

fn head(paper: &mut Paper, report: &Report) {
    let length = display_duration(Duration::from_secs((report.to_ms - report.from_ms) / 1000));
    paper.line("log", &format!("{} to {} ({length}), {}", date(report.from_ms), date(report.to_ms), formats(report)));
    let LineCounts { lines, broken, out_of_order, late, first_broken } = &report.lines;
    let mut sentence = format!("{lines} read, {broken} broken");
    if *out_of_order > 0 {
        sentence += &format!(", {out_of_order} out of order");
    }
    if *late > 0 {
        sentence += &format!(", {late} of them too late to be put into order: they were replayed at the time of the line before");
    }
    paper.line("lines", &sentence);
    for line in first_broken {
        paper.more(&format!("{}:{}: {}: {}", line.file, line.line, line.why, line.begins));
    }
    paper.gap();
}

/// The formats by their names; a pattern is as long as a line, and was given.
fn formats(report: &Report) -> String {
    let names = report.formats.iter().map(|format| if format.contains(['$', '%']) { "the given pattern" } else { format });
    names.collect::<Vec<_>>().join(", ")
}

fn date(ms: u64) -> String {
    let date = Timestamp::from_millis(ms).to_http_date();
    date.to_str().unwrap_or_default().to_owned()
}

fn row(name: &str, figures: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        figures.requests.to_string(),
        figures.hits.to_string(),
        percent(Some(figures.hit_ratio())),
        percent(Some(figures.byte_ratio())),
        percent(figures.time_ratio()),
        figures.revalidated.to_string(),
        figures.misses.to_string(),
        figures.bypassed.to_string(),
        figures.refused.to_string(),
        figures.origin_requests.to_string(),
    ]
}

fn side_by_side(name: &str, first: &Figures, second: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        first.requests.to_string(),
        second.requests.to_string(),
        percent(Some(first.hit_ratio())),
        percent(Some(second.hit_ratio())),
        percent(Some(first.byte_ratio())),
        percent(Some(second.byte_ratio())),
        first.origin_requests.to_string(),
        second.origin_requests.to_string(),
    ]
}

fn origin(paper: &mut Paper, report: &Report) {
    let (without, with) = (&report.origin.without, &report.origin.with);
    let saved = without.requests.saturating_sub(with.requests);
    paper.line("origin", &format!("{} requests instead of {}: {saved} saved", with.requests, without.requests));
    paper.more(&format!("{} in the busiest second instead of {}", with.in_busiest_second, without.in_busiest_second));
    if report.total.origin_us > 0 {
        let time = |micros: u64| display_duration(Duration::from_secs(micros / 1_000_000));
        paper.more(&format!(
            "{} of its time instead of {}",
            time(report.total.origin_us - report.total.saved_us),
            time(report.total.origin_us)
        ));
    }
    let writes = &report.writes;
    if writes.writes > 0 {
        let sentence = format!("{}, of which {} name more than their own URL (`on_write`)", writes.writes, writes.with_targets);
        paper.line("writes", &sentence);
        paper.more(&format!("{} reads were fetched anew because a write had made old what was stored", writes.refetched));
    }
    for (index, stale) in report.stale.iter().enumerate() {
        paper.line(if index == 0 { "stale" } else { "" }, &format!("{} served: {}", stale.requests, stale.reason));
    }
    paper.gap();
}

fn not_stored(paper: &mut Paper, report: &Report) {
    if report.not_stored.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = report
        .not_stored
        .iter()
        .map(|reason| vec![reason.reason.to_owned(), reason.requests.to_string(), display_bytes(reason.bytes), reason.routes.join(", ")])
        .collect();
    paper.table(&["not stored", "requests", "bytes", "routes"], &rows);
    paper.raw("larder explain-reason WORD says what each means, and what changes it");
    paper.gap();
}

fn splits(paper: &mut Paper, report: &Report) {
    if report.splits.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = report
        .splits
        .iter()
        .map(|split| {
            let agreement = percent(Some(split.agreement));
            vec![split.name.clone(), split.by.to_string(), split.route.clone(), split.needless_fetches.to_string(), agreement]
        })
        .collect();
    paper.table(&["splits keys", "", "route", "needless fetches", "equal answers"], &rows);
    paper.raw("If the answers do not depend on them, these fetches would be hits:");
    let has = |by| report.splits.iter().any(|split| split.by == by);
    if has(SplitBy::Parameter) {
        paper.raw("with these parameters in `query.drop`");
    }
    if has(SplitBy::Header) {
        paper.raw("with these headers taken out of `key.headers`, or out of the origin's `Vary` (`unsafe_ignore = [\"vary:NAME\"]`)");
    }
    paper.gap();
}

fn advice(paper: &mut Paper, advice: &[Advice]) {
    if advice.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = advice
        .iter()
        .map(|advice| {
            let none = || "–".to_owned();
            let of = |value: fn(&larder_simulate::Lifetime) -> String| advice.advised.as_ref().map_or_else(none, value);
            vec![
                advice.route.clone(),
                of(|lifetime| format!("ttl = \"{}\"", display_duration(Duration::from_secs(lifetime.seconds.into())))),
                of(|lifetime| percent(Some(lifetime.hit_ratio))),
                of(|lifetime| percent(Some(lifetime.stale_ratio))),
                advice.requests.to_string(),
                advice.changes.to_string(),
                match advice.evidence {
                    Evidence::BodyHash => "hash of the body",
                    Evidence::EntityTag => "ETag",
                    Evidence::LastModified => "Last-Modified",
                    Evidence::Size => "size alone: not every change is seen",
                }
                .to_owned(),
            ]
        })
        .collect();
    paper.table(&["advice", "lifetime", "hit", "stale", "requests", "changes", "told by"], &rows);
    paper.gap();
}

fn draw(paper: &mut Paper, curve: &Curve, total: &Figures) {
    let share = percent(Some(curve.share));
    paper.raw(&format!("hit ratio by memory size, from {share} of the keys"));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for point in &curve.points {
        let bar = "█".repeat((point.hit_ratio() * BAR).round() as usize);
        let mark = if point.capacity == curve.configured { "configured" } else { "" };
        let (by_requests, by_bytes) = (percent(Some(point.hit_ratio())), percent(Some(point.byte_ratio())));
        rows.push(vec![display_bytes(point.capacity), by_requests, by_bytes, bar, mark.to_owned()]);
    }
    paper.table(&["memory", "hit", "of bytes", "", ""], &rows);
    if let Some(configured) = curve.points.iter().find(|point| point.capacity == curve.configured) {
        let error = (configured.hit_ratio() - total.hit_ratio()).abs();
        paper.raw(&format!("at the configured size, the sample is {:.1} points from the whole", error * 100.0));
    }
    paper.gap();
}

#[cfg(test)]
mod tests {
    use larder_simulate::{LogFormat, Logs};

    use super::*;

    /// What is said of the lines of a log whose requests were at these seconds of a minute.
    fn said(seconds: impl Iterator<Item = u32>) -> String {
        let line = |second| format!("10.0.0.1 - - [30/Nov/2026:09:00:{second:02} +0000] \"GET /a HTTP/1.1\" 200 1\n");
        let log: String = seconds.map(line).collect();
        let mut logs = Logs::of("log", std::io::Cursor::new(log), LogFormat::parse("common").ok().as_ref()).expect("a log");
        while logs.next().is_some() {}
        let mut paper = Paper::plain();
        head(&mut paper, &Report { lines: logs.counts().clone(), ..Report::default() });
        paper.text()
    }

    #[test]
    fn a_log_out_of_order_is_said() {
        assert!(said([1, 3, 2, 4].into_iter()).contains("4 read, 0 broken, 1 out of order\n"));
        assert!(said([1, 2, 3].into_iter()).contains("3 read, 0 broken\n"), "one in order has nothing to be said of");
    }

    #[test]
    fn lines_that_come_too_late_to_be_put_into_order_are_said_besides() {
        let seconds = std::iter::repeat_n(5, 20_000).chain(std::iter::repeat_n(9, 20_000)).chain([3, 8]);
        let said = said(seconds);
        let sentence = "40002 read, 0 broken, 2 out of order, 2 of them too late to be put into order: they were replayed at the time of the line before";
        assert!(said.contains(sentence), "{said}");
    }
}
