//! What was printed, beside what a page says would be.
//!
//! Spaces at ends of lines do not count. `…` or `...` in a line stands for any text in it, and alone on a line for any lines. Dates, times and ages move, so they
//! are compared as such.

use larder_testkit::Result;

/// Compares where each figure is an example: which lines and columns there are counts, and not what is measured.
pub(super) fn compare_but_figures(expected: &[&str], printed: &str) -> std::result::Result<(), String> {
    let expected: Vec<String> = expected.iter().map(|line| without_figures(line)).collect();
    let printed: Vec<String> = printed.lines().map(without_figures).collect();
    compare(&expected.iter().map(String::as_str).collect::<Vec<_>>(), &printed.join("\n"))
}

/// A line with `#` in the place of each figure and its unit, and one space between words, since columns are as wide as their figures.
fn without_figures(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in line.split_whitespace() {
        let follows_figure = words.last() == Some(&"#");
        match word {
            "ms" | "µs" | "s" | "%" if follows_figure => {}
            "–" => words.push("#"),
            _ if word.starts_with(|first: char| first.is_ascii_digit()) => words.push("#"),
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// Compares; an error is the first line that is not there.
pub(super) fn compare(expected: &[&str], printed: &str) -> std::result::Result<(), String> {
    let expected: Vec<String> = trimmed(expected.iter().copied());
    let printed: Vec<String> = trimmed(printed.lines());
    if matches(&expected, &printed) {
        return Ok(());
    }
    // The longest beginning that is right tells where it goes wrong.
    let right = (0..expected.len()).rev().find(|&count| {
        let mut beginning = expected[..count].to_vec();
        beginning.push("...".to_owned());
        matches(&beginning, &printed)
    });
    let missing = expected.get(right.unwrap_or_default()).cloned().unwrap_or_default();
    Err(format!("no `{missing}` where it is said to be"))
}

fn trimmed<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(|line| settled(line.trim_end())).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    lines.split_off(first)
}

fn matches(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        Some((line, rest)) => printed.split_first().is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others)),
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let mut pieces = expected.split("...");
    let Some(mut rest) = pieces.next().and_then(|first| printed.strip_prefix(first)) else { return false };
    let mut is_open = false;
    for piece in pieces {
        is_open = true;
        if piece.is_empty() {
            rest = "";
            continue;
        }
        // The last piece ends the line.
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
        is_open = false;
    }
    is_open || rest.is_empty()
}

/// The line with what moves replaced by its kind, and one way of writing the wildcard.
fn settled(line: &str) -> String {
    let mut settled = line.replace('…', "...");
    let days = ["Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ", "Sun, "];
    for day in days {
        // `Mon, 30 Nov 2026 09:10:09 GMT`
        while let Some(at) = settled.find(day).filter(|at| settled.get(at + 26..at + 29) == Some("GMT")) {
            settled.replace_range(at..at + 29, "DATE");
        }
    }
    while let Some(at) = instant(&settled) {
        let end = settled[at..].find('Z').map_or(settled.len(), |length| at + length + 1);
        settled.replace_range(at..end, "INSTANT");
    }
    for counted in ["age: ", "ttl="] {
        if let Some(at) = settled.find(counted) {
            let digits = settled[at + counted.len()..].bytes().take_while(u8::is_ascii_digit).count();
            settled.replace_range(at + counted.len()..at + counted.len() + digits, "N");
        }
    }
    settled
}

/// Where a time like `2026-11-30T04:37:39.793Z` begins.
fn instant(line: &str) -> Option<usize> {
    let is_one = |at: &usize| {
        let form: String = line.get(*at..at + 20).unwrap_or_default().chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        form.starts_with("0000-00-00T00:00:00") && line[*at..].contains('Z')
    };
    line.char_indices().map(|(at, _)| at).find(is_one)
}

pub(super) fn tests() -> Result<()> {
    let table = &["route  hits  takes", "list    50 %  2.0 s"][..];
    assert_eq!(compare_but_figures(table, "route    hits  takes\nlist  100.0 %  310 ms"), Ok(()));
    for other in ["route  hits  takes\nget  50 %  2.0 s", "route  hits\nlist  50 %", "route  hits  takes"] {
        assert!(compare_but_figures(table, other).is_err(), "{other}");
    }
    for (expected, printed) in [
        (&["a", "", "b"][..], "\na  \r\n\nb\n\n"),
        (&["date: Mon, 30 Nov 2026 09:10:09 GMT"], "date: Fri, 01 Jan 2027 00:00:00 GMT"),
        (&["2026-11-30T04:37:39.793Z GET /a"], "2027-01-01T00:00:00Z GET /a"),
        (&["age: 2", "cache-status: larder; hit; ttl=298"], "age: 0\ncache-status: larder; hit; ttl=300"),
        (&["in … ms"], "in 12.5 ms"),
        (&["a", "…", "z"], "a\nb\nc\nz"),
        (&["a", "..."], "a"),
        (&["a…"], "a"),
        (&[], ""),
    ] {
        assert_eq!(compare(expected, printed), Ok(()), "{expected:?}");
    }
    for (expected, printed) in
        [(&["a", "b"][..], "a\nx\nb"), (&["a"], "a\nb"), (&["in … ms"], "in 12.5 s"), (&["age: 2"], "age: x"), (&["a"], ""), (&[], "a")]
    {
        assert!(compare(expected, printed).is_err(), "{expected:?} is not {printed:?}");
    }
    assert_eq!(compare(&["a", "b", "c"], "a\nx\nc"), Err("no `b` where it is said to be".to_owned()));
    Ok(())
}
