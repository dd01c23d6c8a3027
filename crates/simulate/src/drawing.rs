//! The curve as a drawing.

use std::fmt::Write as _;

use larder_semantics::Timestamp;

use crate::curve::{Curve, CurvePoint};
use crate::report::Report;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;

/// Draws the curve of a report: hit ratio by requests and by bytes over the memory size, which doubles from mark to mark. `None` where there is no
/// curve.
pub fn svg(report: &Report) -> Option<String> {
    let curve = report.curve.as_ref().filter(|curve| !curve.points.is_empty())?;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">Hit ratio by memory size, {} to {}</text>\n",
        date(report.from_ms),
        date(report.to_ms),
    );
    for percent in (0..=100).step_by(20) {
        let y = y(f64::from(percent) / 100.0);
        let _infallible = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
        );
    }
    for (index, point) in curve.points.iter().enumerate() {
        let weight = if point.capacity == curve.configured { "bold" } else { "normal" };
        let _infallible = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-weight=\"{weight}\">{}</text>",
            x(index, curve),
            HEIGHT - BOTTOM + 20.0,
            bytes(point.capacity),
        );
    }
    line(&mut out, curve, "#1f6feb", |point| point.hit_ratio());
    line(&mut out, curve, "#d29922", |point| point.byte_ratio());
    let _infallible = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#1f6feb\">by requests</text><text x=\"{:.1}\" y=\"{0:.1}\" fill=\"#d29922\">by bytes</text>\n</svg>",
        HEIGHT - 14.0,
        LEFT + 90.0,
    );
    Some(out)
}

fn line(out: &mut String, curve: &Curve, colour: &str, ratio: impl Fn(&CurvePoint) -> f64) {
    let _infallible = write!(out, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"");
    for (index, point) in curve.points.iter().enumerate() {
        let _infallible = write!(out, "{:.1},{:.1} ", x(index, curve), y(ratio(point)));
    }
    out.push_str("\"/>\n");
    for (index, point) in curve.points.iter().enumerate() {
        let (x, ratio) = (x(index, curve), ratio(point));
        let _infallible = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{}: {:.1} %</title></circle>",
            y(ratio),
            bytes(point.capacity),
            ratio * 100.0,
        );
    }
}

fn x(index: usize, curve: &Curve) -> f64 {
    let steps = curve.points.len().saturating_sub(1).max(1);
    LEFT + (WIDTH - LEFT - RIGHT - 40.0) * index as f64 / steps as f64 + 20.0
}

fn y(ratio: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - ratio)
}

/// A size as it is written in the configuration.
fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 10.0 && value.fract() > 0.0 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// The day and minute of a time.
fn date(ms: u64) -> String {
    let date = Timestamp::from_millis(ms).to_http_date();
    date.to_str().map(|text| text[5..22].to_owned()).unwrap_or_default()
}
