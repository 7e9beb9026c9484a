//! The summary of what was taken in, for people and for programs.

use crate::pipeline::Summary;
use indicatif::HumanBytes;
use serde_json::json;
use std::fmt::Write;

/// 1234567 as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One JSON object.
pub(super) fn json(summary: &Summary, unreadable: u64, seconds: f64) -> serde_json::Value {
    let mut value = json!(summary);
    value["unreadable"] = json!(unreadable);
    value["seconds"] = json!((seconds * 1_000.0).round() / 1_000.0);
    value
}

/// A few lines to read.
pub(super) fn text(summary: &Summary, unreadable: u64, seconds: f64, lake: &str) -> String {
    let mut out = String::new();
    let objects = |count: u64| format!("{} object{}", grouped(count), if count == 1 { "" } else { "s" });
    // Writing into a String cannot fail.
    let _ = writeln!(
        out,
        "{} taken in, {} already in the lake",
        objects(summary.objects),
        grouped(summary.objects_known)
    );
    for (table, rows) in &summary.rows {
        let _ = writeln!(out, "  {table:<34} {:>14} rows", grouped(*rows));
    }
    for (reason, count) in &summary.rejected {
        let _ = writeln!(out, "  rejected: {reason:<24} {:>14}", grouped(*count));
    }
    if summary.duplicates > 0 {
        let _ = writeln!(out, "  {:<34} {:>14}", "delivered twice, kept once", grouped(summary.duplicates));
    }
    if summary.skipped > 0 {
        let _ = writeln!(out, "  {:<34} {:>14}", "without data (NODATA, digests)", grouped(summary.skipped));
    }
    let _ = writeln!(
        out,
        "{} stored, {} inflated -> {} in the lake, {seconds:.1} s",
        HumanBytes(summary.stored_bytes),
        HumanBytes(summary.inflated_bytes),
        HumanBytes(summary.lake_bytes),
    );
    if unreadable > 0 {
        let _ = writeln!(out, "{} could not be read (named above): fix and run again", objects(unreadable));
    }
    let rejected: u64 = summary.rejected.values().sum();
    if rejected > 0 {
        let _ = writeln!(
            out,
            "see why: logq --lake {lake} \"select reason, location, message, count(*) from rejected group by all\""
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_summary_names_rows_rejects_and_what_to_do() {
        let mut summary = Summary { objects: 1, records: 3, ..Summary::default() };
        summary.rows.insert("cloudtrail", 2);
        summary.rejected.insert("invalid_json", 1);
        let text = text(&summary, 1, 0.5, "./lake");
        for part in
            ["1 object taken in", "cloudtrail", "invalid_json", "fix and run again", "logq --lake ./lake"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(json(&summary, 1, 0.5)["rows"]["cloudtrail"], 2);
    }
}
