//! Drawings, as SVG inside the page. Colours come from the page's style, so they follow light and dark;
//! every mark carries its numbers as a title, and every drawing a description.

use super::Finding;
use super::markup::{bytes, short, text};
use super::rows::Rows;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Width of every drawing in its own units; the page scales it.
const WIDTH: f64 = 720.0;

const LANES: [&str; 5] = ["critical", "high", "medium", "low", "informational"];

fn open(height: f64, description: &str) -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">"#, text(description))
}

/// A point for each finding: time from left to right, severity from top to bottom.
pub fn timeline(findings: &[Finding]) -> String {
    let (first, last) = findings.iter().fold((i64::MAX, i64::MIN), |(first, last), finding| {
        (first.min(finding.first), last.max(finding.last))
    });
    let span = (last.saturating_sub(first)).max(1) as f64;
    let x = |time: i64| 110.0 + (WIDTH - 130.0) * (time - first) as f64 / span;
    let height = 40.0 * LANES.len() as f64 + 30.0;
    let mut svg = open(height, &format!("{} findings over time by severity", findings.len()));
    for (lane, name) in LANES.iter().enumerate() {
        let y = 25.0 + 40.0 * lane as f64;
        let _ = write!(
            svg,
            r#"<text x="0" y="{}" class="label">{name}</text><line x1="105" x2="{WIDTH}" y1="{y}" y2="{y}" class="axis"/>"#,
            y + 4.0
        );
    }
    for finding in findings {
        let lane = LANES.iter().position(|name| *name == finding.severity).unwrap_or(LANES.len() - 1);
        let y = 25.0 + 40.0 * lane as f64;
        let (start, end) = (x(finding.first), x(finding.last));
        let _ = write!(
            svg,
            r#"<g class="{}"><title>{}</title><line x1="{start:.1}" x2="{end:.1}" y1="{y}" y2="{y}" class="run"/><circle cx="{start:.1}" cy="{y}" r="6"/></g>"#,
            LANES[lane],
            text(&format!(
                "{}: {} ({}, {})",
                finding.severity,
                finding.title,
                finding.entity,
                moment(finding.first)
            ))
        );
    }
    if !findings.is_empty() {
        let y = height - 6.0;
        let _ = write!(
            svg,
            r#"<text x="110" y="{y}" class="label">{}</text><text x="{WIDTH}" y="{y}" class="label end">{}</text>"#,
            moment(first),
            moment(last)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A time of the page.
pub fn moment(microseconds: i64) -> String {
    chrono::DateTime::from_timestamp_micros(microseconds)
        .map_or_else(|| "?".to_owned(), |time| time.format("%Y-%m-%d %H:%M").to_string())
}

/// Bars for pairs of addresses by bytes: columns source, target, port, protocol, bytes.
pub fn talkers(rows: &Rows) -> String {
    let most = (0..rows.rows.len()).filter_map(|row| rows.number(row, 4)).fold(1.0, f64::max);
    let height = 24.0 * rows.rows.len() as f64 + 4.0;
    let mut svg = open(height, "Pairs of addresses by bytes");
    for row in 0..rows.rows.len() {
        let value = rows.number(row, 4).unwrap_or(0.0);
        let y = 24.0 * row as f64;
        let label = format!("{} → {}:{}", rows.text(row, 0), rows.text(row, 1), rows.text(row, 2));
        let _ = write!(
            svg,
            r#"<g><title>{} {}</title><rect x="330" y="{}" width="{:.1}" height="16" rx="3" class="bar"/><text x="322" y="{}" class="label end">{}</text><text x="{WIDTH}" y="{}" class="label end">{}</text></g>"#,
            text(&label),
            bytes(value),
            y + 3.0,
            (300.0 * value / most).max(1.0),
            y + 16.0,
            text(&short(&label, 46)),
            y + 16.0,
            bytes(value)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Bands from zones on the left to zones on the right, as wide as their bytes: columns source, target,
/// bytes.
pub fn zones(rows: &Rows) -> String {
    let flows: Vec<(&str, &str, f64)> = (0..rows.rows.len())
        .map(|row| (rows.text(row, 0), rows.text(row, 1), rows.number(row, 2).unwrap_or(0.0).max(1.0)))
        .collect();
    let total: f64 = flows.iter().map(|flow| flow.2).sum::<f64>().max(1.0);
    let sum = |side: fn(&(&'_ str, &'_ str, f64)) -> String| {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for flow in &flows {
            *sums.entry(side(flow)).or_default() += flow.2;
        }
        sums
    };
    let (left, right) = (sum(|flow| flow.0.to_owned()), sum(|flow| flow.1.to_owned()));
    // A gap between zones, and at least a hair for the thinnest band.
    let gap = 26.0;
    let scale = 260.0 / total;
    let stack = |sums: &BTreeMap<String, f64>| {
        let mut y = 20.0;
        let mut tops = BTreeMap::new();
        for (zone, value) in sums {
            tops.insert(zone.clone(), y);
            y += value * scale + gap;
        }
        (tops, y)
    };
    let ((mut lefts, left_end), (mut rights, right_end)) = (stack(&left), stack(&right));
    let mut svg = open(left_end.max(right_end), "Accepted bytes from zone to zone");
    for (sums, tops, x, anchor) in [(&left, &lefts, 150.0, "end"), (&right, &rights, 562.0, "")] {
        for (zone, value) in sums {
            let y = tops.get(zone).copied().unwrap_or(0.0);
            let label = if anchor == "end" { x - 8.0 } else { x + 16.0 };
            let _ = write!(
                svg,
                r#"<rect x="{x}" y="{y:.1}" width="8" height="{:.1}" class="zone"/><text x="{label}" y="{:.1}" class="label {anchor}">{}</text><text x="{label}" y="{:.1}" class="small {anchor}">{}</text>"#,
                (value * scale).max(1.0),
                y + 8.0,
                text(&short(zone, 20)),
                y + 21.0,
                bytes(*value)
            );
        }
    }
    for (index, (from, to, value)) in flows.iter().enumerate() {
        let width = value * scale;
        let (Some(from_y), Some(to_y)) = (lefts.get_mut(*from), rights.get_mut(*to)) else { continue };
        let (a, b) = (*from_y + width / 2.0, *to_y + width / 2.0);
        *from_y += width;
        *to_y += width;
        let _ = write!(
            svg,
            r#"<path d="M158 {a:.1} C 360 {a:.1}, 360 {b:.1}, 562 {b:.1}" stroke-width="{:.1}" class="band c{}"><title>{}</title></path>"#,
            width.max(1.0),
            index % 6,
            text(&format!("{from} → {to}: {}", bytes(*value)))
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Ports from top to bottom, time from left to right, darker where more was rejected: columns port,
/// service, time, records.
pub fn heat(rows: &Rows) -> String {
    let mut ports: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut times = BTreeSet::new();
    let mut most: f64 = 1.0;
    for row in 0..rows.rows.len() {
        let records = rows.number(row, 3).unwrap_or(0.0);
        *ports.entry((rows.text(row, 0).to_owned(), rows.text(row, 1).to_owned())).or_default() += records;
        times.insert(rows.text(row, 2).to_owned());
        most = most.max(records);
    }
    let mut order: Vec<((String, String), f64)> = ports.into_iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let times: Vec<String> = times.into_iter().collect();
    let cell = (WIDTH - 130.0) / times.len().max(1) as f64;
    let height = 22.0 * order.len() as f64 + 22.0;
    let mut svg = open(height, "Rejected records by port and time");
    for (line, ((port, service), total)) in order.iter().enumerate() {
        let y = 22.0 * line as f64;
        let name = if service.is_empty() { port.clone() } else { format!("{port} {service}") };
        let _ =
            write!(svg, r#"<text x="0" y="{}" class="label">{}</text>"#, y + 15.0, text(&short(&name, 18)));
        for row in (0..rows.rows.len()).filter(|row| rows.text(*row, 0) == port) {
            let Some(column) = times.iter().position(|time| time == rows.text(row, 2)) else { continue };
            let records = rows.number(row, 3).unwrap_or(0.0);
            let _ = write!(
                svg,
                r#"<rect x="{:.1}" y="{}" width="{:.1}" height="18" class="heat" fill-opacity="{:.2}"><title>{}</title></rect>"#,
                130.0 + cell * column as f64,
                y + 1.0,
                (cell - 1.0).max(1.0),
                // The eye tells shades of few and many apart by their order of size.
                0.15 + 0.85 * (1.0 + records).ln() / (1.0 + most).ln(),
                text(&format!("port {name}, {}: {records} of {total}", rows.text(row, 2)))
            );
        }
    }
    let y = height - 6.0;
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        let _ = write!(
            svg,
            r#"<text x="130" y="{y}" class="label">{}</text><text x="{WIDTH}" y="{y}" class="label end">{}</text>"#,
            text(first),
            text(last)
        );
    }
    svg.push_str("</svg>");
    svg
}
